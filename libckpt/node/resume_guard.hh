// SPDX-License-Identifier: GPL-2.0-only
// A child process that outlives this one for a moment: if this process dies
// with guests suspended, kill -9 included, the child has them resumed (R7),
// without waiting for a service manager to start the program again.
#pragma once

#include <sys/types.h>

#include <functional>
#include <memory>
#include <span>

#include "libckpt/base/clock.hh"
#include "libckpt/base/fd.hh"
#include "libckpt/base/result.hh"
#include "libckpt/base/uuid.hh"

namespace ckpt {

class ResumeGuard {
  public:
    static constexpr unsigned kMaxGuests = 1024;

    // GuestBackend::recover() on a backend of the child's own. It is called
    // again, every 50 ms, while it fails, until `patience` ends.
    using Recover = std::function<Status(std::span<const Uuid> guests)>;

    // Forks. To be called early: before any thread, hypervisor handle or
    // signal handler of this program. The child keeps descriptors that are
    // open now, so a lock on one of them is held until it is done too: a new
    // run that waits for that lock never meets it.
    static Result<std::unique_ptr<ResumeGuard>> start(Recover recover,
                                                      Duration patience = std::chrono::seconds(10));
    // The child ends by itself; its death is awaited.
    ~ResumeGuard();

    // Thread-safe, no system call: this guest may be suspended from now on; it
    // surely runs, or is gone. ENOSPC: too many guests.
    Status mark(const Uuid &guest);
    void unmark(const Uuid &guest);

    pid_t pid() const { return pid_; }

  private:
    struct Table;
    ResumeGuard(Table *table, Fd alive, pid_t pid)
        : table_(table), alive_(std::move(alive)), pid_(pid) {}
    static void watch(const Table &table, int alive, const Recover &recover, Duration patience);

    Table *table_; // shared with the child
    Fd alive_;     // a pipe's end: closed by our death
    pid_t pid_;
};

} // namespace ckpt
