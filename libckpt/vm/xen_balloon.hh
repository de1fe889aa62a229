// SPDX-License-Identifier: GPL-2.0-only
// Ballooning of PVH guests, which the dirty log does not show: a frame given
// back or newly put in place is no write. Two signs betray it: the guest's
// number of pages, and its target in xenstore.
//
// Under one target the guest moves one way only, so that pages that came or
// went differ from the last look: these are found by a scan. When the target
// changed, a page may have gone and come back between two looks, and nothing
// less than everything is known to be right.
#pragma once

#include <vector>

#include "libckpt/base/page_set.hh"
#include "libckpt/vm/guest_backend.hh"
#include "libckpt/vm/xen_handles.hh"
#include "libckpt/vm/xen_hypercalls.h"
#include "libckpt/vm/xen_space.hh"

namespace ckpt::xen {

class Balloon {
  public:
    Balloon(Handles &handles, std::uint32_t domid, xen_calls *calls, PvhSpace &space)
        : handles_(handles), domid_(domid), calls_(calls), space_(space) {}

    // Finds the guest's pages and watches from here on.
    Status start();
    // Adds to `dirty` what came or went since the last look, after a round of
    // the dirty log. `total_pages`: the guest's, now.
    Status look(std::uint64_t total_pages, PageSet &dirty, DirtyResult &result);

  private:
    Handles &handles_;
    std::uint32_t domid_;
    xen_calls *calls_;
    PvhSpace &space_;
    std::uint64_t total_pages_ = 0;
    std::vector<Pfn> came_; // at the last look: written without trace until the next round
};

} // namespace ckpt::xen
