// SPDX-License-Identifier: GPL-2.0-only
// The verbs that speak to the kernel module instead of the daemon: node, port,
// link, exempt, peer, log, step, monitor.
#pragma once

#include <span>

#include <tl/expected.hpp>

#include "daemon/cli/arguments.hh"
#include "daemon/cli/client.hh"

namespace ckpt::cli {

std::span<const Command> kernel_commands();

// Does one; the reply has one member with the answer. Failure::daemon_said_so: the
// module refused, else it can't be reached.
tl::expected<control::Json, Failure> ask_kernel(const Invocation &invocation);

// Prints events until it is interrupted; the exit code. With argument own the
// node is owned as long as this runs (R8).
int monitor(const Invocation &invocation);

} // namespace ckpt::cli
