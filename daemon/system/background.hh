// SPDX-License-Identifier: GPL-2.0-only
// Work that may block (store, xl, fence commands) off the control thread, one
// thread each; what follows it is done on the control thread.
#pragma once

#include <functional>
#include <list>
#include <memory>
#include <thread>

#include "daemon/event_loop.hh"

namespace ckpt {

class Background {
  public:
    explicit Background(EventLoop &loop) : loop_(loop) {}
    // Waits for what still works; what would follow is left out.
    ~Background() { finish(); }
    // The same now; nothing may be run after it.
    void finish() {
        alive_.reset();
        for (auto &thread : threads_)
            thread.join();
        threads_.clear();
    }

    // `then` gets what `work` returned.
    template <typename Work, typename Then> void run(Work work, Then then) {
        auto thread = threads_.emplace(threads_.end());
        *thread = std::thread([this, thread, work = std::move(work), then = std::move(then),
                               alive = std::weak_ptr<bool>(alive_)]() mutable {
            auto result = std::make_shared<decltype(work())>(work());
            loop_.post([this, thread, result, then = std::move(then), alive] {
                if (alive.expired())
                    return;
                thread->join();
                threads_.erase(thread);
                then(std::move(*result));
            });
        });
    }

  private:
    EventLoop &loop_;
    std::list<std::thread> threads_;
    std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
};

} // namespace ckpt
