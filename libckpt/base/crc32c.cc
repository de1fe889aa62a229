// SPDX-License-Identifier: GPL-2.0-only
#include "libckpt/base/crc32c.hh"

#include <isa-l/crc.h>

namespace ckpt {

std::uint32_t crc32c(std::span<const std::byte> bytes, std::uint32_t before) {
    // Its lengths are ints, and its argument is not const though only read.
    constexpr std::size_t kMost = std::size_t{1} << 30;
    std::uint32_t crc = ~before;
    while (!bytes.empty()) {
        auto part = bytes.first(bytes.size() < kMost ? bytes.size() : kMost);
        auto *data = reinterpret_cast<unsigned char *>(const_cast<std::byte *>(part.data()));
        crc = crc32_iscsi(data, static_cast<int>(part.size()), crc);
        bytes = bytes.subspan(part.size());
    }
    return ~crc;
}

} // namespace ckpt
