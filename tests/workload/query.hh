// SPDX-License-Identifier: GPL-2.0-only
// The client of the query port.
#pragma once

#include <string>

#include "libckpt/base/clock.hh"
#include "libckpt/base/result.hh"

namespace ckpt::workload {

// Sends `request` to ADDR[:PORT] and returns the answer, without its end of line. Tries again
// until `patience` has passed, for a guest that is still on its way up or frozen.
Result<std::string> query(const std::string &address, const std::string &request, Duration patience);

} // namespace ckpt::workload
