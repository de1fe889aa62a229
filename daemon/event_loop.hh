// SPDX-License-Identifier: GPL-2.0-only
// The control thread's loop: sd-event with closures. Everything here but
// post() is for the control thread only.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <vector>

#include "libckpt/base/clock.hh"
#include "libckpt/base/fd.hh"
#include "libckpt/base/result.hh"

struct sd_event;
struct sd_event_source;

namespace ckpt {

class EventLoop {
  public:
    // What keeps a handler registered. Destroying it, also from inside the
    // handler, ends the registration. The loop outlives its sources.
    class Source {
      public:
        Source() = default;
        Source(Source &&) noexcept = default;
        Source &operator=(Source &&other) noexcept;
        ~Source() { end(); }

        explicit operator bool() const { return state_ != nullptr; }
        // Changes what an fd source waits for (EPOLLIN ...); 0 leaves hang-ups.
        void set_events(std::uint32_t events);

      private:
        friend class EventLoop;
        struct State;
        explicit Source(std::shared_ptr<State> state) : state_(std::move(state)) {}
        void end();
        std::shared_ptr<State> state_;
    };
    using FdHandler = std::function<void(std::uint32_t revents)>;
    using Handler = std::function<void()>;

    static Result<std::unique_ptr<EventLoop>> create();
    ~EventLoop();

    // The fd stays the caller's and open while the source lives.
    Result<Source> add_fd(int fd, std::uint32_t events, FdHandler handler);
    // Calls `handler` every `period`, the first time after one.
    Result<Source> add_timer(Duration period, Handler handler);
    // The signal is blocked in every thread (block_signals()).
    Result<Source> add_signal(int signal, Handler handler);

    // Tells the service manager that the loop turns, if it wants to know.
    Status feed_watchdog();

    // Runs `task` on the control thread, soon. From any thread; order is kept.
    void post(Handler task);

    // Does what comes within `limit`, once: for a loop that ends on a condition.
    void turn(Duration limit);
    // Until exit(); returns its code.
    int run();
    void exit(int code);

  private:
    explicit EventLoop(sd_event *event) : event_(event) {}
    void run_posted();

    sd_event *event_;
    Fd wake_;
    Source wake_source_;
    std::mutex mutex_; // guards posted_
    std::vector<Handler> posted_;
};

// Blocks the signals that the loop handles; before any thread starts.
void block_signals();

} // namespace ckpt
