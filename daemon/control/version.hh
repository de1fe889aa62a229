// SPDX-License-Identifier: GPL-2.0-only
#pragma once

namespace ckpt::control {

inline constexpr const char *kVersion = "0.1";

} // namespace ckpt::control
