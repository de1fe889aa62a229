// SPDX-License-Identifier: GPL-2.0-only
// The guest's own view of being stopped.
//
// What a gap is: a stretch of TSC time in which no thread of this program ran,
// seen by whichever thread runs first after it. A ticker thread looks every
// `tick`, the main thread before every change of state. So a gap is the time user
// space was frozen (the guest's own freeze and thaw included) plus at most one
// tick and one scheduling delay: never less than the truth, at most little more.
// The TSC is used because a guest's CLOCK_MONOTONIC leaves out the time it was
// suspended; it needs tsc_mode="native" in the guest's configuration. Its rate is
// learnt from CLOCK_MONOTONIC, over the time since the start or the last suspend.
// Across a restore a gap is no duration: another host's TSC says something else.
// Two kinds: a gap in which CLOCK_BOOTTIME moved against
// CLOCK_MONOTONIC, or the TSC went back, was a suspend of the whole guest
// (`suspended`); any other was a stall, as slow scheduling or SIGSTOP makes it.
#pragma once

#include <atomic>
#include <cstdint>
#include <mutex>
#include <thread>
#include <vector>

namespace ckpt::workload {

struct Gap {
    std::uint64_t number = 0; // from 1
    std::int64_t tsc = 0;     // in ticks of the TSC; negative: it went back
    double tsc_ms = 0;        // the same in time
    double monotonic_ms = 0;  // the same stretch by CLOCK_MONOTONIC
    double slept_ms = 0;      // by how much CLOCK_BOOTTIME ran ahead of CLOCK_MONOTONIC in it
    bool suspended = false;
};

class GapWatch {
  public:
    // Gaps from `threshold_ms` on are reported, suspends always. Takes 200 ms for a first look at
    // the TSC's rate, then starts the ticker.
    GapWatch(double threshold_ms, unsigned tick_us);
    ~GapWatch();
    GapWatch(const GapWatch &) = delete;
    GapWatch &operator=(const GapWatch &) = delete;

    // Looks at the clock now. Returns the gaps found since the last call, by either thread;
    // nearly always none. Main thread, before every change of its state.
    std::vector<Gap> observe();

    // The longest stretch of TSC time without a look since the last reset, ms.
    double max_ms() const;
    void reset_max();
    double tsc_mhz() const;

  private:
    // What the clocks said at one instant.
    struct Clocks {
        std::uint64_t tsc;
        std::int64_t monotonic_ns;
        std::int64_t ahead_ns; // CLOCK_BOOTTIME - CLOCK_MONOTONIC
        std::int64_t error_ns; // of ahead_ns, at most
    };
    static bool moved(const Clocks &from, const Clocks &to);
    static Clocks read_clocks();
    void calibrate();
    void look();
    void tick(unsigned tick_us);

    const double threshold_ms_;
    mutable std::mutex mutex_; // protects all below
    Clocks reference_;         // from where the TSC's rate is taken
    Clocks last_{};            // at the last look
    std::int64_t calibrated_ns_ = 0;
    double ticks_per_ms_ = 0;
    std::uint64_t nr_gaps_ = 0;
    double max_ms_ = 0;
    std::vector<Gap> pending_;
    std::atomic<bool> stop_ = false;
    std::thread ticker_;
};

} // namespace ckpt::workload
