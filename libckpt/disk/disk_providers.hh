// SPDX-License-Identifier: GPL-2.0-only
// All that takes snapshots of disks here, as one provider: who takes which disk.
#pragma once

#include <memory>

#include "libckpt/disk/disk_provider.hh"

namespace ckpt {

// qcow2 files are `qcow2`'s, all others `thin`'s. A checkpoint's disk is a qcow2
// file if its source is a path, which no pool's name is.
std::unique_ptr<DiskProvider> join_providers(std::unique_ptr<DiskProvider> thin,
                                             std::unique_ptr<DiskProvider> qcow2);

} // namespace ckpt
