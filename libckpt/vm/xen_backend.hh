// SPDX-License-Identifier: GPL-2.0-only
// The guests of this Xen host.
#pragma once

#include <memory>

#include "libckpt/vm/guest_backend.hh"

namespace ckpt {

// ENODEV: no Xen here; EPERM: not root; EPROTO: the hypervisor is another
// version than the program was built for.
Result<std::unique_ptr<GuestBackend>> open_xen_backend();

} // namespace ckpt
