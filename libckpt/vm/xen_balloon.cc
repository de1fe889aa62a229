// SPDX-License-Identifier: GPL-2.0-only
#include "libckpt/vm/xen_balloon.hh"

#include <algorithm>

namespace ckpt::xen {
namespace {

constexpr std::size_t kChunk = XEN_TYPES_MAX;
constexpr Pfn kFourGiB = Pfn{1} << 20;

bool present(std::uint64_t type) {
    return has_contents(static_cast<PageType>(static_cast<std::uint32_t>(type) >> 28));
}

} // namespace

Balloon::Balloon(Handles &handles, std::uint32_t domid, xen_calls *calls, Pfn limit)
    : handles_(handles), domid_(domid), calls_(calls), limit_(limit), present_(limit),
      chunks_((limit + kChunk - 1) / kChunk), types_(kChunk) {}

Status Balloon::start() {
    const std::string target = domain_path(domid_, "memory/target");
    CKPT_CHECK(handles_.store.watch(target));
    // A new watch fires once; by the answer to a later question it has.
    handles_.store.read(target);
    handles_.store.take_events();
    const auto info = CKPT_TRY(domain_info(handles_.control.get(), domid_));
    total_pages_ = info.tot_pages;
    max_pages_ = info.max_pages;
    return {};
}

// Ordinary memory lies from 0 up to the hole below 4 GiB, and above 4 GiB.
bool Balloon::may_hold_memory(std::size_t chunk) const {
    const Pfn first = chunk * kChunk;
    return chunks_[chunk] || first <= max_pages_ || first >= kFourGiB;
}

template <typename Visit> Status Balloon::scan(bool everything, Visit &&visit) {
    for (std::size_t chunk = 0; chunk < chunks_.size(); chunk++) {
        if (!everything && !may_hold_memory(chunk))
            continue;
        const Pfn first = chunk * kChunk;
        const unsigned count = static_cast<unsigned>(std::min<Pfn>(kChunk, limit_ - first));
        for (unsigned i = 0; i < count; i++)
            types_[i] = first + i;
        if (const int error = xen_page_types(calls_, types_.data(), count))
            return fail(error, "domain {}: can't get page types", domid_);
        for (unsigned i = 0; i < count; i++) {
            const bool is = present(types_[i]);
            if (is)
                chunks_[chunk] = true;
            if (is != present_.contains(first + i)) {
                is ? present_.insert(first + i) : present_.erase(first + i);
                visit(first + i, is);
            }
        }
    }
    return {};
}

Status Balloon::all_pages(PageSet &pages) {
    CKPT_CHECK(scan(true, [](Pfn, bool) {}));
    pages.merge(present_);
    return {};
}

Status Balloon::look(std::uint64_t total_pages, PageSet &dirty, DirtyResult &result) {
    for (Pfn pfn : came_)
        dirty.insert(pfn);
    result.nr_found += came_.size();
    came_.clear();
    const bool turned = handles_.store.take_events() > 0;
    if (!turned && total_pages == total_pages_)
        return {};
    xen_pfn_t limit = 0;
    if (xc_domain_nr_gpfns(handles_.control.get(), domid_, &limit))
        return fail(errno, "domain {}: can't get the size of its memory", domid_);
    if (limit > limit_)
        return fail(ERANGE, "domain {}: its memory space grew; it must be opened again", domid_);
    total_pages_ = total_pages;
    CKPT_CHECK(scan(false, [&](Pfn pfn, bool is) {
        dirty.insert(pfn);
        result.nr_found++;
        if (is)
            came_.push_back(pfn);
    }));
    if (turned) {
        result.lost = true;
        result.reason = "the guest's memory target changed (ballooning)";
    }
    return {};
}

} // namespace ckpt::xen
