// SPDX-License-Identifier: GPL-2.0-only
// The bounded dirty-page cache (paper 4.1, Figure 2): the pages of one guest
// that were dirtied most recently and are left to the pause. Pages it replaces
// are written early, while the guest runs. It is fed by log-dirty rounds: the
// order inside a round is unknown, so a page's age is counted in rounds.
//
// Memory: 2 bytes and 1 bit per pfn below the limit (0.052 % of the guest's
// memory), whatever the capacity; the bytes only where the guest was dirtied.
#pragma once

#include <cstdint>
#include <memory>

#include "libckpt/base/page_set.hh"

namespace ckpt {

// Which cached pages are replaced next. It learns of pages by rounds only.
class ReplacementPolicy {
  public:
    virtual ~ReplacementPolicy() = default;
    // A round is over; these pages were dirtied in it, and are cached now.
    virtual void note_round(const PageSet &dirtied) = 0;
    // Moves up to `count` of the pages in `cached` into `replaced`, none of
    // them dirtied in the last `idle_rounds` rounds (0: any page will do).
    // Returns how many.
    virtual std::uint64_t replace(PageSet &cached, std::uint64_t count, unsigned idle_rounds,
                                  PageSet &replaced) = 0;
};

// CLOCK over log-dirty rounds: a hand goes round the pfns and takes the pages
// that it finds idle. A page's reference is the round it was last dirtied in.
std::unique_ptr<ReplacementPolicy> make_clock_policy(Pfn limit);

struct DirtyCacheLimits {
    std::uint64_t target_pages = 256; // above it pages idle long enough are replaced
    std::uint64_t max_pages = 8192;    // above it any page is; >= target_pages
    unsigned idle_rounds = 2;          // idle long enough; 1..1000
};

// Used by one thread at a time.
class DirtyCache {
  public:
    // Holds pfns below `limit`; so do the sets given to it.
    DirtyCache(Pfn limit, const DirtyCacheLimits &limits, std::unique_ptr<ReplacementPolicy> policy)
        : limits_(limits), pages_(limit), policy_(std::move(policy)) {}

    // Takes one round's pages in, and moves those that give way into
    // `replaced`: above target_pages the idle ones, so that a hot set larger
    // than the target stays rather than be written again and again (the
    // idle-age rule); above max_pages the longest idle, however young.
    void round(const PageSet &dirtied, PageSet &replaced);
    // Replaces the longest idle pages until at most `count` are left.
    void shrink(std::uint64_t count, PageSet &replaced);
    // Replaces pages until at most `count` are left, but none that the latest
    // round found: they would be dirty again at once.
    void shrink_idle(std::uint64_t count, PageSet &replaced);

    const PageSet &pages() const { return pages_; }
    std::uint64_t size() const { return size_; }
    void clear() {
        pages_.clear();
        size_ = 0;
    }

  private:
    DirtyCacheLimits limits_;
    PageSet pages_;
    std::uint64_t size_ = 0;
    std::unique_ptr<ReplacementPolicy> policy_;
};

} // namespace ckpt
