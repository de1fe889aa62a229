// SPDX-License-Identifier: GPL-2.0-only
// Other people's programs, run to their end.
#pragma once

#include <string>
#include <vector>

#include "libckpt/base/result.hh"

namespace ckpt {

// What it wrote to its standard output. An error has what it said else; ENOENT:
// it is not installed.
Result<std::string> run_tool(const std::vector<std::string> &command);

} // namespace ckpt
