// SPDX-License-Identifier: GPL-2.0-only
// CRC32C (Castagnoli), the check of every byte on disk. Same value as the
// kernel's crc32c and iSCSI's: "123456789" gives 0xe3069283.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

namespace ckpt {

// `before`: the CRC32C of the bytes in front of these, to go on from.
std::uint32_t crc32c(std::span<const std::byte> bytes, std::uint32_t before = 0);

} // namespace ckpt
