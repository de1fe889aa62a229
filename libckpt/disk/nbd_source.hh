// SPDX-License-Identifier: GPL-2.0-only
// The disk in a qcow2 file that nobody has open, as qemu-nbd shows it: by libnbd.
#pragma once

#include <memory>
#include <string>

#include "libckpt/disk/disk_provider.hh"

struct nbd_handle;

namespace ckpt {

// One thread at a time.
class NbdSource {
  public:
    // The server is a child of ours, and goes with the object. `bitmap`: a dirty
    // bitmap that the file has, or empty. ENOENT and others: what is missing.
    static Result<NbdSource> open(const std::string &file, const std::string &bitmap);

    // What the bitmap has or, without one, all that is not known to be zero: whole
    // blocks of 4096 bytes but at the disk's end, all of Kind::changed.
    Result<DiskExtents> extents();
    // To the same places of the file `to`, which reads as zeroes.
    Status copy(const DiskExtents &extents, int to);

  private:
    struct Closer {
        void operator()(nbd_handle *handle) const;
    };
    NbdSource() = default;

    std::unique_ptr<nbd_handle, Closer> handle_;
    std::string context_; // whose word counts
    bool dirty_ = false;  // it is a bitmap's
    std::uint64_t bytes_ = 0;
};

} // namespace ckpt
