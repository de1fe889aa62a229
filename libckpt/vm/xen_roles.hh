// SPDX-License-Identifier: GPL-2.0-only
// Who beside the guest writes its pages, and what its fixed pages are: for
// captures (pages always copied at the stop) and for explaining differences.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "libckpt/base/page.hh"
#include "libckpt/vm/guest_backend.hh"
#include "libckpt/vm/xen_handles.hh"
#include "libckpt/vm/xen_hypercalls.h"
#include "libckpt/vm/xen_space.hh"

namespace ckpt::xen {

struct FixedPage {
    Pfn pfn;
    const char *what;
};

// The rings that Dom0's daemons write without Xen's knowledge.
Result<std::vector<FixedPage>> daemon_rings(Handles &handles, std::uint32_t domid, GuestKind kind,
                                            const Space &space);

// The roles of all pages that have one, as the guest stands suspended now.
Result<std::map<Pfn, std::string>> page_roles(Handles &handles, const xc_domaininfo_t &info,
                                              xen_calls *calls, const Space &space,
                                              const std::vector<FixedPage> &rings);

// Whether these are a page of Xen's FIFO event channels, which nobody but the
// guest knows the place of: known by its form. Empty if not.
std::string event_page_role(const std::byte *page);

} // namespace ckpt::xen
