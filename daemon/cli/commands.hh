// SPDX-License-Identifier: GPL-2.0-only
// The table of what tlckptctl does.
#pragma once

#include <span>

#include "daemon/cli/arguments.hh"

namespace ckpt::cli {

std::span<const Command> commands();

} // namespace ckpt::cli
