// SPDX-License-Identifier: GPL-2.0-only
// Guests inside the daemon, for tests that have no hypervisor. Each step of a
// guest writes one page, and which page and what is told by the step's number
// alone: whoever knows how many steps an image's guest had made, knows every
// byte of its memory (tests/daemon/process_image.py).
#pragma once

#include <memory>

#include "daemon/config.hh"
#include "libckpt/base/result.hh"
#include "libckpt/vm/guest_backend.hh"

namespace ckpt {

Result<std::unique_ptr<GuestBackend>> start_process_guests(const Config &config);

} // namespace ckpt
