// SPDX-License-Identifier: GPL-2.0-only
#include "libckpt/cache/dirty_cache.hh"

#include <bit>
#include <cstdlib>

#include "libckpt/base/assert.hh"

namespace ckpt {

namespace {

struct Free {
    void operator()(void *memory) const { std::free(memory); }
};

class ClockPolicy : public ReplacementPolicy {
  public:
    explicit ClockPolicy(Pfn limit)
        : nr_words_((limit + 63) / 64),
          // calloc, not a vector: the kernel backs it only where it is used.
          round_of_(static_cast<std::uint16_t *>(
              std::calloc(nr_words_ * 64 + 1, sizeof(std::uint16_t)))) {
        CKPT_ASSERT(round_of_);
    }

    void note_round(const PageSet &dirtied) override {
        CKPT_ASSERT(dirtied.words().size() <= nr_words_);
        round_++;
        dirtied.for_each([&](Pfn pfn) { round_of_[pfn] = round_; });
    }

    std::uint64_t replace(PageSet &cached, std::uint64_t count, unsigned idle_rounds,
                          PageSet &replaced) override {
        std::uint64_t left = count;
        for (std::size_t i = 0; i < nr_words_ && left > 0; i++) {
            left -= replace_in_word(cached, left, idle_rounds, replaced);
            if (left > 0) // else the rest of this word comes next time
                hand_ = hand_ + 1 == nr_words_ ? 0 : hand_ + 1;
        }
        return count - left;
    }

  private:
    std::uint64_t replace_in_word(PageSet &cached, std::uint64_t most, unsigned idle_rounds,
                                  PageSet &replaced) {
        std::uint64_t taken = 0, count = 0;
        for (std::uint64_t word = cached.words()[hand_]; word && count < most; word &= word - 1) {
            unsigned bit = static_cast<unsigned>(std::countr_zero(word));
            // Wraps after 65536 rounds: a page that idle may then look young
            // for a few rounds, which only delays it.
            auto age = static_cast<std::uint16_t>(round_ - round_of_[hand_ * 64 + bit]);
            if (age < idle_rounds)
                continue;
            taken |= std::uint64_t{1} << bit;
            count++;
        }
        cached.words()[hand_] &= ~taken;
        replaced.words()[hand_] |= taken;
        return count;
    }

    std::size_t nr_words_;
    std::unique_ptr<std::uint16_t[], Free> round_of_;
    std::uint16_t round_ = 0;
    std::size_t hand_ = 0; // a word of the page sets
};

} // namespace

std::unique_ptr<ReplacementPolicy> make_clock_policy(Pfn limit) {
    return std::make_unique<ClockPolicy>(limit);
}

} // namespace ckpt
