// SPDX-License-Identifier: GPL-2.0-only
// One run: nodes with the shipped core and the shipped recovery procedure, guests
// that talk, a network, clocks, a coordination store, and what goes wrong. The same
// scenario, seed and faults give the same run.
#pragma once

#include <functional>
#include <map>
#include <string>
#include <vector>

#include "tests/sim/checker.hh"
#include "tests/sim/coordination.hh"
#include "tests/sim/event_queue.hh"
#include "tests/sim/host.hh"
#include "tests/sim/random.hh"
#include "tests/sim/scenario.hh"

namespace ckpt::sim {

struct Fault {
    enum class Kind : u8 {
        crash, isolation, daemon_restart, store_outage, slow_store, leader_crash
    } kind;
    Time at = 0;
    unsigned host = 0;  // of the first three
};

struct RunResult {
    std::string wrong;  // the first broken promise, empty if none
    u32 culprit = Checker::kNoMessage;  // the message that broke it
    Time ended = 0;
    u64 events = 0, steps = 0;  // of the simulation; of the core
    u64 frames = 0, local = 0, delivered = 0, held = 0, logged = 0, replayed = 0;
    u64 verdicts[TLCKPT_NR_VERDICTS] = {};
    HostStats checkpoints;
    u64 durable = 0, lost_captures = 0, recoveries = 0, ghosts = 0;
    u64 held_most = 0;         // frames in one hold queue
    u64 lines = 0;             // indexes that every node captured
    double spread = -1;        // of these: mean (last - first node's cut of an index) / period; -1: none
    Sn sn_highest = 0;
    std::vector<std::pair<std::string, u64>> losses;
    std::vector<std::string> trace;
};

struct RunOptions {
    std::uint64_t seed = 1;
    const std::vector<Fault> *faults = nullptr;  // null: drawn from the seed
    Time horizon = 0;                            // 0: the scenario's duration
    bool trace = false;
    u32 follow = Checker::kNoMessage;  // trace this message too
};

// What the seed makes of a scenario with `vary`.
Scenario vary(const Scenario &scenario, std::uint64_t seed);
// The faults that a seed means.
std::vector<Fault> draw_faults(const Scenario &scenario, std::uint64_t seed);

class Simulation {
  public:
    Simulation(const Scenario &scenario, const RunOptions &options);
    RunResult run();

  private:
    using Call = std::function<void()>;

    // simulation.cc: time and clocks
    void start();
    void dispatch(const Event &event);
    void after(double seconds, Call call);
    void at(Time time, Call call);
    Time now() const { return queue_.now(); }
    void schedule_tick(unsigned h, bool first);
    void tick(unsigned h, u32 epoch);
    void housekeeping();
    void audit(HostState &host);
    void rest();
    std::string unrest() const;
    void finish();
    void follow(const Frame &frame, unsigned h, const char *what);
    template <typename... Args> void note(fmt::format_string<Args...> format, Args &&...args);

    // traffic.cc: who sends to whom
    void next_send();
    void send();
    void burst();
    void pick(u32 &src_guest, u32 &dst_group);
    u32 other_group(u32 group);
    bool can_send(u32 group, u32 guest) const;
    void transmit(u32 src_group, u32 dst_group);
    void pull(unsigned h, Time until);
    void to_network(unsigned h, u32 f);

    // channel.cc: frames at a host
    u32 new_frame();
    void free_frame(u32 f);
    void arrive(u32 f);
    void judge(unsigned h, u32 f, bool was_held);
    void keep(HostState &host, u32 f, bool was_held);
    void deliver(unsigned h, u32 f, const tlckpt_update &u);
    void log(const Frame &frame, const tlckpt_range &range, OpenCapture *open);
    void log_held(unsigned h);
    void release(unsigned h);
    void purge(unsigned h, Sn line);
    void drop_all(HostState &host, const char *why);

