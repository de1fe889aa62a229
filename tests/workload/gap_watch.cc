// SPDX-License-Identifier: GPL-2.0-only
#include "tests/workload/gap_watch.hh"

#include <algorithm>
#include <cstdlib>
#include <ctime>
#include <utility>
#include <x86intrin.h>

namespace ckpt::workload {

namespace {
// CLOCK_BOOTTIME moving by less against CLOCK_MONOTONIC, reading errors apart, is no suspend.
constexpr std::int64_t kSuspendNs = 100'000;
// Clocks read within this are read at one instant.
constexpr std::int64_t kInstantNs = 200'000;
constexpr int kTries = 5;
// The longer the TSC is compared, the better its rate is known.
constexpr unsigned kFirstCalibrationUs = 200'000;
constexpr std::int64_t kCalibrationNs = 5'000'000'000;

std::int64_t now_ns(clockid_t clock) {
    timespec now;
    clock_gettime(clock, &now);
    return now.tv_sec * 1'000'000'000LL + now.tv_nsec;
}

void sleep_us(unsigned us) {
    const timespec span{static_cast<time_t>(us / 1'000'000), static_cast<long>(us % 1'000'000) * 1000};
    nanosleep(&span, nullptr);
}

} // namespace

// Whether the guest was suspended between the two.
bool GapWatch::moved(const Clocks &from, const Clocks &to) {
    return std::abs(to.ahead_ns - from.ahead_ns) > to.error_ns + from.error_ns + kSuspendNs;
}

// All clocks at one instant: the narrowest of some tries. A suspend between two of them ends what
// was tried before: a guest that is restored comes to the same instant, but may find other widths,
// and shall not see its freeze a step earlier or later. One within a try makes that a wide one, after
// which there is another.
GapWatch::Clocks GapWatch::read_clocks() {
    Clocks best{};
    std::uint64_t narrowest = UINT64_MAX;
    for (int i = 0, tries = 0; i < kTries && tries < 4 * kTries; tries++) {
        const std::uint64_t start = __rdtsc();
        const std::int64_t before = now_ns(CLOCK_MONOTONIC);
        const std::int64_t boot = now_ns(CLOCK_BOOTTIME);
        const std::int64_t after = now_ns(CLOCK_MONOTONIC);
        const std::uint64_t width = __rdtsc() - start;
        const std::int64_t half = (after - before) / 2;
        const Clocks now{start + width / 2, before + half, boot - before - half, half};
        const bool wide = width / 8 > narrowest;
        if (width < narrowest || moved(best, now)) {
            narrowest = width;
            best = now;
        }
        if (after - before < kInstantNs && i > 0) // the first try warms the caches
            break;
        i += !wide;
    }
    return best;
}

GapWatch::GapWatch(double threshold_ms, unsigned tick_us)
    : threshold_ms_(threshold_ms), reference_(read_clocks()) {
    sleep_us(kFirstCalibrationUs);
    last_ = read_clocks();
    calibrate();
    ticker_ = std::thread([this, tick_us] { tick(tick_us); });
}

GapWatch::~GapWatch() {
    stop_ = true;
    ticker_.join();
}

void GapWatch::calibrate() {
    calibrated_ns_ = last_.monotonic_ns;
    ticks_per_ms_ = static_cast<double>(last_.tsc - reference_.tsc) /
                    (static_cast<double>(last_.monotonic_ns - reference_.monotonic_ns) / 1e6);
}

void GapWatch::tick(unsigned tick_us) {
    while (!stop_) {
        sleep_us(tick_us);
        const std::lock_guard lock(mutex_);
        look();
        if (last_.monotonic_ns - calibrated_ns_ > kCalibrationNs)
            calibrate();
    }
}

void GapWatch::look() {
    const auto since_last = static_cast<std::int64_t>(__rdtsc() - last_.tsc);
    if (since_last >= 0 && static_cast<double>(since_last) < ticks_per_ms_ / 2)
        return; // no suspend is that short: spare the other clocks
    const Clocks now = read_clocks();
    Gap gap;
    gap.tsc = static_cast<std::int64_t>(now.tsc - last_.tsc);
    gap.tsc_ms = static_cast<double>(gap.tsc) / ticks_per_ms_;
    gap.monotonic_ms = static_cast<double>(now.monotonic_ns - last_.monotonic_ns) / 1e6;
    max_ms_ = std::max(max_ms_, gap.tsc_ms);
    const bool slept = moved(last_, now);
    gap.slept_ms = slept ? static_cast<double>(now.ahead_ns - last_.ahead_ns) / 1e6 : 0;
    gap.suspended = slept || gap.tsc < 0;
    const Clocks previous = std::exchange(last_, now);
    if (gap.suspended) { // CLOCK_MONOTONIC left something out: the rate from here on
        reference_ = now;
        calibrated_ns_ = now.monotonic_ns;
    } else if (previous.error_ns < now.error_ns) { // still true, and known better
        last_.ahead_ns = previous.ahead_ns;
        last_.error_ns = previous.error_ns;
    }
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
