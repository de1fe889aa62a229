// SPDX-License-Identifier: GPL-2.0-only
#include "libckpt/node/guest_worker.hh"

#include <sys/eventfd.h>

#include "libckpt/base/assert.hh"
#include "libckpt/base/urgent.hh"

namespace ckpt {

Result<std::unique_ptr<ResultQueue>> ResultQueue::create() {
    Fd event(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
    if (!event)
        return fail(errno, "eventfd");
    return std::unique_ptr<ResultQueue>(new ResultQueue(std::move(event)));
}

void ResultQueue::push(WorkResult result) {
    std::lock_guard lock(mutex_);
    results_.push_back(std::move(result));
    std::uint64_t one = 1;
    CKPT_ASSERT(::write(event_.get(), &one, sizeof one) == sizeof one);
}

std::vector<WorkResult> ResultQueue::take_all() {
    std::lock_guard lock(mutex_);
    std::uint64_t count;
    [[maybe_unused]] ssize_t n = ::read(event_.get(), &count, sizeof count);
    return std::exchange(results_, {});
}

GuestWorker::GuestWorker(std::unique_ptr<GuestTracker> tracker, ResultQueue &results,
                         Duration suspend_timeout)
    : uuid_(tracker->guest().info().uuid), results_(results), suspend_timeout_(suspend_timeout),
      status_(tracker->status()), tracker_(std::move(tracker)), thread_([this] { run(); }) {}

GuestWorker::~GuestWorker() {
    end();
    thread_.join();
}

void GuestWorker::post(Command command, unsigned most_batches, const Cut &cut) {
    {
        std::lock_guard lock(mutex_);
        if (command == Command::prepare)
            most_batches_ = most_batches;
        if (command == Command::keep)
            committed_ = cut;
        commands_.push_back(command);
    }
    changed_.notify_one();
}

void GuestWorker::give(NodeOrder order, unsigned most_batches) {
    switch (order) {
    case NodeOrder::prepare:
        return post(Command::prepare, most_batches);
    case NodeOrder::suspend:
        return post(Command::suspend);
    case NodeOrder::capture:
        return post(Command::capture);
    case NodeOrder::resume:
        return post(Command::resume);
    case NodeOrder::persist:
        return post(Command::persist);
    default:
        CKPT_ASSERT(!"not a guest's order");
    }
}

void GuestWorker::settle(const std::optional<Cut> &committed) {
    post(committed ? Command::keep : Command::discard, 0, committed.value_or(Cut()));
}

void GuestWorker::end() {
    cancel();
    post(Command::end);
}

GuestStatus GuestWorker::status() const {
    std::lock_guard lock(mutex_);
    return status_;
}

void GuestWorker::publish() {
    GuestStatus status = tracker_->status();
    std::lock_guard lock(mutex_);
    status_ = std::move(status);
}

void GuestWorker::run() {
    for (;;) {
        Command command;
        if (!wait_for_command(command)) {
            work();
            continue;
        }
        if (command == Command::end)
            break;
        carry_out(command);
    }
    tracker_.reset(); // resumes the guest and stops its dirty log
    results_.push({.type = WorkResult::Type::ended, .guest = uuid_});
}

// False: it is time to write early.
bool GuestWorker::wait_for_command(Command &command) {
    std::unique_lock lock(mutex_);
    auto there = [&] { return !commands_.empty(); };
    if (in_attempt_ || told_lost_)
        changed_.wait(lock, there);
    else if (!changed_.wait_until(lock, next_work_, there))
        return false;
    command = commands_.front();
    commands_.pop_front();
    return true;
}

void GuestWorker::work() {
    Result<Duration> pause = tracker_->work();
    publish();
    if (!pause) {
        told_lost_ = true;
        return results_.push(
            {.type = WorkResult::Type::lost, .guest = uuid_, .error = pause.error()});
    }
    next_work_ = steady_now() + *pause;
    if (tracker_->primed() && !told_primed_) {
        told_primed_ = true;
        results_.push({.type = WorkResult::Type::primed, .guest = uuid_});
    }
}

void GuestWorker::answer(const Status &status, WorkResult result) {
    result.guest = uuid_;
    if (!status) {
        const bool gone = status.error().is(ESHUTDOWN);
        told_lost_ |= gone;
        result.answer = gone ? NodeEvent::Type::gone : NodeEvent::Type::failed;
        result.error = status.error();
    }
    results_.push(std::move(result));
}

void GuestWorker::carry_out(Command command) {
    WorkResult result;
    switch (command) {
    case Command::prepare: {
        in_attempt_ = true;
        unsigned most_batches = [&] {
            std::lock_guard lock(mutex_);
            return most_batches_;
        }();
        Status status = tracker_->prepare(most_batches, cancelled_);
        publish();
        return answer(status, std::move(result));
    }
    case Command::suspend: {
        set_urgent(true); // until it runs again
        Status status = tracker_->suspend(suspend_timeout_);
        set_urgent(status.has_value());
        result.suspended_at = tracker_->suspended_at();
        return answer(status, std::move(result));
    }
    case Command::capture: {
        Status status = tracker_->capture(cancelled_, result.verified);
        return answer(status, std::move(result));
    }
    case Command::resume:
        tracker_->resume();
        set_urgent(false);
        return answer({}, std::move(result));
    case Command::persist: {
        auto parts = tracker_->persist();
        if (!parts)
            return answer(tl::unexpected(parts.error()), std::move(result));
        result.parts = std::move(*parts);
        result.disks = tracker_->other_disks();
        return answer({}, std::move(result));
    }
    case Command::keep:
    case Command::discard:
        if (command == Command::keep)
            tracker_->keep([&] {
                std::lock_guard lock(mutex_);
                return committed_;
            }());
        else
            tracker_->discard();
        set_urgent(false); // of one that went in the pause
        cancelled_ = in_attempt_ = false;
        next_work_ = {};
        return publish();
    case Command::end:
        break;
    }
}

} // namespace ckpt
