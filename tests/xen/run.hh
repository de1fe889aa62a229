// SPDX-License-Identifier: GPL-2.0-only
// Checkpoints of some guests together, by the backend alone.
#pragma once

#include <set>
#include <string>
#include <vector>

#include "libckpt/vm/guest_backend.hh"

namespace ckpt::test {

struct RunOptions {
    std::vector<std::string> guests; // names
    unsigned count = 5;              // checkpoints
    unsigned interval_ms = 2000;     // between them
    unsigned round_ms = 100;         // between dirty rounds; 0: none before the stop
    unsigned timeout_ms = 20000;     // for a guest to suspend
    unsigned hold_ms = 0;            // keeps the guests suspended this long
    std::string await;               // no checkpoint before this file exists
    std::string hold_until;          // keeps the guests suspended until this file exists
    bool verify = false;             // every checkpoint against a second look
    std::set<unsigned> keep;         // checkpoints written as images
    std::string directory = ".";     // DIRECTORY/NAME.K
};

// False: a checkpoint failed, or a page differs without explanation.
Result<bool> run_checkpoints(GuestBackend &backend, const RunOptions &options);

} // namespace ckpt::test
