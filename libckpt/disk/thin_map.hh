// SPDX-License-Identifier: GPL-2.0-only
// What thin-provisioning-tools tell of a thin device's blocks, as extents.
#pragma once

#include <cstdint>
#include <string_view>

#include "libckpt/disk/disk_provider.hh"

namespace ckpt {

// The output of thin_delta: what differs between two devices, up to `bytes`.
// EBADMSG: it is not that.
Result<DiskExtents> parse_thin_delta(std::string_view xml, std::uint64_t bytes);
// The output of thin_dump for one device: what it has, all of it fresh.
Result<DiskExtents> parse_thin_dump(std::string_view xml, std::uint64_t bytes);

} // namespace ckpt
