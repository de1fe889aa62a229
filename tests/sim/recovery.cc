// SPDX-License-Identifier: GPL-2.0-only
// What a daemon does for its recovery procedure, and what the coordination store
// tells the daemons.
#include "tests/sim/simulation.hh"

#include <algorithm>

namespace ckpt::sim {

void Simulation::feed(unsigned h, const RecoveryEvent &event) {
    HostState &host = hosts_[h];
    if (host.alive && host.daemon && host.recovery)
        act(h, host.recovery->step(event));
}

void Simulation::act(unsigned h, std::vector<RecoveryAction> actions) {
    for (const RecoveryAction &action : actions)
        std::visit([&](const auto &a) { on(h, a); }, action);
}

// Later, if the same daemon of the same boot is still there.
void Simulation::if_same(unsigned h, double seconds, Call call) {
    const ckpt::Host id = hosts_[h].id;
    after(seconds, [this, h, id, call = std::move(call)] {
        if (hosts_[h].alive && hosts_[h].id == id)
            call();
    });
}

// ---- the coordination store

void Simulation::store_operation(unsigned h, Call call) {
    if_same(h, scenario_.store_delay, [this, h, call = std::move(call)] {
        if (reaches_store(h))
            call(); // else lost; all is said again when it answers
    });
}

void Simulation::tell_record() {
    for (unsigned h = 0; h < hosts_.size(); h++)
        if (hosts_[h].alive)
            if_same(h, scenario_.store_delay, [this, h] {
                if (reaches_store(h))
                    feed(h, RecordSeen{store_.record, store_.revision});
            });
    // Whoever leads from now on reads what is there.
    if (const int h = leader(); h >= 0)
        if_same(static_cast<unsigned>(h), 2 * scenario_.store_delay,
                [this, h] { tell_all(static_cast<unsigned>(h)); });
}

void Simulation::tell_up() {
    for (unsigned h = 0; h < hosts_.size(); h++)
        if (hosts_[h].alive)
            if_same(h, scenario_.store_delay, [this, h] {
                if (reaches_store(h))
                    feed(h, HostsUp{store_.up()});
            });
}

void Simulation::tell_all(unsigned h) {
    if (!reaches_store(h))
        return;
    feed(h, HostsUp{store_.up()});
    feed(h, RecordSeen{store_.record, store_.revision});
    const auto reports = store_.reports; // may change while it is told
    for (const auto &[host, report] : reports)
        feed(h, ReportSeen{report});
    const auto done = store_.done;
    for (const ckpt::Host &host : done)
        feed(h, DoneSeen{host, store_.record.incarnation});
}

// The host whose recovery leads, as the store's watchers know it; -1: none.
int Simulation::leader() const {
    int any = -1;
    for (const ckpt::Host &host : store_.leases) {
        const unsigned h = host.node - 1u;
        if (!hosts_[h].alive || hosts_[h].id != host)
            continue;
        if (std::count(store_.record.live.begin(), store_.record.live.end(), host))
            return static_cast<int>(h);
        any = any < 0 ? static_cast<int>(h) : any;
    }
    return any;
}

// ---- actions

void Simulation::on(unsigned h, const Propose &action) {
    if (!reaches_store(h))
        return;
    // Once on its way it arrives, whatever becomes of its sender.
    after(scenario_.store_delay * work_.between(0.5, 2), [this, h, action] {
        if (!store_.answers || !store_.swap(action))
            return;
        const Record &record = store_.record;
        note("record: {} incarnation {}, by node {}{}",
             record.stage == Stage::idle     ? "idle"
             : record.stage == Stage::gather ? "gather"
                                             : "decided",
             record.incarnation, hosts_[h].id.node,
             record.stage == Stage::decided
                 ? fmt::format(", line {}", record.pending.back().k)
                 : "");
        if (record.stage == Stage::decided) {
            result_.recoveries++;
        }
        tell_record();
        if (record.stage != Stage::idle)
            doom_leader();
    });
}

void Simulation::on(unsigned h, const Freeze &action) {
    HostState &host = hosts_[h];
    note("node {}: freezes for incarnation {}", host.id.node, action.incarnation);
    host.apply_epoch++; // an Apply that has not fed the core is dropped
    stop_attempt(host);
    const tlckpt_update u = step(h, TLCKPT_EV_FREEZE);
    if (!u.refusal)
        obey(h, u);
    host.settle_for = action.incarnation;
    settle_if_quiet(h);
}

void Simulation::settle_if_quiet(unsigned h) {
    HostState &host = hosts_[h];
    if (!host.settle_for || host.persisting)
        return;
    Settled settled{host.settle_for, {}};
    host.settle_for = 0;
    std::set<unsigned> here(host.groups.begin(), host.groups.end());
    for (const Place &place : host.recovery->record().decided_places())
        if (place.node == host.id.node && place.group <= groups_.size())
            here.insert(place.group - 1u); // else one that has no guests
    for (unsigned g : here) {
        GuestGroup group = history_of(g);
        if (groups_[g].host == h && groups_[g].running)
            group.present = tlckpt_proto_present(&host.core);
        settled.groups.push_back(std::move(group));
    }
    feed(h, settled);
}

GuestGroup Simulation::history_of(unsigned g) const {
    GuestGroup group{g + 1, {}, {}};
    for (const Image &image : groups_[g].images)
        if (image.fate == Fate::durable)
            group.captures.push_back({image.index, image.prev, image.incarnation, true});
    return group;
}

void Simulation::on(unsigned h, const PublishReport &action) {
    store_operation(h, [this, action] {
        if (action.report.incarnation != store_.record.incarnation)
            return;
        store_.reports[action.report.host] = action.report;
        if (const int l = leader(); l >= 0 && reaches_store(static_cast<unsigned>(l)))
            feed(static_cast<unsigned>(l), ReportSeen{action.report});
    });
}

void Simulation::on(unsigned h, const PublishDone &action) {
    store_operation(h, [this, h, action] {
        if (action.incarnation != store_.record.incarnation)
            return;
        store_.done.insert(hosts_[h].id);
        if (const int l = leader(); l >= 0 && reaches_store(static_cast<unsigned>(l)))
            feed(static_cast<unsigned>(l), DoneSeen{hosts_[h].id, action.incarnation});
    });
}

// Rule R14: after it the host is dead for certain, and writes nothing any more.
void Simulation::on(unsigned h, const Fence &action) {
    if_same(h, scenario_.fence, [this, h, action] {
        const unsigned victim = action.host.node - 1u;
        if (hosts_[victim].alive && hosts_[victim].id == action.host)
            crash(victim, false);
        note("node {}: has fenced node {} boot {}", hosts_[h].id.node, action.host.node,
             action.host.boot);
        feed(h, FenceConfirmed{action.host});
    });
}

void Simulation::on(unsigned h, const ReadHistory &action) {
    if_same(h, scenario_.store_delay, [this, h, action] {
        HistoryRead read{action.host, {}};
        for (GroupId group : action.groups)
            if (group <= groups_.size())
                read.groups.push_back(history_of(group - 1u));
        feed(h, read);
    });
}

void Simulation::on(unsigned h, const Apply &action) {
    HostState &host = hosts_[h];
    const u32 epoch = ++host.apply_epoch;
    // Guests that go back are gone from here on; those of others come here.
    for (const Restore &restore : action.restores) {
        const unsigned g = restore.group - 1u;
        if (groups_[g].host != h)
            std::erase(hosts_[groups_[g].host].groups, g);
        groups_[g].running = false;
        groups_[g].host = h;
        if (!std::count(host.groups.begin(), host.groups.end(), g))
            host.groups.push_back(g);
    }
    const double seconds = action.restores.empty() ? 0 : scenario_.restore;
    if_same(h, seconds, [this, h, epoch, action] {
        if (hosts_[h].apply_epoch == epoch && hosts_[h].daemon)
            finish_apply(h, action);
    });
}

void Simulation::finish_apply(unsigned h, const Apply &apply) {
    HostState &host = hosts_[h];
    for (const Restore &restore : apply.restores) {
        const unsigned g = restore.group - 1u;
        Group &group = groups_[g];
        std::erase_if(group.images, [&](const Image &i) { return i.index > restore.index; });
        if (group.images.empty() || group.images.back().index != restore.index)
            return checker_.fail(fmt::format("group {}: checkpoint {} is not in the store",
                                             restore.group, restore.index));
        group.running = true;
        note("node {}: group {} is back at {}", host.id.node, restore.group, restore.index);
    }
    for (const tlckpt_rollback &rollback : apply.steps) {
        tlckpt_event event{};
        event.type = TLCKPT_EV_ROLLBACK;
        event.rollback = rollback;
        const tlckpt_update u = step(h, event);
        if (u.refusal)
            return checker_.fail(fmt::format("node {}: record {} refused: {}", host.id.node,
                                             rollback.incarnation, u.refusal));
        if (u.todo & TLCKPT_DO_PURGE)
            purge(h, rollback.k);
    }
    std::erase_if(host.ring, [&](const auto &entry) { // of guests that are gone
        const u32 src = frames_[entry.second].src;
        if (std::none_of(apply.restores.begin(), apply.restores.end(),
                         [&](const Restore &r) { return r.group - 1u == src; }))
            return false;
        checker_.lost(frames_[entry.second], "undone");
        free_frame(entry.second);
        return true;
    });
    for (const Restore &restore : apply.restores)
        checker_.went_back(restore.group - 1u, restore.index,
                           groups_[restore.group - 1u].images.back().position,
                           host.core.view.captured);
    // What the logs hold now; frames that are held and logged from here on are delivered.
    std::vector<Frame> frames;
    for (const Restore &restore : apply.restores)
        to_replay(h, restore, frames);
    if (host.core.phase == TLCKPT_CUT)
        capture_before_run(h, frames);
    for (const Frame &frame : frames) {
        follow(frame, h, "replayed");
        result_.replayed++;
        checker_.delivered(frame, false);
    }
    thaw(h, apply.incarnation);
}

// Rule R12: in order, once, what the member's log has of the line.
void Simulation::to_replay(unsigned h, const Restore &restore, std::vector<Frame> &frames) const {
    for (const LogEntry &entry : groups_[restore.group - 1u].images.back().log)
        if (tlckpt_view_replays(&hosts_[h].core.view, &entry.frame.stamp, restore.line))
            frames.push_back(entry.frame);
}

// Guests of different indexes: one capture of all before any of them runs. What is
// about to be replayed comes after it, so it begins the capture's channel log.
void Simulation::capture_before_run(unsigned h, const std::vector<Frame> &frames) {
    HostState &host = hosts_[h];
    open_capture(h);
    for (const Frame &frame : frames)
        for (auto &[group, part] : host.capture.parts)
            if (group == frame.dst)
                part.log.push_back({frame, now()});
    host.attempt++;
    host.attempt_runs = true;
    host.attempt_reason = TLCKPT_TAKEOVER;
    host.guests_stopped = true;
    host.closed_at = now();
    obey(h, step(h, TLCKPT_EV_CUT)); // all its guests are suspended, or at rest
    captured(h);
}

void Simulation::thaw(unsigned h, Incarnation incarnation) {
    HostState &host = hosts_[h];
    obey(h, step(h, TLCKPT_EV_THAW));
    note("node {}: runs in incarnation {} (sn {}, captured {})", host.id.node,
         host.core.view.incarnation, host.core.view.sn, host.core.view.captured);
    feed(h, Applied{incarnation});
}

void Simulation::on(unsigned h, const Stuck &action) {
    note("node {}: {}", hosts_[h].id.node, action.error.message());
    if (action.error.is(ENODATA))
        checker_.fail(action.error.message());
}

void Simulation::on(unsigned h, const StandDown &) {
    note("node {}: stands down", hosts_[h].id.node);
    crash(h, true);
}

} // namespace ckpt::sim
