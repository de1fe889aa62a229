// SPDX-License-Identifier: GPL-2.0-only
#include "libckpt/node/image_check.hh"

#include <isa-l/crc64.h>

#include <algorithm>

namespace ckpt {

std::uint64_t ImageCheck::sum(const std::byte *data) {
    if (!data)
        return kNone;
    auto *bytes = reinterpret_cast<const unsigned char *>(data);
    return std::max(crc64_ecma_refl(0, bytes, kPageSize), kLost + 1);
}

void ImageCheck::note(const PageBatch &batch) {
    for (std::size_t i = 0; i < batch.size(); i++)
        sums_[batch.pfn(i)] = sum(batch.data(i));
}

void ImageCheck::forget(const PageSet &pages) {
    pages.for_each([&](Pfn pfn) { sums_[pfn] = kLost; });
}

Result<VerifyResult> ImageCheck::compare(Guest &guest) const {
    VerifyResult result;
    result.guest = guest.info().uuid;
    PageSet seen(sums_.size());
    auto check = [&](Pfn pfn, std::uint64_t now) {
        if (sums_[pfn] != now)
            result.differing.push_back({pfn, guest.page_role(pfn)});
    };
    CKPT_CHECK(guest.read_all([&](Pfn pfn, PageType, const std::byte *data) -> Status {
        result.nr_compared++;
        seen.insert(pfn);
        check(pfn, sum(data));
        return {};
    }));
    for (Pfn pfn = 0; pfn < sums_.size(); pfn++) // pages the guest has no more
        if (!seen.contains(pfn))
            check(pfn, kNone);
    return result;
}

} // namespace ckpt
