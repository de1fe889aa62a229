// SPDX-License-Identifier: GPL-2.0-only
// A guest of a checkpoint put back on this host: its disks as new volumes, then
// its memory and state by `xl restore`, paused. Blocks.
#pragma once

#include <string>
#include <vector>

#include "libckpt/disk/disk_provider.hh"
#include "libckpt/store/page_store.hh"

namespace ckpt {

// A disk that a restored guest got.
struct PutBackDisk {
    std::string name;             // the guest's: "xvda"
    DiskProvider::Volume volume;  // filled: a held snapshot was used, nothing was read
    std::uint64_t bytes_read = 0; // from the store
};

struct PutBackGuest {
    std::uint64_t bytes = 0; // of memory
    std::vector<PutBackDisk> disks;
};

// `disks`: null if there is no provider; then a guest with captured disks is not
// put back. After an error nothing of it is left. ECHILD: what xl said.
Result<PutBackGuest> put_back(PageStore &store, DiskProvider *disks, const Manifest &manifest,
                              const GuestEntry &guest, const Progress &progress);

// They run on together, as they were suspended together; returns when their
// interfaces have their other ends again. ECHILD: what xl said.
Status run_on(const std::vector<std::string> &names);

// Gives up volumes of a guest that is gone again.
void drop_disks(DiskProvider *disks, const PutBackGuest &guest);

// The toolstack's configuration (libxl JSON) with disks at other places. EPROTO.
Result<std::vector<std::byte>> with_disks(const std::vector<std::byte> &configuration,
                                          const std::vector<PutBackDisk> &disks);

} // namespace ckpt
