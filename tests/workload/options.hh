// SPDX-License-Identifier: GPL-2.0-only
// What `tlckpt-workload run` is told, by arguments or on the kernel's command line.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "libckpt/base/result.hh"
#include "tests/workload/member.hh"
#include "tests/workload/working_set.hh"

namespace ckpt::workload {

constexpr std::uint16_t kDataPort = 7000;
constexpr std::uint16_t kControlPort = 7001;

struct PeerOption {
    MemberId id;
    std::string address; // as given: ADDR[:PORT]
};

struct Options {
    MemberId id;
    std::vector<PeerOption> peers;
    std::uint16_t port = kDataPort;
    std::uint16_t control = kControlPort;
    WorkingSetOptions memory;
    unsigned dirty_rate = 200;   // pages written per second
    unsigned verify_rate = 256;  // pages verified per second
    unsigned udp_rate = 10;      // messages per second, to all peers together
    unsigned tcp_rate = 10;
    unsigned udp_size = 300;     // largest message, bytes; sizes vary below it
    unsigned tcp_size = 1200;
    unsigned history = 256;      // messages remembered per peer, direction and transport
    double gap_ms = 1000;        // shortest stall that is kept as a mark
    unsigned tick_us = 4000;     // of the ticker: how sharply a freeze is timed
    unsigned console_s = 0;      // a line of state on the console this often; 0: never
    std::string disk;            // block device or file; empty: none
    unsigned disk_period_ms = 250;
    unsigned disk_slots = 256;
};

// Arguments as --name VALUE or --name=VALUE. `--cmdline FILE` reads words wl.name=VALUE of
// FILE (meant: /proc/cmdline) in its place in the order. A peer with the member's own id is left
// out, so that all members can be given one list. Error: EINVAL naming the option.
Result<Options> parse_options(const std::vector<std::string> &arguments);

// The text for `tlckpt-workload help`.
extern const char kOptionsHelp[];

} // namespace ckpt::workload
