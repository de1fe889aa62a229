// SPDX-License-Identifier: GPL-2.0-only
#include "tests/workload/gap_watch.hh"

#include <algorithm>
#include <ctime>
#include <utility>
#include <x86intrin.h>

namespace ckpt::workload {

namespace {
// CLOCK_BOOTTIME moving by less against CLOCK_MONOTONIC is reading noise, not a suspend.
constexpr std::int64_t kSuspendNs = 200'000;
constexpr std::int64_t kNoiseNs = 100'000;
// The longer the TSC is compared, the better its rate is known.
constexpr unsigned kFirstCalibrationUs = 200'000;
constexpr std::int64_t kCalibrationNs = 5'000'000'000;

std::int64_t now_ns(clockid_t clock) {
    timespec now;
    clock_gettime(clock, &now);
    return now.tv_sec * 1'000'000'000LL + now.tv_nsec;
}

struct Clocks {
    std::int64_t monotonic_ns;
    std::int64_t ahead_ns;
    bool sharp; // the two clocks were read close enough together to be compared
};

Clocks read_clocks() {
    Clocks best{};
    std::int64_t narrowest = INT64_MAX;
    for (int i = 0; i < 20 && narrowest > kNoiseNs; i++) {
        const std::int64_t before = now_ns(CLOCK_MONOTONIC);
        const std::int64_t boot = now_ns(CLOCK_BOOTTIME);
        const std::int64_t after = now_ns(CLOCK_MONOTONIC);
        if (after - before < narrowest) {
            narrowest = after - before;
            best = {before, boot - before - narrowest / 2, narrowest <= kNoiseNs};
        }
    }
    return best;
}

void sleep_us(unsigned us) {
    const timespec span{static_cast<time_t>(us / 1'000'000), static_cast<long>(us % 1'000'000) * 1000};
    nanosleep(&span, nullptr);
}

} // namespace

// The narrowest of some tries.
GapWatch::Pair GapWatch::read_pair() {
    Pair best{};
    std::uint64_t narrowest = UINT64_MAX;
    for (int i = 0; i < 10; i++) {
        const std::uint64_t before = __rdtsc();
        const std::int64_t ns = now_ns(CLOCK_MONOTONIC);
        const std::uint64_t width = __rdtsc() - before;
        if (width < narrowest) {
            narrowest = width;
            best = {before + width / 2, ns};
        }
    }
    return best;
}

GapWatch::GapWatch(double threshold_ms, unsigned tick_us)
    : threshold_ms_(threshold_ms), reference_(read_pair()) {
    sleep_us(kFirstCalibrationUs);
    calibrate(read_pair());
    const Clocks clocks = read_clocks();
    last_tsc_ = __rdtsc();
    last_monotonic_ns_ = clocks.monotonic_ns;
    last_ahead_ns_ = clocks.ahead_ns;
    ticker_ = std::thread([this, tick_us] { tick(tick_us); });
}

GapWatch::~GapWatch() {
    stop_ = true;
    ticker_.join();
}

void GapWatch::calibrate(const Pair &now) {
    calibrated_ = now;
    ticks_per_ms_ = static_cast<double>(now.tsc - reference_.tsc) /
                    (static_cast<double>(now.monotonic_ns - reference_.monotonic_ns) / 1e6);
}

void GapWatch::tick(unsigned tick_us) {
    while (!stop_) {
        sleep_us(tick_us);
        const std::lock_guard lock(mutex_);
        look();
        if (last_monotonic_ns_ - calibrated_.monotonic_ns > kCalibrationNs)
            calibrate(read_pair());
    }
}

void GapWatch::look() {
    const std::uint64_t tsc = __rdtsc();
    Gap gap;
    gap.tsc = static_cast<std::int64_t>(tsc - last_tsc_);
    gap.tsc_ms = static_cast<double>(gap.tsc) / ticks_per_ms_;
    last_tsc_ = tsc;
    max_ms_ = std::max(max_ms_, gap.tsc_ms);
    if (gap.tsc_ms >= 0 && gap.tsc_ms < 0.5)
        return; // no suspend is that short: spare the other clocks
    const Clocks clocks = read_clocks();
    gap.monotonic_ms = static_cast<double>(clocks.monotonic_ns - last_monotonic_ns_) / 1e6;
    last_monotonic_ns_ = clocks.monotonic_ns;
    if (clocks.sharp) {
        const std::int64_t slept = clocks.ahead_ns - last_ahead_ns_;
        if (slept > kSuspendNs || slept < -kSuspendNs)
            gap.slept_ms = static_cast<double>(slept) / 1e6;
        last_ahead_ns_ = clocks.ahead_ns;
    }
    gap.suspended = gap.slept_ms != 0 || gap.tsc < 0;
    if (gap.suspended) // CLOCK_MONOTONIC left something out: the rate from here on
        reference_ = calibrated_ = read_pair();
    if (!gap.suspended && gap.tsc_ms < threshold_ms_)
        return;
    gap.number = ++nr_gaps_;
    pending_.push_back(gap);
}

std::vector<Gap> GapWatch::observe() {
    const std::lock_guard lock(mutex_);
    look();
    return std::exchange(pending_, {});
}

double GapWatch::tsc_mhz() const {
    const std::lock_guard lock(mutex_);
    return ticks_per_ms_ / 1000;
}

double GapWatch::max_ms() const {
    const std::lock_guard lock(mutex_);
    return max_ms_;
}

void GapWatch::reset_max() {
    const std::lock_guard lock(mutex_);
    max_ms_ = 0;
}

} // namespace ckpt::workload
