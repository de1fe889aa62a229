// SPDX-License-Identifier: GPL-2.0-only
// The tool's end of the control socket.
#pragma once

#include <functional>
#include <string>

#include <tl/expected.hpp>

#include "daemon/control/messages.hh"
#include "daemon/control/protocol.hh"

namespace ckpt::cli {

// Why there is no reply.
struct Failure {
    bool daemon_said_so; // else it could not be reached, or talks otherwise
    std::string message;
};

// Sends `request`, with the descriptor `pass` (-1: none) along, to the daemon
// at `socket_path` and waits for its reply.
tl::expected<control::Json, Failure>
ask(const std::string &socket_path, const control::Request &request, int pass,
    const std::function<void(const control::Progress &)> &on_progress);

} // namespace ckpt::cli
