// SPDX-License-Identifier: GPL-2.0-only
// What a domain is and what it can get: found out, never guessed.
#pragma once

#include <optional>

#include "libckpt/vm/guest_backend.hh"
#include "libckpt/vm/xen_handles.hh"

namespace ckpt::xen {

// What this hypervisor's log-dirty can do, as far as tried; the answer is the
// hypervisor's, not the guest's. Not thread-safe.
struct LogDirtySupport {
    std::optional<bool> pv, pvh;
};

Uuid domain_uuid(const xc_domaininfo_t &info);
RunState run_state(const xc_domaininfo_t &info);

// All of it but what only an open guest knows. A domain that can't be
// protected has its refusal; an error means that it could not be asked.
Result<GuestInfo> probe(Handles &handles, const xc_domaininfo_t &info, LogDirtySupport &support);

} // namespace ckpt::xen
