// SPDX-License-Identifier: GPL-2.0-only
// One guest's image at one index, as the store gives it.
#pragma once

#include <memory>

#include "libckpt/store/guest_files.hh"
#include "libckpt/store/manifest.hh"
#include "libckpt/store/page_store.hh"

namespace ckpt {

// Holds off the removal of the guest's files while the reader lives. `disk`
// outlives it. ENOENT: no such checkpoint, or the guest is not in it.
Result<std::unique_ptr<ImageReader>> open_stored_image(const Disk &disk, const Catalog &catalog,
                                                       Sn sn, const Uuid &guest);

} // namespace ckpt
