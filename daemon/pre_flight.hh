// SPDX-License-Identifier: GPL-2.0-only
// The verb doctor: what would be captured of this node's guests and what not,
// and whether the node has what that takes.
#pragma once

#include "daemon/requests.hh"

namespace ckpt {

void handle_doctor(ControlServer &server, const RequestContext &context);

} // namespace ckpt
