// SPDX-License-Identifier: GPL-2.0-only
// How often something is due.
#pragma once

#include <algorithm>

#include "libckpt/base/clock.hh"

namespace ckpt::workload {

class Pacer {
  public:
    // `rate` times per second; 0: never.
    explicit Pacer(double rate, SteadyTime now)
        : period_(rate > 0 ? Duration(static_cast<std::int64_t>(1e9 / rate)) : Duration::max()),
          next_(rate > 0 ? now + period_ : SteadyTime::max()) {}

    // How many are due now. What was missed for longer than kLag is given up, so that no burst
    // follows a stop.
    unsigned due(SteadyTime now) {
        if (now < next_)
            return 0;
        if (now - next_ > kLag)
            next_ = now - std::min(kLag, period_);
        const auto count = (now - next_) / period_ + 1;
        next_ += count * period_;
        return static_cast<unsigned>(count);
    }
    SteadyTime next() const { return next_; }

  private:
    static constexpr Duration kLag = std::chrono::milliseconds(50);
    Duration period_;
    SteadyTime next_;
};

} // namespace ckpt::workload
