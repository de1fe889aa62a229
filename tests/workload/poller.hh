// SPDX-License-Identifier: GPL-2.0-only
// One round of poll(2): who waits for what is said anew each round.
#pragma once

#include <functional>
#include <poll.h>
#include <vector>

#include "libckpt/base/clock.hh"

namespace ckpt::workload {

class Poller {
  public:
    using Handler = std::function<void(short events)>;

    // `handler` is called in this round if one of `events`, an error or a hang-up comes.
    void watch(int fd, short events, Handler handler) {
        polled_.push_back({fd, events, 0});
        handlers_.push_back(std::move(handler));
    }

    // Waits up to `patience`, then calls the handlers. `awake` is called before all of them.
    template <typename Awake> void round(Duration patience, Awake awake) {
        const auto ns = patience.count() > 0 ? patience.count() : 0;
        const timespec limit{static_cast<time_t>(ns / 1'000'000'000), static_cast<long>(ns % 1'000'000'000)};
        const int ready = ppoll(polled_.data(), polled_.size(), &limit, nullptr);
        awake();
        for (std::size_t i = 0; ready > 0 && i < polled_.size(); i++)
            if (polled_[i].revents)
                handlers_[i](polled_[i].revents);
        polled_.clear();
        handlers_.clear();
    }

  private:
    std::vector<pollfd> polled_;
    std::vector<Handler> handlers_;
};

} // namespace ckpt::workload