    // checkpoint.cc: the node checkpoint
    tlckpt_update step(unsigned h, const tlckpt_event &event);
    tlckpt_update step(unsigned h, tlckpt_event_type type, Sn index = 0);
    void obey(unsigned h, const tlckpt_update &u);
    void attempt(unsigned h, u32 which, u32 stage);
    void next_stage(unsigned h, double seconds, u32 stage);
    void begin_attempt(unsigned h);
    void suspended(unsigned h);
    void cut(unsigned h);
    void open_capture(unsigned h);
    void captured(unsigned h);
    void abort_attempt(unsigned h);
    void stop_attempt(HostState &host);
    void persisted(unsigned h, u32 epoch, Sn index);
    void lose_captures(unsigned h);
    void collect_garbage();

    // recovery.cc: what the recovery procedure asks for
    void act(unsigned h, std::vector<RecoveryAction> actions);
    void feed(unsigned h, const RecoveryEvent &event);
    void on(unsigned h, const Propose &action);
    void on(unsigned h, const Freeze &action);
    void on(unsigned h, const PublishReport &action);
    void on(unsigned h, const Fence &action);
    void on(unsigned h, const ReadHistory &action);
    void on(unsigned h, const Apply &action);
    void on(unsigned h, const PublishDone &action);
    void on(unsigned h, const Stuck &action);
    void on(unsigned h, const StandDown &action);
    void settle_if_quiet(unsigned h);
    GuestGroup history_of(unsigned group) const;
    void finish_apply(unsigned h, const Apply &apply);
    void to_replay(unsigned h, const Restore &restore, std::vector<Frame> &frames) const;
    void capture_before_run(unsigned h, const std::vector<Frame> &frames);
    void thaw(unsigned h, Incarnation incarnation);
    void tell_record();
    void tell_up();
    void tell_all(unsigned h);
    int leader() const;
    bool reaches_store(unsigned h) const { return store_.answers && !hosts_[h].isolated; }
    void store_operation(unsigned h, Call call);
    void if_same(unsigned h, double seconds, Call call);

    // faults.cc
    void inject(const Fault &fault);
    void crash(unsigned h, bool lease_runs_out);
    void reboot(unsigned h);
    void isolate(unsigned h);
    void restart_daemon(unsigned h);
    void store_outage();
    void doom_leader();
    void expire_lease(ckpt::Host id);

    const Scenario scenario_;
    const RunOptions options_;
    const Time horizon_;
    const bool can_fail_;   // nodes run the recovery procedure, logs are kept
    const bool instant_;    // checkpoints take no time
    tlckpt_config config_{};
    EventQueue queue_;
    std::vector<HostState> hosts_;
    std::vector<Group> groups_;
    std::vector<Frame> frames_;
    std::vector<u32> free_frames_;
    std::vector<Call> calls_;
    std::vector<u32> free_calls_;
    CoordinationStore store_;
    Checker checker_;
    Random traffic_, network_, clocks_, work_;
    double store_slowness_ = 1;
    unsigned doomed_leaders_ = 0;  // so many leaders die in the recoveries to come
    unsigned touched_ = 0;         // host of the last step
    bool resting_ = false;         // nothing comes from outside any more
    RunResult result_;
    struct IndexSpread {
        Time first = 0;
        Time last = 0;
        unsigned nodes = 0;
    };
    std::map<Sn, IndexSpread> spreads_;
    double spread_sum_ = 0;
    u64 spread_count_ = 0;
    std::size_t trace_next_ = 0;
};

template <typename... Args>
void Simulation::note(fmt::format_string<Args...> format, Args &&...args) {
    constexpr std::size_t kKept = 4000;
    if (!options_.trace)
        return;
    std::string line = fmt::format("{:12.6f}  ", static_cast<double>(now()) / 1e9) +
                       fmt::format(format, std::forward<Args>(args)...);
    if (result_.trace.size() < kKept)
        result_.trace.push_back(std::move(line));
    else
        result_.trace[trace_next_++ % kKept] = std::move(line);
}

} // namespace ckpt::sim
