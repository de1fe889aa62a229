// SPDX-License-Identifier: GPL-2.0-only
// A failed run made small: fewer faults, a shorter and smaller scenario.
#pragma once

#include <vector>

#include "tests/sim/simulation.hh"

namespace ckpt::sim {

struct SmallRun {
    Scenario scenario;
    std::vector<Fault> faults;
    Time horizon = 0;
    RunResult result;  // with its trace
    unsigned tried = 0;
};

// The run of this scenario and seed fails. Returns the smallest failing run that
// was found within `budget` tries; any broken promise counts.
SmallRun shrink(const Scenario &scenario, std::uint64_t seed, unsigned budget);

std::string describe(const Fault &fault);

} // namespace ckpt::sim
