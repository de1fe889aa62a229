// SPDX-License-Identifier: GPL-2.0-only
// What the control verbs of the node level do.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "daemon/config.hh"
#include "daemon/control_server.hh"
#include "daemon/node_level.hh"
#include "daemon/system/system_level.hh"

namespace ckpt {

struct RequestContext {
    NodeLevel &node;
    PageStore &store;
    GuestBackend &backend;
    const Config &config;
    std::uint64_t started_wall_ns;
    SystemLevel *system; // null: a node alone
    DiskProvider *disks; // null: none
};

// The request's arguments as a T; else the refusal is answered.
template <typename T> std::optional<T> arguments(Call &call) {
    auto decoded = control::decode<T>(call.arguments());
    if (!decoded)
        call.answer(refuse(EINVAL, "the request's arguments are not right: {}",
                           call.arguments().dump()));
    return decoded;
}

// "no checkpoint 7: the store has 5, from 2 to 6"
tl::unexpected<Refused> refuse_sn(PageStore &store, Sn sn);

// Registers all verbs of control/messages.hh. The context's parts outlive the
// server.
void handle_requests(ControlServer &server, const RequestContext &context);

} // namespace ckpt
