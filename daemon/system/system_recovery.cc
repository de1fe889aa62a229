// SPDX-License-Identifier: GPL-2.0-only
// The system level's other half: what the recovery procedure asks for (R9..R15).
#include "daemon/system/system_level.hh"

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>

#include "daemon/node_level.hh"
#include "daemon/put_back.hh"
#include "daemon/xl.hh"

namespace ckpt {

namespace {

constexpr auto kRetryAfter = std::chrono::seconds(3);

Status run_fence_command(const std::string &command, const std::string &name, NodeId id) {
    // The words are ours (node names are checked), the command the administrator's.
    std::string line = fmt::format("TLCKPT_NODE={}; TLCKPT_NODE_ID={}\nexport TLCKPT_NODE "
                                   "TLCKPT_NODE_ID\n{}",
                                   name, id, command);
    int status = std::system(line.c_str());
    if (status != 0)
        return fail(ECHILD, "fence command for {}: ended with status {}", name, status);
    return {};
}

} // namespace

// --- events and actions

void SystemLevel::recovery_event(const RecoveryEvent &event) {
    events_.push_back(event);
    if (std::exchange(events_busy_, true))
        return;
    while (!events_.empty()) {
        RecoveryEvent next = std::move(events_.front());
        events_.erase(events_.begin());
        if (auto *hosts = std::get_if<HostsUp>(&next)) {
            hosts_up_ = {hosts->up.begin(), hosts->up.end()};
            hosts->up = up();
        }
        for (const RecoveryAction &action : recovery_->step(next))
            std::visit([this](const auto &a) { on(a); }, action);
    }
    events_busy_ = false;
}

// Without `auto`, a host without lease counts as there until somebody says
// otherwise.
std::vector<Host> SystemLevel::up() const {
    std::set<Host> up = hosts_up_;
    if (!parts_.config.cluster.automatic)
        for (const Host &host : recovery_->record().live)
            if (!approved_.contains(host))
                up.insert(host);
    return {up.begin(), up.end()};
}

Status SystemLevel::recover() {
    bool any = false;
    for (const Host &host : recovery_->record().live)
        if (!hosts_up_.contains(host))
            any = approved_.insert(host).second || any;
    if (!any)
        return fail(ENOENT, "no node is lost: all {} have their leases",
                    recovery_->record().live.size());
    recovery_event(HostsUp{{hosts_up_.begin(), hosts_up_.end()}});
    return {};
}

void SystemLevel::on(const Propose &action) { coordination_->propose(action); }
void SystemLevel::on(const PublishReport &action) { coordination_->publish(action.report); }

void SystemLevel::on(const PublishDone &action) {
    coordination_->publish_done(action.incarnation);
}

void SystemLevel::on(const Stuck &action) {
    stuck_ = action.error;
    parts_.logger.error("recovery: {}", action.error.message());
}

// --- gather: frozen, reported, fenced

void SystemLevel::on(const Freeze &action) {
    parts_.logger.warning("recovery {}: this node freezes", action.incarnation);
    if (recovery_began_ == SteadyTime{})
        recovery_began_ = steady_now();
    frozen_ = true;
    settle_for_ = action.incarnation;
    settle_if_quiet();
}

// Rule R15: what is reported stays true, so the checkpoint under way comes to
// its end first, durable or not; its limits bound that.
void SystemLevel::settle_if_quiet() {
    if (!settle_for_ || applying_ || !node_->idle())
        return;
    channel_->round();
    if (auto done = step(TLCKPT_EV_FREEZE); !done && !done.error().is(EALREADY))
        parts_.logger.error("freeze: {}", done.error().message());
    settle(std::exchange(settle_for_, 0));
}

void SystemLevel::settle(Incarnation incarnation) {
    background_.run([view = store_view()] { return read_groups(view); },
                    [this, incarnation](Result<Groups> groups) {
                        if (!groups) {
                            parts_.logger.error("recovery: {}", groups.error().message());
                            settle_for_ = incarnation; // the timer tries again
                            return;
                        }
                        auto state = port_->state();
                        const Record &record = recovery_->record();
                        const Incarnation decided = record.decided_incarnation();
                        Settled settled{incarnation, {}};
                        for (GroupId group : groups_here()) {
                            if (!has_guests(group))
                                continue;
                            settled.groups.push_back(to_group(group, (*groups)[group]));
                            if (state && state->incarnation >= decided)
                                settled.groups.back().present = state->sn;
                        }
                        recovery_event(settled);
                    });
}

// Rule R14: the store refuses it, and it is down, or had the time to see that
// it has to be.
void SystemLevel::on(const Fence &action) {
    const Host host = action.host;
    auto catalogue = coordination_->catalogues().find(host.node);
    const std::string name =
        catalogue == coordination_->catalogues().end() ? "" : catalogue->second.name;
    const Incarnation incarnation = recovery_->record().incarnation;
    parts_.logger.warning("recovery {}: fencing node {} ({})", incarnation, host.node, name);
    auto work = [name, host, incarnation, directory = parts_.config.store_directory,
                 command = parts_.config.cluster.fence,
                 wait = coordination_->lease_time() + std::chrono::seconds(3)]() -> Status {
        if (!name.empty())
            CKPT_CHECK(PageStore::fence(directory, name, incarnation));
        if (!command.empty())
            return run_fence_command(command, name, host.node);
        std::this_thread::sleep_for(wait);
        return {};
    };
    background_.run(work, [this, host](Status done) {
        if (done)
            return recovery_event(FenceConfirmed{host});
        stuck_ = done.error();
        parts_.logger.error("recovery: {}", done.error().message());
        retry_later();
    });
}

void SystemLevel::on(const ReadHistory &action) {
    background_.run([view = store_view()] { return read_groups(view); },
                    [this, action](Result<Groups> groups) {
                        if (!groups) {
                            stuck_ = groups.error();
                            parts_.logger.error("recovery: {}", groups.error().message());
                            return retry_later();
                        }
                        HistoryRead read{action.host, {}};
                        for (GroupId group : action.groups)
                            read.groups.push_back(to_group(group, (*groups)[group]));
                        recovery_event(read);
                    });
}

// --- decided: back to the line

std::vector<Rollback> SystemLevel::rollbacks() const {
    std::vector<Rollback> all;
    for (const PastRollback &past : recovery_->record().history)
        all.push_back({past.k, past.incarnation});
    for (const Decision &decision : recovery_->record().pending)
        all.push_back({decision.k, decision.incarnation});
    return all;
}

void SystemLevel::on(const Apply &action) {
    if (std::exchange(applying_, true))
        return;
    for (const tlckpt_rollback &rollback : action.steps)
        parts_.logger.warning("recovery {}: line {}, this node {}", rollback.incarnation, rollback.k,
                              rollback.member ? fmt::format("stands on its checkpoint {}",
                                                            rollback.member)
                                              : std::string("keeps its present state"));
    recovery_decided_ = steady_now();
    node_->stop();
    // Rule R10: only what goes back is built anew.
    std::vector<std::string> failed_parts;
    for (const Host &host : recovery_->record().failed)
        if (auto known = coordination_->catalogues().find(host.node);
            known != coordination_->catalogues().end() && host.node != self_.host.node)
            failed_parts.push_back(known->second.name);
    auto work = [view = store_view(), action, failed_parts, all = rollbacks(),
                 judge = replay_view(action), &logger = parts_.logger]() -> Result<BroughtBack> {
        BroughtBack all_back;
        for (const Restore &restore : action.restores) {
            auto back = CKPT_TRY(bring_back(view, restore.group, restore.index, logger));
            std::ranges::move(back.names, std::back_inserter(all_back.names));
            std::ranges::move(frames_to_replay(back.log, judge, restore.line),
                              std::back_inserter(all_back.log));
        }
        for (const std::string &part : failed_parts)
            CKPT_CHECK(PageStore::drop(view.directory, part, [&](const Manifest &manifest) {
                return undone(manifest, all);
            }));
        return all_back;
    };
    background_.run(work, [this, action](Result<BroughtBack> back) {
        applying_ = false;
        if (settle_for_) // a further failure came meanwhile, nothing was fed yet
            return settle_if_quiet();
        if (!back)
            return apply_failed(action, back.error());
        restored(action, *back);
    });
}

void SystemLevel::apply_failed(const Apply &apply, const Error &error) {
    stuck_ = error;
    parts_.logger.error("recovery {}: {}; trying again", apply.incarnation, error.message());
    retry_later();
}

void SystemLevel::retry_later() {
    auto timer = parts_.loop.add_timer(kRetryAfter, [this] {
        retry_timer_ = EventLoop::Source();
        recovery_event(Retry{});
    });
    if (timer)
        retry_timer_ = std::move(*timer);
}

void SystemLevel::restored(const Apply &apply, const BroughtBack &back) {
    recovery_restored_ = steady_now();
    if (auto done = take_steps(apply); !done)
        return apply_failed(apply, done.error());
    if (must_take_over())
        take_over(apply, back);
    else
        run_guests(apply, back);
}

// What judges the channel logs: the incarnation to come and the lines before it.
tlckpt_view SystemLevel::replay_view(const Apply &apply) const {
    tlckpt_view view{};
    view.node = self_.host.node;
    view.incarnation = apply.incarnation;
    auto all = rollbacks();
    if (all.size() > TLCKPT_NR_UNDONE)
        all.erase(all.begin(), all.end() - TLCKPT_NR_UNDONE);
    // Only the smallest k of all later rollbacks counts (R11).
    Sn smallest = ~Sn{0};
    for (auto rollback = all.rbegin(); rollback != all.rend(); ++rollback)
        rollback->k = smallest = std::min(smallest, rollback->k);
    for (const Rollback &rollback : all)
        view.undone[view.nr_undone++] = {rollback.k, rollback.incarnation};
    return view;
}

Status SystemLevel::take_steps(const Apply &apply) {
    auto entered = store_->enter_incarnation(
        apply.incarnation,
        [all = rollbacks()](const Manifest &manifest) { return undone(manifest, all); });
    CKPT_CHECK(entered);
    if (fresh_ && apply.steps.empty()) {
        // It joins with what it has: new captures go on above it.
        auto manifests = CKPT_TRY(store_->list());
        if (!manifests.empty()) {
            CKPT_CHECK(port_->end());
            CKPT_CHECK(port_->begin(0, manifests.back().sn));
            CKPT_CHECK(port_->own());
            for (const std::string &address : self_.exempt)
                CKPT_CHECK(port_->exempt(address));
        }
    }
    for (const tlckpt_rollback &rollback : apply.steps) {
        tlckpt_event event{};
        event.type = TLCKPT_EV_ROLLBACK;
        event.rollback = rollback;
        if (auto done = port_->step(event); !done && !done.error().is(EALREADY))
            return tl::unexpected(done.error());
    }
    fresh_ = false;
    const bool went_back = std::ranges::any_of(
        apply.steps, [](const tlckpt_rollback &rollback) { return rollback.member != 0; });
    if (went_back)
        channel_->start_anew();
    return {};
}

// The restored guests run and connect their interfaces again, while this node is
// still frozen: what other nodes sent waits until the replay is done.
void SystemLevel::run_guests(const Apply &apply, const BroughtBack &back) {
    // A daemon before this one may have come this far.
    std::vector<std::string> paused = apply.steps.empty() ? names_here() : back.names;
    auto work = [paused, view = store_view(), xen = parts_.config.backend == "xen"] {
        // One that an earlier attempt let run is an error to xl.
        if (xen && !paused.empty())
            [[maybe_unused]] auto run = run_on(paused);
        return read_groups(view);
    };
    background_.run(work, [this, apply, frames = back.log](Result<Groups> groups) {
        if (!groups)
            return apply_failed(apply, groups.error());
        thaw(apply, frames, *groups);
    });
}

u64 SystemLevel::replay(const std::vector<ChannelFrame> &frames) {
    u64 lost = 0;
    for (const ChannelFrame &frame : frames)
        if (auto done = port_->inject(frame.bytes); !done && lost++ == 0)
            parts_.logger.warning("replay: {}", done.error().message());
    replayed_ += frames.size() - lost;
    return lost;
}

void SystemLevel::thaw(const Apply &apply, const std::vector<ChannelFrame> &frames,
                       const Groups &groups) {
    const u64 lost = replay(frames);
    if (!frames.empty())
        parts_.logger.info("recovery {}: {} frame(s) in transit replayed, {} lost",
                           apply.incarnation, frames.size() - lost, lost);
    if (auto done = step(TLCKPT_EV_THAW); !done && !done.error().is(EALREADY))
        return apply_failed(apply, done.error());
    groups_.clear();
    groups_recalled_ = true;
    for (GroupId group : groups_here())
        if (auto has = groups.find(group); has != groups.end())
            groups_[group] = has->second;
    frozen_ = false;
    if (!node_->runs()) // it does after a takeover
        if (auto done = run_node(); !done)
            return apply_failed(apply, done.error());
    stuck_.reset();
    if (recovery_began_ != SteadyTime{}) {
        recoveries_++;
        const SteadyTime now = steady_now();
        recovery_ns_ = static_cast<u64>((now - recovery_began_).count());
        auto seconds = [](Duration time) { return static_cast<double>(time.count()) / 1e9; };
        parts_.logger.warning("recovery {}: this node runs again after {:.1f} s: {:.1f} s until it "
                              "was decided, {:.1f} s to put guests back, {:.1f} s to run them and "
                              "replay",
                              apply.incarnation, seconds(now - recovery_began_),
                              seconds(recovery_decided_ - recovery_began_),
                              seconds(recovery_restored_ - recovery_decided_),
                              seconds(now - recovery_restored_));
        recovery_began_ = {};
    } else {
        parts_.logger.info("this node takes part in incarnation {}", apply.incarnation);
    }
    publish_catalogue();
    recovery_event(Applied{apply.incarnation});
}

// --- this node as the others may see it

// A node that etcd can't hear asks the store whether it was fenced; one that
// neither answers has to take itself for lost (R14).
void SystemLevel::watch_over_ourselves() {
    settle_if_quiet();
    const Duration lease = coordination_->lease_time();
    if (coordination_->silence() <= lease) {
        store_answered_ = steady_now();
        if (std::exchange(self_fenced_, false)) {
            parts_.logger.warning("the cluster is reached again: the guests run on");
            node_->pause_guests(false);
        }
        return;
    }
    if (!std::exchange(store_asked_, true))
        background_.run([store = store_] { return store->check_owner(); }, [this](Status owner) {
            store_asked_ = false;
            if (owner)
                store_answered_ = steady_now();
            else if (owner.error().is(ESTALE))
                stand_down(owner.error().message());
        });
    if (!self_fenced_ && steady_now() - store_answered_ > lease) {
        self_fenced_ = true;
        parts_.logger.error("neither etcd nor the store can be reached: guests paused, for others "
                            "may run them");
        node_->pause_guests(true);
    }
}

void SystemLevel::on(const StandDown &) {
    stand_down("its guests run elsewhere, or will");
}

void SystemLevel::stand_down(const std::string &why) {
    if (verdict_)
        return;
    verdict_ = fail(ESTALE, "this node was declared lost ({}): it stops its guests and starts anew",
                    why)
                   .value();
    parts_.logger.error("{}", verdict_->message());
    frozen_ = true;
    auto names = node_->protected_names();
    node_->stop();
    auto work = [names, xen = parts_.config.backend == "xen"] {
        for (const std::string &name : names)
            if (xen)
                [[maybe_unused]] auto gone = run_xl({"destroy", name});
        return true;
    };
    background_.run(work, [this](bool) {
        if (auto gone = port_->end(); !gone)
            parts_.logger.error("{}", gone.error().message());
        std::error_code error;
        std::filesystem::remove(parts_.config.state_directory + "/boot", error);
        parts_.loop.exit(0);
    });
}

} // namespace ckpt
