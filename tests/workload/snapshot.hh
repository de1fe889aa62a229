// SPDX-License-Identifier: GPL-2.0-only
// The state of a member at one instant: what a checkpoint must bring back.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "tests/workload/gap_watch.hh"
#include "tests/workload/ledger.hh"
#include "tests/workload/member.hh"

namespace ckpt::workload {

struct PeerCounts {
    MemberId id;
    Counts udp_sent, udp_received, tcp_sent, tcp_received;
};

// What the disk log is known to hold.
struct DiskState {
    std::uint64_t issued = 0; // records given to the disk
    std::uint64_t done = 0;   // records that it confirmed
    std::uint64_t chain = 0;  // hash of record `issued`
    std::uint64_t errors = 0;
    std::uint64_t checks = 0;    // times the ring was read back
    std::string verdict = "ok"; // of all checks: the first thing found wrong
};

struct Snapshot {
    MemberId id;
    std::uint64_t step = 0;
    std::uint64_t digest = 0;
    VectorClock clock;
    std::vector<PeerCounts> peers;
    DiskState disk;
};

// The state as a freeze left it, and the gap by which the freeze was seen.
struct Mark {
    Gap gap;
    Snapshot state;
};

} // namespace ckpt::workload
