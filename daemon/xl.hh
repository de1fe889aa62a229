// SPDX-License-Identifier: GPL-2.0-only
// Xen's stock tool, as this daemon uses it. Blocks until the tool has ended.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "libckpt/base/result.hh"

namespace ckpt {

// Runs `xl ARGUMENTS`. `feed`, if given, writes to the tool's standard input,
// through a pipe. Errors: ENOENT there is no xl; what `feed` gave, unless the
// tool failed itself; ECHILD it failed, and the context has what it said.
Status run_xl(const std::vector<std::string> &arguments,
              const std::function<Status(int fd)> &feed = nullptr);

} // namespace ckpt
