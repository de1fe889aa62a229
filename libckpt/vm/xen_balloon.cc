// SPDX-License-Identifier: GPL-2.0-only
#include "libckpt/vm/xen_balloon.hh"

namespace ckpt::xen {

Status Balloon::start() {
    const std::string target = domain_path(domid_, "memory/target");
    CKPT_CHECK(handles_.store.watch(target));
    // A new watch fires once; by the answer to a later question it has.
    handles_.store.read(target);
    handles_.store.take_events();
    total_pages_ = CKPT_TRY(domain_info(handles_.control.get(), domid_)).tot_pages;
    return space_.scan(calls_, total_pages_, [](Pfn, bool) {});
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
    if (limit > space_.limit())
        return fail(ERANGE, "domain {}: its memory space grew; it must be opened again", domid_);
    total_pages_ = total_pages;
    CKPT_CHECK(space_.scan(calls_, total_pages, [&](Pfn pfn, bool present) {
        dirty.insert(pfn);
        result.nr_found++;
        if (present)
            came_.push_back(pfn);
    }));
    if (turned) {
        result.lost = true;
        result.reason = "the guest's memory target changed (ballooning)";
    }
    return {};
}

} // namespace ckpt::xen
