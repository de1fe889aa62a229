// SPDX-License-Identifier: GPL-2.0-only
// A queue of timed events for time that never goes back: a radix heap (Ahuja,
// Mehlhorn, Orlin, Tarjan 1990). Cost per event does not grow with the number of
// events; events of one time come out in the order in which they went in.
#pragma once

#include <array>
#include <bit>
#include <cstdint>
#include <vector>

#include "libckpt/base/assert.hh"

namespace ckpt::sim {

using Time = std::uint64_t; // nanoseconds since the run began

enum class EventKind : std::uint8_t { send, pull, arrive, tick, attempt, persisted, call };

struct Event {
    Time time = 0;
    EventKind kind = EventKind::call;
    std::uint32_t who = 0;  // host, or frame, or call
    std::uint64_t what = 0; // depends on kind
};

class EventQueue {
  public:
    bool empty() const { return size_ == 0; }
    Time now() const { return now_; }

    void push(const Event &event) {
        CKPT_ASSERT(event.time >= now_);
        buckets_[bucket_of(event.time)].push_back(event);
        size_++;
    }

    // The earliest event; there is one.
    Event pop() {
        if (next_ == buckets_[0].size())
            refill();
        size_--;
        return buckets_[0][next_++];
    }

  private:
    // Bucket 0 holds events of the time `now_`, bucket b those whose highest bit that
    // differs from now_ is bit b-1.
    std::size_t bucket_of(Time time) const {
        return static_cast<std::size_t>(std::bit_width(time ^ now_));
    }

    void refill() {
        CKPT_ASSERT(size_ > 0);
        buckets_[0].clear();
        next_ = 0;
        std::size_t b = 1;
        while (buckets_[b].empty())
            b++;
        Time earliest = ~Time{0};
        for (const Event &event : buckets_[b])
            earliest = std::min(earliest, event.time);
        now_ = earliest;
        // Each goes to a lower bucket, their order kept.
        for (const Event &event : buckets_[b])
            buckets_[bucket_of(event.time)].push_back(event);
        buckets_[b].clear();
    }

    std::array<std::vector<Event>, 65> buckets_;
    std::size_t next_ = 0; // of bucket 0
    std::size_t size_ = 0;
    Time now_ = 0;
};

} // namespace ckpt::sim
