// SPDX-License-Identifier: GPL-2.0-only
// A disk's image written into a new volume, which reads as zeroes.
#pragma once

#include "libckpt/base/result.hh"
#include "libckpt/store/page_store.hh"

namespace ckpt {

// Writes what is not zero of the first `bytes`, and makes it durable; how much
// that was. `zero_bytes`: a new block of that size has anything in it once it is
// written to in part, so that it is zeroed first; 0: it has zeroes. Errors:
// ECANCELED by `progress`, EBADMSG damaged.
Result<std::uint64_t> write_disk_image(ImageReader &image, std::uint64_t bytes,
                                       std::uint64_t zero_bytes, int fd, const Progress &progress);

} // namespace ckpt
