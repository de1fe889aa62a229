// SPDX-License-Identifier: GPL-2.0-only
#include "tests/workload/workload.hh"

#include <algorithm>
#include <sys/random.h>

namespace ckpt::workload {

namespace {
// Wakes are bundled to at most one per this, whatever the rates.
constexpr Duration kBundle = std::chrono::milliseconds(10);
constexpr Duration kLongestWait = std::chrono::milliseconds(200);

std::uint64_t draw_run() {
    std::uint64_t run = 0;
    while (run == 0 && getrandom(&run, sizeof run, GRND_NONBLOCK) != sizeof run)
        run = wall_clock_ns(); // no randomness yet, early in a guest's life: the time will do
    return run;
}
} // namespace

Result<std::unique_ptr<Workload>> Workload::create(const Options &options) {
    WorkingSet memory = CKPT_TRY(WorkingSet::create(options.memory));
    std::unique_ptr<Workload> self(new Workload(options, std::move(memory)));
    Workload &w = *self;
    w.exchange_ = CKPT_TRY(
        Exchange::open(w.options_, w.run_, w.log_, [&w] { w.notice_freeze(); }));
    if (!options.disk.empty())
        w.disk_ = CKPT_TRY(DiskLog::open(options.disk, options.disk_slots, w.run_));
    w.control_ = std::make_unique<Control>(CKPT_TRY(Control::open(
        options.control, [&w](const std::string &request) { return w.answer(request); })));
    w.log_.add("start", options.id.text(),
               fmt::format("run {:016x}, {} pages, {} peers, TSC {:.0f} MHz", w.run_,
                           options.memory.pages, options.peers.size(), w.gaps_.tsc_mhz()));
    return self;
}

Workload::Workload(const Options &options, WorkingSet memory)
    : options_(options), run_(draw_run()), memory_(std::move(memory)),
      gaps_(options.gap_ms, options.tick_us), dirty_(options.dirty_rate, steady_now()),
      verify_(options.verify_rate, steady_now()), udp_(options.udp_rate, steady_now()),
      tcp_(options.tcp_rate, steady_now()),
      record_(options.disk.empty() ? 0 : 1000.0 / options.disk_period_ms, steady_now()),
      console_(options.console_s ? 1.0 / options.console_s : 0, steady_now()) {}

// Before any change of state: if user space was frozen since the last look, the state now is
// the state at the freeze.
void Workload::notice_freeze() {
    for (const Gap &gap : gaps_.observe()) {
        keep({gap, snapshot()});
        fmt::print("workload: mark {} step {} {} tsc {:.1f} ms slept {:.1f} ms\n", gap.number,
                   memory_.step(), gap.suspended ? "suspend" : "stall", gap.tsc_ms, gap.slept_ms);
        std::fflush(stdout);
        if (disk_ && gap.suspended)
            disk_->ask_check();
    }
}

void Workload::keep(Mark mark) {
    marks_.push_back(std::move(mark));
    if (marks_.size() <= kMaxMarks)
        return;
    const auto stall = std::find_if(marks_.begin(), marks_.end(),
                                    [](const Mark &old) { return !old.gap.suspended; });
    marks_.erase(stall == marks_.end() ? marks_.begin() : stall);
}

Snapshot Workload::snapshot() const {
    Snapshot state;
    state.id = options_.id;
    state.step = memory_.step();
    state.digest = memory_.digest();
    state.clock = exchange_->clock();
    for (const auto &peer : exchange_->peers())
        state.peers.push_back({peer->id, peer->udp_sent.counts(), peer->udp_received.counts(),
                               peer->tcp_sent.counts(), peer->tcp_received.counts()});
    if (disk_)
        state.disk = disk_->state();
    return state;
}

Duration Workload::patience(SteadyTime now) const {
    SteadyTime first = std::min(dirty_.next(), verify_.next());
    if (talking_)
        first = std::min({first, udp_.next(), tcp_.next()});
    first = std::min(first, record_.next());
    return first > now + kLongestWait ? kLongestWait : std::max<Duration>(first - now, kBundle);
}

void Workload::work(SteadyTime now) {
    for (unsigned i = dirty_.due(now); i > 0; i--) {
        notice_freeze();
        memory_.write_one();
    }
    if (const unsigned pages = verify_.due(now))
        memory_.verify_some(pages);
    const unsigned datagrams = udp_.due(now), records = tcp_.due(now);
    for (unsigned i = 0; talking_ && i < datagrams; i++)
        exchange_->send_udp(memory_.step());
    for (unsigned i = 0; talking_ && i < records; i++)
        exchange_->send_tcp(memory_.step());
    exchange_->reconnect(now);
    log_to_disk(now);
    if (console_.due(now))
        say_state();
}

void Workload::log_to_disk(SteadyTime now) {
    if (!disk_ || !record_.due(now))
        return;
    notice_freeze();
    disk_->append(snapshot()); // a record that finds the disk busy is left out
}

void Workload::say_state() const {
    fmt::print("workload: step {} digest {:016x} verify {} marks {} max gap {:.1f} ms\n",
               memory_.step(), memory_.digest(), memory_.good() ? "ok" : "BAD",
               marks_.empty() ? 0 : marks_.back().gap.number, gaps_.max_ms());
    std::fflush(stdout);
}

void Workload::run() {
    while (!quit_) {
        Poller poller;
        exchange_->watch(poller);
        control_->watch(poller);
        poller.round(patience(steady_now()), [this] { notice_freeze(); });
        work(steady_now());
    }
}

} // namespace ckpt::workload
