// SPDX-License-Identifier: GPL-2.0-only
#include "tests/xen/verify.hh"

#include <algorithm>

namespace ckpt::test {
namespace {

std::string describe(const std::byte *stored, const std::byte *live) {
    std::string text;
    unsigned words = 0;
    for (std::size_t at = 0; at < kPageSize; at += 8) {
        std::uint64_t a, b;
        std::memcpy(&a, stored + at, 8);
        std::memcpy(&b, live + at, 8);
        if (a != b && words++ < 4)
            text += fmt::format(" +{:#05x} {:016x}->{:016x}", at, a, b);
    }
    return fmt::format("{} words:{}", words, text);
}

} // namespace

std::size_t Comparison::nr_unexplained() const {
    return static_cast<std::size_t>(std::count_if(differences.begin(), differences.end(),
                                                  [](const auto &d) { return d.role.empty(); }));
}

Result<Comparison> compare_with_guest(const MemoryImage &image, Guest &guest) {
    Comparison result;
    std::vector<bool> seen(image.limit());
    CKPT_CHECK(guest.read_all([&](Pfn pfn, PageType type, const std::byte *data) -> Status {
        seen[pfn] = true;
        result.nr_compared++;
        if (type != image.type(pfn))
            result.differences.push_back(
                {pfn, fmt::format("type {:x} stored, {:x} now",
                                  static_cast<unsigned>(image.type(pfn)), static_cast<unsigned>(type)),
                 {}});
        else if (data && std::memcmp(data, image.contents(pfn), kPageSize) != 0)
            result.differences.push_back({pfn, describe(image.contents(pfn), data), {}});
        return {};
    }));
    for (Pfn pfn = 0; pfn < image.limit(); pfn++)
        if (!seen[pfn] && image.type(pfn) != PageType::hole)
            result.differences.push_back({pfn, "stored, but a hole now", {}});
    for (Difference &difference : result.differences)
        difference.role = guest.page_role(difference.pfn);
    return result;
}

} // namespace ckpt::test
