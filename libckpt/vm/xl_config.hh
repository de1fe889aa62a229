// SPDX-License-Identifier: GPL-2.0-only
// The configuration that xl keeps of a guest: libxl's JSON, as it was when the
// guest was made. What changed since then is put into it here.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "libckpt/base/result.hh"

namespace ckpt::xen {

// Sets b_info.target_memkb, nothing else is changed. xl allows a guest that it
// restores no more memory than this, and tells it to go there.
// EPROTO: this is no configuration of libxl.
Status set_memory_target(std::vector<std::byte> &configuration, std::uint64_t kib);

} // namespace ckpt::xen
