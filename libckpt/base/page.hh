// SPDX-License-Identifier: GPL-2.0-only
// Guest memory in the library's words.
#pragma once

#include <cstddef>
#include <cstdint>

namespace ckpt {

// A guest's own frame number: pseudo-physical (PV) or guest-physical (PVH).
using Pfn = std::uint64_t;

inline constexpr std::size_t kPageSize = 4096;

// A page's kind at the capture: the values of Xen's migration stream, of which
// the low nibble is kept. 1..4 are PV page tables, +8 means pinned.
enum class PageType : std::uint8_t {
    normal = 0x0,
    broken = 0xd,
    allocated_only = 0xe, // XALLOC: a frame without contents
    hole = 0xf,           // XTAB: no frame (ballooned out)
};

// Types 0xd..0xf have no contents: nothing is copied, stored or restored.
inline constexpr bool has_contents(PageType type) { return static_cast<std::uint8_t>(type) < 0xd; }

} // namespace ckpt
