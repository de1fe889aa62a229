// SPDX-License-Identifier: GPL-2.0-only
#include "daemon/event_loop.hh"

#include <csignal>
#include <ctime>

#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <systemd/sd-event.h>

#include "libckpt/base/assert.hh"

namespace ckpt {

struct EventLoop::Source::State {
    ~State() { end(); }
    void end() { source = sd_event_source_disable_unref(source); }

    sd_event_source *source = nullptr;
    Duration period{};
    FdHandler on_fd;
    Handler on_event;
    // Set while the handler runs, so that it may destroy its own Source.
    std::weak_ptr<State> self;

    static int fd_ready(sd_event_source *, int, std::uint32_t revents, void *data) {
        auto state = static_cast<State *>(data)->self.lock();
        state->on_fd(revents);
        return 0;
    }
    static int timer_due(sd_event_source *source, std::uint64_t, void *data) {
        auto state = static_cast<State *>(data)->self.lock();
        auto period_us = std::chrono::duration_cast<std::chrono::microseconds>(state->period);
        sd_event_source_set_time_relative(source, static_cast<std::uint64_t>(period_us.count()));
        sd_event_source_set_enabled(source, SD_EVENT_ONESHOT);
        state->on_event();
        return 0;
    }
    static int signal_came(sd_event_source *, const struct signalfd_siginfo *, void *data) {
        auto state = static_cast<State *>(data)->self.lock();
        state->on_event();
        return 0;
    }
};

// At once, also inside the handler, which lives on to its end: the descriptor
// may be closed, and its number used again, before the handler returns.
void EventLoop::Source::end() {
    if (state_)
        state_->end();
    state_.reset();
}

EventLoop::Source &EventLoop::Source::operator=(Source &&other) noexcept {
    if (this != &other) {
        end();
        state_ = std::move(other.state_);
    }
    return *this;
}

void EventLoop::Source::set_events(std::uint32_t events) {
    sd_event_source_set_io_events(state_->source, events);
}

Result<std::unique_ptr<EventLoop>> EventLoop::create() {
    sd_event *event = nullptr;
    if (int r = sd_event_new(&event); r < 0)
        return fail(-r, "event loop");
    std::unique_ptr<EventLoop> loop(new EventLoop(event));
    loop->wake_ = Fd(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
    if (!loop->wake_)
        return fail(errno, "event loop: eventfd");
    EventLoop *self = loop.get();
    loop->wake_source_ =
        CKPT_TRY(loop->add_fd(loop->wake_.get(), EPOLLIN, [self](auto) { self->run_posted(); }));
    return loop;
}

EventLoop::~EventLoop() {
    wake_source_ = Source();
    sd_event_unref(event_);
}

Result<EventLoop::Source> EventLoop::add_fd(int fd, std::uint32_t events, FdHandler handler) {
    auto state = std::make_shared<Source::State>();
    state->self = state;
    state->on_fd = std::move(handler);
    int r = sd_event_add_io(event_, &state->source, fd, events, Source::State::fd_ready,
                            state.get());
    if (r < 0)
        return fail(-r, "event loop: watching descriptor {}", fd);
    return Source(std::move(state));
}

Result<EventLoop::Source> EventLoop::add_timer(Duration period, Handler handler) {
    auto state = std::make_shared<Source::State>();
    state->self = state;
    state->period = period;
    state->on_event = std::move(handler);
    auto period_us = std::chrono::duration_cast<std::chrono::microseconds>(period);
    int r = sd_event_add_time_relative(event_, &state->source, CLOCK_MONOTONIC,
                                       static_cast<std::uint64_t>(period_us.count()), 0,
                                       Source::State::timer_due, state.get());
    if (r < 0)
        return fail(-r, "event loop: timer");
    return Source(std::move(state));
}

Result<EventLoop::Source> EventLoop::add_signal(int signal, Handler handler) {
    auto state = std::make_shared<Source::State>();
    state->self = state;
    state->on_event = std::move(handler);
    int r = sd_event_add_signal(event_, &state->source, signal, Source::State::signal_came,
                                state.get());
    if (r < 0)
        return fail(-r, "event loop: signal {}", signal);
    return Source(std::move(state));
}

Status EventLoop::feed_watchdog() {
    if (int r = sd_event_set_watchdog(event_, 1); r < 0)
        return fail(-r, "event loop: watchdog");
    return {};
}

void EventLoop::post(Handler task) {
    {
        std::lock_guard lock(mutex_);
        posted_.push_back(std::move(task));
    }
    std::uint64_t one = 1;
    // Only a full counter can refuse it, and then the loop wakes up anyway.
    [[maybe_unused]] auto written = ::write(wake_.get(), &one, sizeof one);
}

void EventLoop::run_posted() {
    std::uint64_t count;
    [[maybe_unused]] auto got = ::read(wake_.get(), &count, sizeof count);
    std::vector<Handler> tasks;
    {
        std::lock_guard lock(mutex_);
        tasks.swap(posted_);
    }
    for (auto &task : tasks)
        task();
}

void EventLoop::turn(Duration limit) {
    auto us = std::chrono::duration_cast<std::chrono::microseconds>(limit).count();
    int r = sd_event_run(event_, static_cast<std::uint64_t>(us));
    CKPT_ASSERT(r >= 0);
}

int EventLoop::run() {
    int r = sd_event_loop(event_);
    CKPT_ASSERT(r >= 0);
    return r;
}

void EventLoop::exit(int code) { sd_event_exit(event_, code); }

void block_signals() {
    sigset_t set;
    sigemptyset(&set);
    for (int signal : {SIGTERM, SIGINT})
        sigaddset(&set, signal);
    ::sigprocmask(SIG_BLOCK, &set, nullptr);
    ::signal(SIGPIPE, SIG_IGN);
}

} // namespace ckpt
