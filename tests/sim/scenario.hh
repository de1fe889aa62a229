// SPDX-License-Identifier: GPL-2.0-only
// What is simulated: read from a small TOML file, see tests/sim/scenarios.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "libckpt/base/result.hh"

namespace ckpt::sim {

enum class Mode : std::uint8_t { bcs, ms };
enum class Policy : std::uint8_t { hold, pass };
enum class Phase : std::uint8_t {
    random,      // each node's timer starts anywhere in a period
    common,      // all at the same instants
    exponential, // no period: each time from one to the next is drawn anew
};
enum class Pattern : std::uint8_t { uniform, client_server, ring, bursts };
enum class DelayKind : std::uint8_t { fixed, exponential };
enum class Check : std::uint8_t {
    off,
    delivery, // at each frame, constant cost
    full,     // and every message on every line that is chosen
};

// Times are in seconds.
struct Scenario {
    std::string name = "default";

    // [cluster]
    unsigned nodes = 4;
    unsigned guests = 2;  // per node
    Mode mode = Mode::ms;
    double duration = 100;
    double period = 1;      // of the basic timer
    Phase phase = Phase::random;
    double skew = 0;        // clock rates differ by up to this part
    double jitter = 0;      // each period differs by up to this part
    Check check = Check::full;
    bool vary = false;      // each seed draws its own cluster, traffic and network up to these

    // [traffic]
    Pattern pattern = Pattern::uniform;
    double rate = 100;      // frames per second, all guests together
    double locality = -1;   // part that stays within the node; -1: as the pattern has it

    // [network]
    double delay = 0.001;   // mean
    DelayKind delay_kind = DelayKind::exponential;
    double loss = 0;
    double duplicate = 0;
    double reorder = 0;     // part that takes four times as long, so that others overtake it
    double ring = 0;        // until netback takes a frame from its guest's ring and stamps it

    // [checkpoint]
    double request = 0;     // from the request to the closed intake
    double suspend = 0;     // until the last guest is suspended
    double capture = 0;     // until the state is in memory
    double persist = 0;     // until it is durable
    double retry = 0.05;    // after a failed attempt
    double fail_suspend = 0;  // probabilities
    double fail_capture = 0;
    double fail_persist = 0;

    // [hold]
    unsigned frames = 1024;
    double bytes = 16e6;
    double jump = 1e6;
    Policy policy = Policy::hold;
    double grace = 2;

    // [faults]: how often in the run, on average
    double crashes = 0;        // a node dies, and boots again
    double leader_crashes = 0; // whoever leads the next recovery dies in it
    double isolations = 0;     // a node loses its lease and runs on until it is fenced
    double daemon_restarts = 0;
    double store_outages = 0;  // the coordination store does not answer
    double slow_stores = 0;    // checkpoints take ten times as long to persist
    double reboot = 1;         // seconds until a dead node is back
    double outage = 0.5;       // length of outages and of slow times
    double lease = 0.3;        // until a dead node is noticed
    double fence = 0.1;
    double restore = 0.2;
    double log_flush = 0.01;   // age from which a frame of the channel log outlives a crash
    double store_delay = 0.005;  // of one operation on the coordination store
};

// Errors name file and line: "calm.toml:7: [network] loss is 1.5, not within 0..1".
Result<Scenario> parse_scenario(std::string_view text, const std::string &file);
Result<Scenario> load_scenario(const std::string &file);

// "network.loss=0.1" on top of a scenario, checked as in a file.
Status set_in_scenario(Scenario &scenario, std::string_view assignment);

// The scenario as a file that parse_scenario() takes.
std::string scenario_text(const Scenario &scenario);

} // namespace ckpt::sim
