// SPDX-License-Identifier: GPL-2.0-only
#include "tests/sim/simulation.hh"

#include <algorithm>

namespace ckpt::sim {
namespace {

constexpr double kNs = 1e9;
constexpr Time kRestLimit = 1'000'000'000'000; // all that goes on must end by then

Time time_of(double seconds) { return static_cast<Time>(seconds * kNs); }

bool any_faults(const Scenario &s) {
    return s.crashes + s.leader_crashes + s.isolations + s.daemon_restarts + s.store_outages + s.slow_stores > 0;
}

} // namespace

Scenario vary(const Scenario &base, std::uint64_t seed) {
    Scenario s = base;
    if (!s.vary)
        return s;
    Random random(seed, 6);
    s.nodes = 2 + random.below(std::max(1u, base.nodes - 1));
    s.guests = 1 + random.below(base.guests);
    s.mode = random.chance(0.5) ? Mode::ms : Mode::bcs;
    s.phase = random.chance(0.8) ? Phase::random : Phase::common;
    s.pattern = static_cast<Pattern>(random.below(4));
    s.locality = random.chance(0.5) ? random.unit() * 0.8 : -1;
    for (double Scenario::*value :
         {&Scenario::loss, &Scenario::duplicate, &Scenario::jitter, &Scenario::skew,
          &Scenario::fail_suspend, &Scenario::fail_capture, &Scenario::fail_persist,
          &Scenario::reorder, &Scenario::ring})
        s.*value = random.chance(0.5) ? base.*value * random.unit() : 0;
    for (double Scenario::*value :
         {&Scenario::delay, &Scenario::request, &Scenario::suspend, &Scenario::capture,
          &Scenario::persist, &Scenario::rate, &Scenario::restore, &Scenario::lease})
        s.*value = base.*value * random.between(0.1, 1);
    if (random.chance(0.2))
        s.frames = 1 + random.below(16);
    return s;
}

std::vector<Fault> draw_faults(const Scenario &s, std::uint64_t seed) {
    const struct {
        Fault::Kind kind;
        double mean;
    } kKinds[] = {{Fault::Kind::crash, s.crashes},
                  {Fault::Kind::isolation, s.isolations},
                  {Fault::Kind::daemon_restart, s.daemon_restarts},
                  {Fault::Kind::store_outage, s.store_outages},
                  {Fault::Kind::slow_store, s.slow_stores},
                  {Fault::Kind::leader_crash, s.leader_crashes}};
    Random random(seed, 4);
    std::vector<Fault> faults;
    for (const auto &[kind, mean] : kKinds) {
        if (mean <= 0)
            continue;
        double t = s.duration * 0.02 + random.exponential(s.duration / mean);
        for (; t < s.duration * 0.9; t += random.exponential(s.duration / mean)) {
            faults.push_back({kind, time_of(t), random.below(s.nodes)});
            // Trouble comes in company: during the recovery from the last one.
            if (random.chance(0.4))
                faults.push_back({kind, time_of(t + random.unit() * (s.lease + s.restore + 0.3)),
                                  random.below(s.nodes)});
        }
    }
    std::stable_sort(faults.begin(), faults.end(),
                     [](const Fault &a, const Fault &b) { return a.at < b.at; });
    return faults;
}

Simulation::Simulation(const Scenario &scenario, const RunOptions &options)
    : scenario_(scenario), options_(options),
      horizon_(options.horizon ? options.horizon : time_of(scenario.duration)),
      can_fail_(any_faults(scenario)),
      instant_(scenario.request + scenario.suspend + scenario.capture + scenario.persist == 0 &&
               scenario.fail_suspend + scenario.fail_capture + scenario.fail_persist == 0 &&
               !any_faults(scenario)),
      hosts_(scenario.nodes), groups_(scenario.nodes),
      checker_(scenario.nodes, scenario.check == Check::full), traffic_(options.seed, 1),
      network_(options.seed, 2), clocks_(options.seed, 3), work_(options.seed, 5) {
    config_.jump = static_cast<u64>(scenario.jump);
    config_.max_frames = scenario.frames;
    config_.max_bytes = static_cast<u64>(scenario.bytes);
    config_.mode = scenario.mode == Mode::ms ? TLCKPT_MODE_MS : TLCKPT_MODE_BCS;
    config_.policy = scenario.policy == Policy::hold ? TLCKPT_POLICY_HOLD : TLCKPT_POLICY_PASS;
    config_.strict = true;
}

// ---- time

void Simulation::at(Time time, Call call) {
    u32 index;
    if (free_calls_.empty()) {
        index = static_cast<u32>(calls_.size());
        calls_.emplace_back();
    } else {
        index = free_calls_.back();
        free_calls_.pop_back();
    }
    calls_[index] = std::move(call);
    queue_.push({time, EventKind::call, index, 0});
}

void Simulation::after(double seconds, Call call) {
    at(now() + time_of(seconds), std::move(call));
}

void Simulation::start() {
    std::vector<ckpt::Host> all;
    for (unsigned h = 0; h < hosts_.size(); h++) {
        HostState &host = hosts_[h];
        host.id = {static_cast<NodeId>(h + 1), 1};
        all.push_back(host.id);
        config_.node = host.id.node;
        // Every group begins with a durable checkpoint of index 1.
        tlckpt_proto_init(&host.core, &config_, 0, 1);
        host.groups.push_back(h);
        groups_[h].host = h;
        groups_[h].images.push_back({1, 0, 0, Fate::durable, 0, {}});
        checker_.captured(h, 1, 0);
        step(h, TLCKPT_EV_THAW);
        host.clock_rate = 1 + scenario_.skew * clocks_.between(-1, 1);
        schedule_tick(h, true);
    }
    if (can_fail_) {
        store_.record = Recovery::founding(all);
        store_.leases.insert(all.begin(), all.end());
        for (unsigned h = 0; h < hosts_.size(); h++) {
            hosts_[h].recovery = std::make_unique<Recovery>(Recovery::Self{hosts_[h].id, 0, true});
            tell_all(h);
        }
        const auto drawn = options_.faults ? *options_.faults
                                           : draw_faults(scenario_, options_.seed);
        for (const Fault &fault : drawn)
            at(fault.at, [this, fault] { inject(fault); });
    }
    next_send();
    after(scenario_.period, [this] { housekeeping(); });
}

void Simulation::schedule_tick(unsigned h, bool first) {
    HostState &host = hosts_[h];
    double period = scenario_.period * host.clock_rate;
    if (scenario_.phase == Phase::exponential)
        period = clocks_.exponential(period);
    else if (first && scenario_.phase == Phase::random)
        period *= clocks_.unit();
    else if (scenario_.jitter > 0)
        period *= 1 + scenario_.jitter * clocks_.between(-1, 1);
    queue_.push({now() + time_of(period), EventKind::tick, h, host.tick_epoch});
}

void Simulation::tick(unsigned h, u32 epoch) {
    HostState &host = hosts_[h];
    if (!host.alive || resting_ || epoch != host.tick_epoch)
        return;
    schedule_tick(h, false);
    if (!host.daemon)
        return;
    const tlckpt_update u = step(h, TLCKPT_EV_TICK);
    host.stats.skipped += (u.note & TLCKPT_NOTE_SKIPPED) != 0;
    obey(h, u);
}

void Simulation::dispatch(const Event &event) {
    switch (event.kind) {
    case EventKind::send:
        send();
        break;
    case EventKind::pull:
        pull(event.who, now());
        break;
    case EventKind::arrive:
        arrive(event.who);
        break;
    case EventKind::tick:
        tick(event.who, static_cast<u32>(event.what));
        break;
    case EventKind::attempt:
        attempt(event.who, static_cast<u32>(event.what >> 8), event.what & 0xff);
        break;
    case EventKind::persisted:
        persisted(event.who, static_cast<u32>(event.what >> 40),
                  event.what & ((u64{1} << 40) - 1));
        break;
    case EventKind::call:
        const Call call = std::move(calls_[event.who]);
        free_calls_.push_back(event.who);
        call();
    }
}

RunResult Simulation::run() {
    start();
    while (!queue_.empty() && checker_.wrong().empty()) {
        const Event event = queue_.pop();
        if (event.time > horizon_ && !resting_) {
            if (scenario_.check != Check::full)
                break;
            resting_ = true;
        }
        if (event.time > horizon_ + kRestLimit) {
            checker_.fail("no end: " + unrest());
            break;
        }
        dispatch(event);
        if (scenario_.check == Check::full)
            audit(hosts_[touched_]);
        result_.events++;
    }
    if (resting_ && checker_.wrong().empty())
        rest();
    finish();
    return std::move(result_);
}

void Simulation::follow(const Frame &frame, unsigned h, const char *what) {
    if (frame.message == options_.follow && checker_.full())
        note("node {}: message {}, group {} to {}, sn {} incarnation {}: {}", hosts_[h].id.node,
             frame.message, frame.src + 1, frame.dst + 1, frame.stamp.sn, frame.stamp.incarnation,
             what);
}

// Once per period: garbage, and the looks that are too dear for every event.
void Simulation::housekeeping() {
    for (HostState &host : hosts_)
        audit(host);
    const bool together = !can_fail_ || (store_.record.stage == Stage::idle &&
                                         std::all_of(groups_.begin(), groups_.end(),
                                                     [](const Group &g) { return g.running; }));
    if (together) {
        collect_garbage();
        if (scenario_.check == Check::full)
            checker_.check_present();
    }
    if (!resting_)
        after(scenario_.period, [this] { housekeeping(); });
}

// Nothing came from outside for a while, and nothing happens any more: everybody must
// be up, together and at work, and what was sent must have come.
void Simulation::rest() {
    if (std::string why = unrest(); !why.empty())
        return checker_.fail("stuck: " + why);
    checker_.check_rest();
    collect_garbage();
}

// Why the cluster is not at rest; empty if it is.
std::string Simulation::unrest() const {
    if (can_fail_ && store_.record.stage != Stage::idle)
        return "a recovery is under way";
    for (const HostState &host : hosts_) {
        const tlckpt_proto &p = host.core;
        const char *why = !host.alive || !host.daemon          ? "is down"
                          : p.view.frozen                      ? "is frozen"
                          : host.guests_stopped                ? "has its guests suspended"
                          : !p.view.intake_open                ? "has its intake closed"
                          : p.held_frames || host.held.size()  ? "holds frames"
                          : p.phase != TLCKPT_IDLE             ? "is at a checkpoint"
                          : p.target > p.view.captured         ? "owes a checkpoint"
                          : host.persisting                    ? "persists"
                          : can_fail_ && p.view.incarnation != store_.record.incarnation
                              ? "is in another incarnation"
                              : nullptr;
        if (why)
            return fmt::format("node {} {}", host.id.node, why);
    }
    for (std::size_t g = 0; g < groups_.size(); g++)
        if (!groups_[g].running)
            return fmt::format("group {} does not run", g + 1);
    return {};
}

// What must hold of a node at any time.
void Simulation::audit(HostState &host) {
    const tlckpt_proto &p = host.core;
    if (!host.alive)
        return;
    if (p.view.captured > p.view.sn || p.view.sn > p.target)
        checker_.fail(fmt::format("node {}: captured <= sn <= target is broken", host.id.node));
    if (p.held_frames != host.held.size() || p.held_frames > scenario_.frames)
        checker_.fail(fmt::format("node {}: {} frames held, the core counts {}, the bound is {}",
                                  host.id.node, host.held.size(), p.held_frames,
                                  scenario_.frames));
    const double bound = scenario_.suspend + scenario_.capture + 0.001;
    if (host.guests_stopped && now() - host.closed_at > time_of(bound))
        checker_.fail(fmt::format("node {}: its guests stay suspended", host.id.node));
}

void Simulation::finish() {
    for (HostState &host : hosts_) {
        audit(host);
        result_.checkpoints.basic += host.stats.basic;
        result_.checkpoints.forced += host.stats.forced;
        result_.checkpoints.other += host.stats.other;
        result_.checkpoints.skipped += host.stats.skipped;
        result_.checkpoints.aborted += host.stats.aborted;
        result_.sn_highest = std::max(result_.sn_highest, host.core.view.sn);
    }
    result_.lines = spread_count_;
    if (spread_count_)
        result_.spread = spread_sum_ / static_cast<double>(spread_count_);
    result_.losses = checker_.losses();
    result_.wrong = checker_.wrong();
    result_.culprit = checker_.culprit();
    result_.ended = std::min(now(), horizon_);
    if (result_.trace.size() > trace_next_ && trace_next_)
        std::rotate(result_.trace.begin(),
                    result_.trace.begin() +
                        static_cast<std::ptrdiff_t>(trace_next_ % result_.trace.size()),
                    result_.trace.end());
}

} // namespace ckpt::sim
