// SPDX-License-Identifier: GPL-2.0-only
// Owns every object of the daemon and joins them; no policy.
#pragma once

#include "daemon/config.hh"
#include "libckpt/base/log.hh"
#include "libckpt/base/result.hh"

namespace ckpt {

// Runs the daemon until SIGTERM or SIGINT. Errors: why it could not start.
Status run_daemon(const Config &config, Logger &logger);

} // namespace ckpt
