// SPDX-License-Identifier: GPL-2.0-only
// An image as stock `xl restore` takes it: xl's header with the toolstack's
// configuration, around a libxl stream (version 2), around the libxc stream
// (version 3) of the guest's state and pages.
#pragma once

#include "libckpt/base/result.hh"
#include "libckpt/store/page_store.hh"

namespace ckpt {

// Writes it to a file, pipe or FIFO, with the image's configuration or another
// one. `progress` is told bytes of pages, if
// given. Errors: EPIPE the reader went away; ECANCELED by `progress`;
// EOPNOTSUPP an image that Xen can't restore; EBADMSG damaged, and what
// write(2) gives. What was written by then is no image. In-process guests get
// the same frame around their pages and state, for who wants to look.
Status write_restore_stream(ImageReader &image, int fd, const Progress &progress);
Status write_restore_stream(ImageReader &image, const std::vector<std::byte> &configuration,
                            int fd, const Progress &progress);

} // namespace ckpt
