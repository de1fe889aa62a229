// SPDX-License-Identifier: GPL-2.0-only
// How full what holds disks and their snapshots may become. Guests meet a full
// pool or file system, too: what is ours stops before.
#pragma once

#include <mutex>
#include <set>
#include <string>

#include "libckpt/base/log.hh"
#include "libckpt/base/result.hh"
#include "libckpt/vm/guest_backend.hh"

namespace ckpt {

struct RoomLimits {
    // Fuller than this, in percent, is said in the log; takes no snapshots.
    unsigned warn_percent = 80, refuse_percent = 95;
};

// Thread-safe.
class Room {
  public:
    // `mend`: what makes room in such a holder.
    Room(RoomLimits limits, std::string mend, Logger &logger)
        : limits_(limits), mend_(std::move(mend)), logger_(logger) {}

    // ENOSPC: no snapshots in this holder. `more` says what `percent` has besides
    // what is there now.
    Status check(const std::string &holder, unsigned percent, const char *more = "");
    // The same for the pre-flight.
    GuestNote note(const std::string &holder, unsigned percent) const;

  private:
    const RoomLimits limits_;
    const std::string mend_;
    Logger &logger_;
    std::mutex mutex_;
    std::set<std::string> warned_; // holders
};

} // namespace ckpt
