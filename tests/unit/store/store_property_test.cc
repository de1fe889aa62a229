// SPDX-License-Identifier: GPL-2.0-only
// Random use of the store against a model in memory. A failure prints its
// seed; CKPT_STORE_SEED=N runs that one, CKPT_STORE_SEEDS=N runs N of them.
#include "tests/unit/store/store_rig.hh"

#include <algorithm>
#include <random>

namespace ckpt {
namespace {

constexpr unsigned kGuests = 3;

class Walk {
  public:
    explicit Walk(std::uint64_t seed) : random_(seed) {
        rig_.options.segment_bytes = kPageSize << (4 + seed % 8);
    }

    void run(unsigned steps) {
        ASSERT_EQ(message(rig_.open()), "no error");
        for (unsigned i = 0; i < steps && !testing::Test::HasFailure(); i++)
            step();
        reader_.reset();
        drop_parts();
        check_all();
    }

  private:
    struct Part {
        std::unique_ptr<GuestWriter> writer;
        ModelImage pages;
        bool sealed = false, full = false;
    };
    struct Guest {
        bool exists = false; // has a committed image
        ModelImage committed;
        Part part;
    };

    unsigned pick(unsigned n) { return static_cast<unsigned>(random_() % n); }

    void step() {
        const unsigned what = pick(100);
        Guest &guest = guests_[pick(kGuests)];
        const auto id = static_cast<unsigned>(&guest - guests_.data());
        if (what < 45)
            write(id, guest);
        else if (what < 60)
            seal(guest);
        else if (what < 75)
            commit();
        else if (what < 80)
            guest.part = Part();
        else if (what < 88)
            collect();
        else if (what < 91)
            reopen();
        else if (what < 94)
            verify();
        else if (what < 97)
            open_reader();
        else
            check_one();
    }

    void write(unsigned id, Guest &guest) {
        Part &part = guest.part;
        if (part.sealed)
            return;
        if (!part.writer) {
            part.writer = std::move(rig_.store().begin_guest(guest_id(id)).value());
            part.full = !guest.exists || pick(6) == 0;
        }
        ModelImage pages;
        const Pfn first = pick(500);
        for (unsigned n = pick(40); n-- > 0;) {
            ModelPage &page = pages[first + pick(60)];
            const unsigned kind = pick(10);
            if (kind == 0)
                page = {PageType::hole, 0};
            else if (kind == 1)
                page = {PageType::normal, 0};
            else
                page = {static_cast<PageType>(pick(3)), random_()};
        }
        ASSERT_EQ(message(rig_.write(*part.writer, pages, 1 + pick(30))), "no error");
        part.pages = overlay(std::move(part.pages), pages);
    }

    void seal(Guest &guest) {
        Part &part = guest.part;
        if (!part.writer || part.sealed)
            return;
        const auto id = static_cast<unsigned>(&guest - guests_.data());
        ASSERT_EQ(message(part.writer->seal(state_of(sn_ + id), entry_of(id, part.full))),
                  "no error");
        part.sealed = true;
    }

    void commit() {
        std::vector<std::unique_ptr<GuestWriter>> parts;
        std::map<unsigned, ModelImage> images;
        sn_ += 1 + pick(3);
        for (unsigned id = 0; id < kGuests; id++) {
            Part &part = guests_[id].part;
            if (!part.sealed)
                continue;
            images[id] = part.full ? part.pages : overlay(guests_[id].committed, part.pages);
            parts.push_back(std::move(part.writer));
            part = Part();
        }
        if (parts.empty())
            return;
        ASSERT_EQ(message(rig_.store().commit(manifest_of(sn_), parts)), "no error");
        for (auto &[id, image] : images) {
            guests_[id].exists = true;
            guests_[id].committed = image;
        }
        checkpoints_[sn_] = std::move(images);
    }

