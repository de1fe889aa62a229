// SPDX-License-Identifier: GPL-2.0-only
// Disks that are device-mapper thin devices, LVM's thin volumes included. A
// checkpoint's snapshot is a thin device of the same pool; what changed since
// the base is told by the pool's metadata.
#pragma once

#include <memory>
#include <string>

#include "libckpt/base/log.hh"
#include "libckpt/disk/disk_provider.hh"
#include "libckpt/disk/room.hh"

namespace ckpt {

struct ThinOptions {
    std::string state_directory; // where the ledger is
    std::string pool;            // for restored disks whose own pool is not here; may be empty
    unsigned held = 2;           // snapshots of a disk that stay: its newest, the base among them
    RoomLimits room{};           // in a pool
};

// Gives up what an earlier run left of unfinished checkpoints; activates the
// volumes of restored guests anew after a boot. ENODEV: the kernel has no
// device mapper.
Result<std::unique_ptr<DiskProvider>> open_thin_provider(ThinOptions options, Logger &logger);

} // namespace ckpt
