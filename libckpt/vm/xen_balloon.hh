// SPDX-License-Identifier: GPL-2.0-only
// Ballooning of PVH guests, which the dirty log does not show: a frame given
// back or newly put in place is no write. Two signs betray it: the guest's
// number of pages, and its target in xenstore.
//
// Under one target the guest moves one way only, so that pages that came or
// went differ in type from the last look: these are found by a scan. When the
// target changed, a page may have gone and come back between two looks, and
// nothing less than everything is known to be right.
#pragma once

#include <vector>

#include "libckpt/base/page_set.hh"
#include "libckpt/vm/guest_backend.hh"
#include "libckpt/vm/xen_handles.hh"
#include "libckpt/vm/xen_hypercalls.h"

namespace ckpt::xen {

class Balloon {
  public:
    Balloon(Handles &handles, std::uint32_t domid, xen_calls *calls, Pfn limit);

    // Starts watching, from the present state on.
    Status start();
    // All pages that the guest has. From here on what comes or goes is found.
    Status all_pages(PageSet &pages);
    // Adds to `dirty` what came or went since the last look, after a round of
    // the dirty log. `total_pages`: the guest's, now.
    Status look(std::uint64_t total_pages, PageSet &dirty, DirtyResult &result);

  private:
    template <typename Visit> Status scan(bool everything, Visit &&visit);
    bool may_hold_memory(std::size_t chunk) const;

    Handles &handles_;
    std::uint32_t domid_;
    xen_calls *calls_;
    Pfn limit_;
    std::uint64_t total_pages_ = 0, max_pages_ = 0;
    PageSet present_;            // pages with contents at the last scan
    std::vector<bool> chunks_;   // groups of pages in which there were any, ever
    std::vector<Pfn> came_;      // at the last look: written without trace until the next round
    std::vector<std::uint64_t> types_;
};

} // namespace ckpt::xen