    void collect() {
        if (checkpoints_.empty())
            return;
        auto keep = checkpoints_.begin();
        std::advance(keep, pick(static_cast<unsigned>(checkpoints_.size())));
        const Sn from = keep->first;
        auto planned = rig_.store().collect_garbage(from, true);
        ASSERT_TRUE(planned.has_value()) << planned.error().message();
        auto done = rig_.store().collect_garbage(from, false);
        ASSERT_TRUE(done.has_value()) << done.error().message();
        EXPECT_EQ(planned->dropped, done->dropped);
        EXPECT_TRUE(done->problems.empty()) << done->problems[0];
        checkpoints_.erase(checkpoints_.begin(), keep);
        // A guest of whom no checkpoint is left starts anew, unless a part
        // that builds on it was open.
        for (unsigned id = 0; id < kGuests; id++) {
            const bool kept = std::ranges::any_of(
                checkpoints_, [id](const auto &one) { return one.second.contains(id); });
            if (!kept && !guests_[id].part.writer)
                guests_[id].exists = false;
        }
    }

    void drop_parts() {
        for (Guest &guest : guests_)
            guest.part = Part();
    }

    void reopen() {
        reader_.reset();
        drop_parts();
        *rig_.options.incarnation += pick(2);
        ASSERT_EQ(message(rig_.open()), "no error");
        for (unsigned id = 0; id < kGuests; id++)
            if (guests_[id].exists &&
                std::ranges::none_of(checkpoints_,
                                     [id](const auto &one) { return one.second.contains(id); }))
                guests_[id].exists = false;
    }

    void verify() {
        auto report = rig_.store().verify({});
        ASSERT_TRUE(report.has_value()) << report.error().message();
        EXPECT_EQ(report->checkpoints, checkpoints_.size());
        for (const Damage &damage : report->damages)
            ADD_FAILURE() << damage.file << " at " << damage.offset << ": " << damage.what;
    }

    // Opens a reader to be used some steps later, whatever happens meanwhile.
    void open_reader() {
        if (reader_) {
            ModelImage image;
            Status status = reader_->for_each([&](auto pages) -> Status {
                for (const auto &page : pages)
                    image[page.pfn] = {page.type, page.data ? seed_of(page.data).value() : 0};
                return {};
            });
            EXPECT_EQ(message(status), "no error");
            EXPECT_TRUE(image == reader_image_);
            reader_.reset();
            return;
        }
        if (checkpoints_.empty())
            return;
        const auto &[sn, images] = *checkpoints_.begin();
        const auto &[id, image] = *images.begin();
        reader_ = std::move(rig_.store().open_image(sn, guest_id(id)).value());
        reader_image_ = image;
    }

    void check_one() {
        if (checkpoints_.empty())
            return;
        auto at = checkpoints_.begin();
        std::advance(at, pick(static_cast<unsigned>(checkpoints_.size())));
        check(at->first);
    }

    void check(Sn sn) {
        for (const auto &[id, image] : checkpoints_[sn]) {
            auto read = read_image(rig_.store(), sn, id);
            ASSERT_TRUE(read.has_value()) << read.error().message();
            EXPECT_TRUE(*read == image) << "checkpoint " << sn << " guest " << id;
        }
    }

    void check_all() {
        const auto list = rig_.store().list().value();
        ASSERT_EQ(list.size(), checkpoints_.size());
        auto at = checkpoints_.begin();
        for (const Manifest &manifest : list)
            EXPECT_EQ(manifest.sn, (at++)->first);
        for (const auto &[sn, images] : checkpoints_)
            check(sn);
        verify();
    }

    TempDir dir_{TempDir::Where::memory};
    StoreRig rig_{dir_.path("s"), 4};
    std::mt19937_64 random_;
    std::array<Guest, kGuests> guests_;
    std::map<Sn, std::map<unsigned, ModelImage>> checkpoints_;
    Sn sn_ = 0;
    std::unique_ptr<ImageReader> reader_;
    ModelImage reader_image_;
};

TEST(StoreProperty, EqualsTheModelWhateverIsDone) {
    const std::uint64_t only = number_from_env("CKPT_STORE_SEED", 0);
    const std::uint64_t seeds = number_from_env("CKPT_STORE_SEEDS", 12);
    for (std::uint64_t seed = only ? only : 1; seed <= (only ? only : seeds); seed++) {
        Walk(seed).run(250);
        ASSERT_FALSE(HasFailure()) << "CKPT_STORE_SEED=" << seed;
    }
}

} // namespace
} // namespace ckpt
