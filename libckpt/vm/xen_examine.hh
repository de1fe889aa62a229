// SPDX-License-Identifier: GPL-2.0-only
// The pre-flight of a domain: its devices and abilities beside memory.
#pragma once

#include <vector>

#include "libckpt/vm/guest_backend.hh"
#include "libckpt/vm/xen_handles.hh"

namespace ckpt::xen {

std::vector<GuestNote> examine(const Xenstore &store, const GuestInfo &guest);

} // namespace ckpt::xen
