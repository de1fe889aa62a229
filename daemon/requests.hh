// SPDX-License-Identifier: GPL-2.0-only
// What the control verbs of the node level do.
#pragma once

#include <string>

#include "daemon/config.hh"
#include "daemon/control_server.hh"
#include "daemon/node_level.hh"

namespace ckpt {

struct RequestContext {
    NodeLevel &node;
    PageStore &store;
    GuestBackend &backend;
    const Config &config;
    std::uint64_t started_wall_ns;
};

// Registers all verbs of control/messages.hh. The context's parts outlive the
// server.
void handle_requests(ControlServer &server, const RequestContext &context);

} // namespace ckpt
