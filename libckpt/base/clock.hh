// SPDX-License-Identifier: GPL-2.0-only
// Time as the library uses it: steady for durations, wall clock for people.
#pragma once

#include <chrono>
#include <cstdint>

namespace ckpt {

using Duration = std::chrono::nanoseconds;
using SteadyTime = std::chrono::steady_clock::time_point;

inline SteadyTime steady_now() { return std::chrono::steady_clock::now(); }

// Nanoseconds since the Unix epoch.
inline std::uint64_t wall_clock_ns() {
    return static_cast<std::uint64_t>(std::chrono::duration_cast<std::chrono::nanoseconds>(
                                          std::chrono::system_clock::now().time_since_epoch())
                                          .count());
}

} // namespace ckpt
