// SPDX-License-Identifier: GPL-2.0-only
// The daemon's log: standard error, for journald with its <N> prefixes.
#pragma once

#include <memory>

#include "libckpt/base/log.hh"

namespace ckpt {

// For a person's terminal: time and level in words; else "<N>text", which
// journald turns into the message's priority.
std::unique_ptr<Logger> make_stderr_logger(LogLevel least);

} // namespace ckpt
