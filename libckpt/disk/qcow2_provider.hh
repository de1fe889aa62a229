// SPDX-License-Identifier: GPL-2.0-only
// Disks that are qcow2 files, served by a QEMU in Dom0 (xl's qdisk). How their
// snapshots are made: qemu_snapshot.hh. QEMU's copy, in its clusters, is read by
// qemu-nbd, and what changed goes, sparse, to a file without a name, to be read
// like any other disk.
#pragma once

#include <memory>
#include <string>

#include "libckpt/base/log.hh"
#include "libckpt/disk/disk_provider.hh"
#include "libckpt/disk/room.hh"

namespace ckpt {

struct Qcow2Options {
    std::string directory; // for restored disks whose own directory is not here; may be empty
    RoomLimits room{};     // in the file system of a disk
};

// DiskEntry::source is the directory of the file. Nothing is held of a committed
// checkpoint: all volumes are to be filled.
std::unique_ptr<DiskProvider> open_qcow2_provider(Qcow2Options options, Logger &logger);

} // namespace ckpt
