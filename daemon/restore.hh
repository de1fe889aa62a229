// SPDX-License-Identifier: GPL-2.0-only
// The control verb `restore`: guests of a checkpoint, back to life by stock
// `xl restore`, or one of them as a stream into a descriptor.
#pragma once

#include "daemon/requests.hh"

namespace ckpt {

void handle_restore(ControlServer &server, const RequestContext &context);

} // namespace ckpt
