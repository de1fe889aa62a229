// SPDX-License-Identifier: GPL-2.0-only
// Compares an image with a second look at the suspended guest, bit for bit.
#pragma once

#include <string>
#include <vector>

#include "tests/xen/memory_image.hh"

namespace ckpt::test {

struct Difference {
    Pfn pfn;
    std::string what; // how it differs
    std::string role; // who writes it, empty: unexplained
};

struct Comparison {
    std::uint64_t nr_compared = 0;
    std::vector<Difference> differences;
    std::size_t nr_unexplained() const;
};

Result<Comparison> compare_with_guest(const MemoryImage &image, Guest &guest);

} // namespace ckpt::test
