// SPDX-License-Identifier: GPL-2.0-only
// One guest's part of a node checkpoint, while it is being written.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>

#include "libckpt/io/io_thread.hh"
#include "libckpt/store/lineage.hh"
#include "libckpt/store/manifest.hh"
#include "libckpt/store/page_store.hh"

namespace ckpt {

// Turns batches into records of the guest's segments, on the I/O thread.
class PartSink : public BatchSink {
  public:
    PartSink(const Disk &disk, const Uuid &guest, SegmentWriter &segments)
        : disk_(disk), guest_(guest), segments_(segments) {}

    Result<Place> place(PageBatch &batch) override;
    void written(Status status) override;
    void refused(Error error) override;

    // A batch will be posted. The first error so far, if any.
    Status expect();
    // Waits until nothing is under way. The first error, if any.
    Status drain();

    // After drain(), or from any thread for the count.
    RunEntries &entries() { return entries_; }
    std::uint64_t bytes_written() const;

  private:
    void finish(Status status);

    const Disk &disk_;
    Uuid guest_;
    SegmentWriter &segments_;  // of the I/O thread while writes are under way
    RunEntries entries_;       // likewise
    // Segments of placed records, in posting order; completions need not keep
    // it, so that they are held until the part is drained.
    std::vector<std::shared_ptr<Segment>> held_;

    mutable std::mutex mutex_;
    std::condition_variable idle_;
    unsigned under_way_ = 0;
    std::uint64_t bytes_written_ = 0;
    std::optional<Error> error_;
};

class GuestPart : public GuestWriter {
  public:
    // EBUSY: the guest has an open part. The lineage is prepared.
    static Result<std::unique_ptr<GuestPart>> begin(std::shared_ptr<Lineage> lineage,
                                                    IoThread &io);
    ~GuestPart() override;

    Status write(PageBatch batch) override;
    Status seal(const StateRecords &state, GuestEntry entry) override;
    Status seal_disk(DiskEntry entry) override;
    std::uint64_t bytes_written() const override { return sink_->bytes_written() + extra_bytes_; }

    const Uuid &guest() const { return lineage_->files.guest(); }
    // Whether this part may be committed now: it is sealed, and the increment's
    // base is the newest committed image. ESTALE, EINVAL.
    Status check_commit() const;
    const GuestEntry &entry() const { return entry_; }
    // Nothing: it is a guest's.
    const std::optional<DiskEntry> &disk() const { return disk_; }
    const GuestStorage &storage() const { return storage_; }
    void committed(Sn sn);
    // Its commit failed in a way that may have left a manifest that refers to
    // it: it is not committed, and nothing of it may be undone.
    void keep() { may_be_listed_ = true; }

  private:
    GuestPart(std::shared_ptr<Lineage> lineage, IoThread &io);
    Status store_pages_and_state(const StateRecords &state);
    Status store_index();
    void give_up(bool damaged);

    enum class State { open, failed, sealed, committed };

    std::shared_ptr<Lineage> lineage_;
    IoThread &io_;
    std::shared_ptr<PartSink> sink_;
    State state_ = State::open;
    bool may_be_listed_ = false;
    std::uint64_t number_ = 0;
    std::uint64_t base_ = 0; // the part this one's increment builds on
    std::list<Lineage::Use>::iterator use_;
    std::uint64_t extra_bytes_ = 0; // state and index
    GuestEntry entry_;
    std::optional<DiskEntry> disk_;
    GuestStorage storage_;
};

} // namespace ckpt
