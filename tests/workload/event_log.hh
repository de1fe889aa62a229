// SPDX-License-Identifier: GPL-2.0-only
// What happened and should be seen: TCP breaks, corruption, peers that started
// anew. Kept in memory, newest last, and said on standard output (the guest's console).
#pragma once

#include <cstdint>
#include <cstdio>
#include <ctime>
#include <deque>
#include <map>
#include <string>

#include <fmt/format.h>

namespace ckpt::workload {

struct Event {
    std::uint64_t number = 0; // from 1
    double monotonic_s = 0;
    std::string what; // "tcp-break", "corrupt", ...
    std::string peer; // "N.G", or empty
    std::string text;
};

class EventLog {
  public:
    void add(const std::string &what, const std::string &peer, const std::string &text) {
        timespec now;
        clock_gettime(CLOCK_MONOTONIC, &now);
        const double seconds = static_cast<double>(now.tv_sec) + static_cast<double>(now.tv_nsec) / 1e9;
        events_.push_back({++total_, seconds, what, peer, text});
        if (events_.size() > kRoom)
            events_.pop_front();
        counts_[what]++;
        fmt::print("workload: [{:.3f}] {} {} {}\n", seconds, what, peer, text);
        std::fflush(stdout);
    }
    const std::deque<Event> &events() const { return events_; }
    // How many of each kind, the forgotten ones included.
    const std::map<std::string, std::uint64_t> &counts() const { return counts_; }

  private:
    static constexpr std::size_t kRoom = 64;
    std::uint64_t total_ = 0;
    std::deque<Event> events_;
    std::map<std::string, std::uint64_t> counts_;
};

} // namespace ckpt::workload
