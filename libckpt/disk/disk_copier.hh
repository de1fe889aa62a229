// SPDX-License-Identifier: GPL-2.0-only
// Brings what changed of a disk into its part of the store, by io_uring.
#pragma once

#include "libckpt/disk/disk_provider.hh"
#include "libckpt/io/page_batch.hh"
#include "libckpt/store/page_store.hh"

namespace ckpt {

// Stores the snapshot's delta and seals the part; `entry` gets the figures. A
// block of 4096 bytes is stored if it differs from the base: the provider's own
// are larger. Zeroes and discarded blocks are recorded, not copied.
Status copy_disk(GuestDisk &disk, DiskEntry &entry, PageArena &arena, GuestWriter &part);

} // namespace ckpt
