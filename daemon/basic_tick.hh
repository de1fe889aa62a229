// SPDX-License-Identifier: GPL-2.0-only
// When this node's basic period ends (rule R2).
#pragma once

#include <cmath>

#include "libckpt/base/clock.hh"

namespace ckpt {

// How long from `wall` (since the epoch) to the next tick of `node`. Nodes tick at different
// phases of the wall clock, in mode ms the first to checkpoint spares the others theirs; by
// the golden ratio ids that are close get phases that are not. Never sooner than half a
// period, so a tick that came early is not given twice. `period` is positive.
inline Duration until_basic_tick(Duration period, unsigned node, Duration wall) {
    constexpr double kGoldenRatio = 0.6180339887498949;
    const double turns = node * kGoldenRatio;
    const Duration phase(static_cast<Duration::rep>(static_cast<double>(period.count()) *
                                                    (turns - std::floor(turns))));
    const Duration wait = period - (wall - phase) % period;
    return wait < period / 2 ? wait + period : wait;
}

} // namespace ckpt
