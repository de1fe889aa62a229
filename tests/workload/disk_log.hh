// SPDX-License-Identifier: GPL-2.0-only
// The same state on a disk: a ring of 4 KiB records, each with the hash of the
// one before it, written with O_DIRECT and O_DSYNC. A thread writes, so that a slow disk does not
// slow the rest. Memory knows what the disk must hold: every record up to `done`, with its hash,
// perhaps the one under way as well, and none after. So memory and disk of one instant
// can be told from those of two.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "libckpt/base/fd.hh"
#include "libckpt/base/result.hh"
#include "tests/workload/snapshot.hh"

namespace ckpt::workload {

class DiskLog {
  public:
    // Opens a block device, or makes or reuses a file, and clears a ring of `slots` records.
    static Result<std::unique_ptr<DiskLog>> open(const std::string &path, std::uint32_t slots,
                                                 std::uint64_t run);
    ~DiskLog();

    // Hands a record of this state to the writer. False if it has not finished its last job:
    // try again later.
    bool append(const Snapshot &state);
    // The ring is to be read back and compared with memory before anything else is written.
    void ask_check();

    DiskState state() const;

    // What a disk holds, as JSON, for a look from outside the guest.
    static Result<std::string> describe(const std::string &path);

  private:
    struct Record;
    DiskLog(Fd fd, std::uint32_t slots, std::uint64_t run);
    static std::uint64_t hash_of(const Record &record);
    void fill(Record &record, const Snapshot &state) const;
    void work();
    void write_record();
    std::string check_ring(std::uint64_t done) const;
    std::string check_slot(const Record &record, std::uint32_t slot, std::uint64_t done) const;

    const Fd fd_;
    const std::uint32_t slots_;
    const std::uint64_t run_;
    struct FreeDeleter {
        void operator()(void *memory) const { free(memory); }
    };
    std::unique_ptr<Record, FreeDeleter> record_; // writer's while `writing_`, else the caller's
    std::unique_ptr<Record[], FreeDeleter> ring_; // the writer's, to read back into
    std::vector<std::uint64_t> hashes_;           // of the record in each slot, as written

    mutable std::mutex mutex_; // protects all below
    std::condition_variable changed_;
    bool writing_ = false;
    bool check_ = false;
    bool stop_ = false;
    DiskState state_;
    std::thread writer_;
};

} // namespace ckpt::workload
