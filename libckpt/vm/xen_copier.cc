// SPDX-License-Identifier: GPL-2.0-only
#include "libckpt/vm/xen_copier.hh"

#include <algorithm>
#include <cstring>

#include "libckpt/base/assert.hh"

namespace ckpt::xen {
namespace {

// No type of Xen's: the page can't be had while the guest runs.
constexpr PageType kNotNow{0xff};

} // namespace

Copier::Copier(Handles &handles, std::uint32_t domid, xen_calls *calls, const Space &space)
    : handles_(handles), domid_(domid), calls_(calls), space_(space) {
    retired_.reserve(64); // a pause seldom takes more groups: nothing to allocate in it
}

void Copier::forget(bool keep) {
    size_ = next_ = 0;
    if (keep && mapping_)
        retired_.push_back(std::move(mapping_));
    mapping_.reset();
}

// Finds types and contents of up to kGroup pages.
Status Copier::map_group(std::span<const Pfn> pfns, bool stopped) {
    forget(stopped);
    const unsigned count = static_cast<unsigned>(pfns.size());
    CKPT_ASSERT(count <= kGroup);
    for (unsigned i = 0; i < count; i++) {
        pfns_[i] = pfns[i];
        asked_[i] = space_.frame(pfns[i]);
        types_[i] = asked_[i] == kNoFrame ? PageType::hole : PageType::normal;
        data_[i] = nullptr;
        frames_[i] = asked_[i];
    }
    if (space_.typed()) {
        if (const int error = xen_page_types(calls_, asked_.data(), count))
            return fail(error, "domain {}: can't get page types", domid_);
        for (unsigned i = 0; i < count; i++)
            if (types_[i] != PageType::hole)
                types_[i] = page_type(asked_[i]);
    }
    std::size_t members = 0;
    for (unsigned i = 0; i < count; i++)
        if (has_contents(types_[i])) {
            members_[members] = static_cast<std::uint16_t>(i);
            frames_[members++] = frames_[i];
        }
    if (members) {
        mapping_ = CKPT_TRY(Mapping::create(handles_.memory.get(), domid_,
                                            std::span(frames_).first(members), errors_));
        for (std::size_t m = 0; m < members; m++) {
            const unsigned i = members_[m];
            if (errors_[m])
                types_[i] = kNotNow;
            else
                data_[i] = mapping_.page(m);
        }
    }
    size_ = count;
    return settle_holes(stopped);
}

// What could not be mapped is a hole, or a page that changes just now.
Status Copier::settle_holes(bool stopped) {
    unsigned missing = 0;
    for (unsigned i = 0; i < size_; i++)
        if (types_[i] == kNotNow) {
            members_[missing] = static_cast<std::uint16_t>(i);
            asked_[missing++] = space_.frame(pfns_[i]);
        }
    if (!missing)
        return {};
    if (const int error = xen_page_types(calls_, asked_.data(), missing))
        return fail(error, "domain {}: can't get page types", domid_);
    for (unsigned m = 0; m < missing; m++) {
        const unsigned i = members_[m];
        if (!has_contents(page_type(asked_[m])))
            types_[i] = page_type(asked_[m]);
        else if (stopped)
            return fail(EIO, "domain {}: page {:#x} can't be mapped", domid_, pfns_[i]);
    }
    return {};
}

// Whether the group goes on with exactly these pages.
bool Copier::serves(std::span<const Pfn> pfns) const {
    const std::size_t count = std::min({size_ - next_, pfns.size(), PageBatch::kCapacity});
    return count && std::equal(pfns.begin(), pfns.begin() + static_cast<std::ptrdiff_t>(count),
                               pfns_.begin() + static_cast<std::ptrdiff_t>(next_));
}

Result<std::size_t> Copier::copy(std::span<const Pfn> pfns, bool stopped, PageBatch &batch,
                                 PageSet &deferred) {
    if (!serves(pfns))
        CKPT_CHECK(map_group(pfns.first(std::min(pfns.size(), kGroup)), stopped));
    std::size_t done = 0;
    alignas(8) std::byte table[kPageSize];
    for (; next_ < size_ && done < pfns.size() && !batch.full(); next_++, done++) {
        const Pfn pfn = pfns_[next_];
        const PageType type = types_[next_];
        if (type == kNotNow) {
            deferred.insert(pfn);
        } else if (!data_[next_]) {
            batch.add_empty(pfn, type);
        } else if (type == PageType::normal) {
            std::memcpy(batch.add(pfn, type), data_[next_], kPageSize);
        } else if (space_.store_form(type, data_[next_], table)) {
            std::memcpy(batch.add(pfn, type), table, kPageSize);
        } else if (stopped) {
            return fail(EIO, "domain {}: page table {:#x} refers to frames that aren't the guest's",
                        domid_, pfn);
        } else {
            deferred.insert(pfn);
        }
    }
    return done;
}

Result<std::span<const FoundPage>> Copier::find(std::span<const Pfn> pfns, bool stopped) {
    CKPT_CHECK(map_group(pfns, stopped));
    std::size_t count = 0;
    for (std::size_t i = 0; i < size_; i++)
        if (types_[i] != kNotNow)
            found_[count++] = {pfns_[i], types_[i], data_[i]};
    size_ = 0; // not for copy()
    return std::span<const FoundPage>(found_).first(count);
}

} // namespace ckpt::xen
