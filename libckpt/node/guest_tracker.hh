// SPDX-License-Identifier: GPL-2.0-only
// One guest's part in node checkpoints: which of its pages the next image
// still lacks, where they are, and the steps that bring them there. No thread
// of its own: one worker calls it.
//
// A page of the guest is in at most one of these sets; in none, the open part
// or the committed image has it as it is:
//   todo_      to be written early as soon as possible: a full capture, pages
//              that the cache replaced, pages of a part that was lost
//   cache_     dirtied lately: left to the pause
//   deferred_  could not be copied while the guest runs: left to the pause
//   residual_  of the capture under way
// `in_part_` are the pages that only the open part has: lost with it.
#pragma once

#include <atomic>
#include <memory>
#include <optional>
#include <vector>

#include "libckpt/base/log.hh"
#include "libckpt/cache/dirty_cache.hh"
#include "libckpt/disk/guest_disks.hh"
#include "libckpt/node/image_check.hh"
#include "libckpt/node/node_checkpointer.hh"
#include "libckpt/node/resume_guard.hh"
#include "libckpt/node/round_pacer.hh"
#include "libckpt/store/page_store.hh"
#include "libckpt/vm/guest_backend.hh"

namespace ckpt {

class GuestTracker {
  public:
    // References outlive the object. The guest is resumed and its dirty log
    // stopped with it.
    GuestTracker(std::unique_ptr<Guest> guest, PageStore &store, PageArena &arena, Logger &logger,
                 const NodeOptions &options);
    ~GuestTracker();

    // Dirty log on; everything is to be captured. EBUSY: someone else uses it.
    Status start();

    // While the guest runs between checkpoints: some early writing, or a
    // round. Returns when it wants to be called again (from now; zero: there
    // is more to do). Errors: ESHUTDOWN the guest is gone; others: it can't be
    // followed. A failing store is not an error here, it is tried again later.
    Result<Duration> work();

    // The steps of a node checkpoint, in this order, each once; any may be the
    // last before discard(). `cancelled` makes the long ones end early with
    // ECANCELED. ESHUTDOWN: the guest is gone.

    // Writes early until the pages left are likely to fit into `most_batches`,
    // and sets that many batches or fewer aside for the pause.
    Status prepare(unsigned most_batches, const std::atomic<bool> &cancelled);
    // Suspends the guest and finds what is left to capture; it runs again
    // after an error. ENOBUFS: more is left than the arena can take; the next
    // prepare() writes more.
    Status suspend(Duration timeout);
    // Copies what is left, and the registers, into memory. The guest stays
    // suspended, also after an error. `verified`: set with verification on.
    Status capture(const std::atomic<bool> &cancelled, std::optional<VerifyResult> &verified);
    // Lets the guest run, trying for a while (R7); what can't be resumed after
    // that is reported by the next work() as gone.
    void resume();
    // Hands the captured pages, and what changed of the disks, to the store;
    // the parts are ready for commit.
    Result<GuestParts> persist();
    // What is to be said of disks that have no part.
    std::vector<DiskEntry> other_disks() const { return disks_.others(); }

    // The parts are committed as this checkpoint: the next image builds on them.
    void keep(const Cut &cut);
    // It is not: pages that it alone had are dirty again (R7).
    void discard();

    const Guest &guest() const { return *guest_; }
    SteadyTime suspended_at() const { return guest_->suspended_at(); }
    bool primed() const { return primed_; }
    GuestStatus status() const;

  private:
    Status plan_full(const std::string &why);
    Status round();
    Status lost_track(const Error &error);
    Status write_early(unsigned most_batches, unsigned &nr_written);
    Status write_batch(PageBatch batch, bool early);
    Status flush_todo(const std::atomic<bool> &cancelled, std::uint64_t &nr_flushed);
    Status wait_suspended(SteadyTime begin, Duration timeout);
    Status copy_captured(const std::atomic<bool> &cancelled, std::optional<VerifyResult> &verified);
    Status find_residual();
    Status reserve_room();
    void unmark();
    Status write_captured();
    void put_back_residual();
    void lose_part();
    GuestEntry make_entry() const;

    std::unique_ptr<Guest> guest_;
    PageStore &store_;
    PageArena &arena_;
    Logger &logger_;
    const EarlyWriteOptions early_;
    ResumeGuard *const guard_;
    bool marked_ = false; // the guest, with the guard
    const Pfn limit_;

    PageSet todo_, deferred_, residual_, in_part_;
    DirtyCache cache_;
    PageSet scratch_;
    std::unique_ptr<GuestWriter> part_; // open; begun with its first write
    bool full_ = true;                  // the next image starts anew
    bool primed_ = false;
    std::optional<Error> gone_;
    unsigned failures_ = 0;            // in a row
    std::optional<Error> store_error_; // of the latest early write

    // Between prepare() and keep() or discard():
    unsigned room_batches_ = 0;
    unsigned pressure_ = 0; // captures in a row that found no room
    std::vector<PageBatch> reserved_, captured_;
    std::vector<Pfn> residual_pfns_;
    StateRecords state_;
    StageTimes times_;
    std::uint64_t nr_paused_ = 0;

    RoundPacer pacer_;
    SteadyTime next_round_{}, retry_{};
    std::uint64_t part_early_ = 0; // page records written early into the part
    Duration early_cost_{};        // since the last round
    std::unique_ptr<ImageCheck> check_;
    GuestDisks disks_;
    GuestStatus totals_; // the figures that only grow
};

} // namespace ckpt
