// SPDX-License-Identifier: GPL-2.0-only
// The thread of one protected guest: takes orders from the control thread,
// answers into its queue, and writes early in between.
#pragma once

#include <atomic>
#include <condition_variable>
#include <deque>
#include <memory>
#include <mutex>
#include <optional>
#include <thread>
#include <vector>

#include "libckpt/base/fd.hh"
#include "libckpt/node/guest_tracker.hh"
#include "libckpt/node/node_sequence.hh"

namespace ckpt {

// What comes back to the control thread.
struct WorkResult {
    enum class Type : std::uint8_t {
        answered,  // to an order
        primed,    // the first full capture is stored
        lost,      // the guest is gone or can't be followed; takes orders still
        ended,     // the worker has let the guest go, its last result
        committed, // or not: `error`
    };
    Type type = Type::answered;
    Uuid guest{};
    NodeEvent::Type answer = NodeEvent::Type::done;
    std::optional<Error> error{};
    SteadyTime suspended_at{};              // of suspend
    std::optional<VerifyResult> verified{}; // of capture
    GuestParts parts{};                     // of persist
    std::vector<DiskEntry> disks{};         // likewise: those without a part
    Manifest manifest{};                    // of a commit, as the store has it
};

// From many threads to one. fd() is readable while something is in it.
class ResultQueue {
  public:
    static Result<std::unique_ptr<ResultQueue>> create();
    int fd() const { return event_.get(); }
    void push(WorkResult result);
    std::vector<WorkResult> take_all();

  private:
    explicit ResultQueue(Fd event) : event_(std::move(event)) {}
    Fd event_;
    std::mutex mutex_;
    std::vector<WorkResult> results_;
};

// Methods are the control thread's; the tracker is the worker's alone.
class GuestWorker {
  public:
    GuestWorker(std::unique_ptr<GuestTracker> tracker, ResultQueue &results,
                Duration suspend_timeout);
    // Lets the guest go, resumed, once the order under way is done.
    ~GuestWorker();

    const Uuid &uuid() const { return uuid_; }
    // One of a guest's orders; answered once. `most_batches` is for prepare.
    void give(NodeOrder order, unsigned most_batches = 0);
    // The order under way may end early.
    void cancel() { cancelled_ = true; }
    // The attempt is over: committed as this checkpoint, or not.
    void settle(const std::optional<Cut> &committed);
    // Lets the guest go; an `ended` comes when it has.
    void end();
    GuestStatus status() const;

  private:
    enum class Command : std::uint8_t {
        prepare,
        suspend,
        capture,
        resume,
        persist,
        keep,
        discard,
        end
    };
    void post(Command command, unsigned most_batches = 0, const Cut &cut = {});
    void run();
    bool wait_for_command(Command &command);
    void work();
    void carry_out(Command command);
    void answer(const Status &status, WorkResult result);
    void publish();

    const Uuid uuid_;
    ResultQueue &results_;
    const Duration suspend_timeout_;
    std::atomic<bool> cancelled_ = false;

    mutable std::mutex mutex_; // all up to status_
    std::condition_variable changed_;
    std::deque<Command> commands_;
    unsigned most_batches_ = 0; // of prepare
    Cut committed_;             // of keep
    GuestStatus status_;

    // The worker thread's.
    std::unique_ptr<GuestTracker> tracker_;
    bool in_attempt_ = false, told_primed_ = false, told_lost_ = false;
    SteadyTime next_work_{};
    std::thread thread_;
};

} // namespace ckpt
