// SPDX-License-Identifier: GPL-2.0-only
// What goes wrong.
#include "tests/sim/simulation.hh"

#include <algorithm>

namespace ckpt::sim {
namespace {

constexpr double kNs = 1e9;

} // namespace

void Simulation::inject(const Fault &fault) {
    if (resting_)
        return;
    switch (fault.kind) {
    case Fault::Kind::leader_crash:
        doomed_leaders_++;
        return;
    case Fault::Kind::crash:
        return crash(fault.host, true);
    case Fault::Kind::isolation:
        return isolate(fault.host);
    case Fault::Kind::daemon_restart:
        return restart_daemon(fault.host);
    case Fault::Kind::store_outage:
        return store_outage();
    case Fault::Kind::slow_store:
        note("the store is slow");
        store_slowness_ = 10;
        after(scenario_.outage, [this] { store_slowness_ = 1; });
    }
}

// Some time between now and the end of the recovery, as it goes.
void Simulation::doom_leader() {
    if (!doomed_leaders_ || resting_)
        return;
    doomed_leaders_--;
    after(work_.unit() * (scenario_.lease + scenario_.restore), [this] {
        if (const int h = leader(); h >= 0)
            crash(static_cast<unsigned>(h), true);
    });
}

void Simulation::crash(unsigned h, bool lease_runs_out) {
    HostState &host = hosts_[h];
    if (!host.alive)
        return;
    note("node {}: dies (sn {}, captured {}, durable {}, {} frames held)", host.id.node,
         host.core.view.sn, host.core.view.captured, host.core.durable, host.held.size());
    host.alive = false;
    stop_attempt(host);
    host.apply_epoch++;
    host.settle_for = 0;
    host.tick_epoch++;
    drop_all(host, "crash");
    for (const auto &[due, f] : host.ring) {
        checker_.lost(frames_[f], "crash");
        free_frame(f);
    }
    host.ring.clear();
    lose_captures(h);
    const Time flushed = now() - std::min(now(), static_cast<Time>(scenario_.log_flush * kNs));
    for (unsigned g : host.groups) {
        groups_[g].running = false;
        // The youngest frames of the channel log never reached the store.
        for (Image &image : groups_[g].images)
            std::erase_if(image.log, [&](const LogEntry &entry) {
                if (entry.when <= flushed)
                    return false;
                checker_.log_lost(entry.frame);
                return true;
            });
    }
    host.groups.clear();
    if (lease_runs_out) {
        const ckpt::Host id = host.id;
        after(scenario_.lease, [this, id] { expire_lease(id); });
    }
    after(scenario_.reboot, [this, h, id = host.id] {
        if (!hosts_[h].alive && hosts_[h].id == id)
            reboot(h);
    });
}

void Simulation::expire_lease(ckpt::Host id) {
    // Leases do not run out while the store cannot be reached.
    if (!store_.answers) {
        after(scenario_.lease, [this, id] { expire_lease(id); });
        return;
    }
    if (store_.leases.erase(id)) {
        note("the lease of node {} boot {} has run out", id.node, id.boot);
        tell_up();
        if (const int h = leader(); h >= 0)
            if_same(static_cast<unsigned>(h), 2 * scenario_.store_delay,
                    [this, h] { tell_all(static_cast<unsigned>(h)); });
    }
}

void Simulation::reboot(unsigned h) {
    HostState &host = hosts_[h];
    if (!store_.answers) {
        after(scenario_.outage, [this, h] {
            if (!hosts_[h].alive)
                reboot(h);
        });
        return;
    }
    host.alive = true;
    host.isolated = false;
    host.daemon = true;
    host.id.boot++;
    note("node {}: boots again", host.id.node);
    config_.node = host.id.node;
    tlckpt_proto_init(&host.core, &config_, 0, 0);
    host.recovery = std::make_unique<Recovery>(Recovery::Self{host.id, {}, false});
    schedule_tick(h, false);
    store_.leases.insert(host.id);
    tell_up();
    if_same(h, scenario_.store_delay, [this, h] { tell_all(h); });
}

// It runs on, and talks to the others, but does not reach the coordination store: its
// lease runs out. Who is not fenced by then finds that out.
void Simulation::isolate(unsigned h) {
    HostState &host = hosts_[h];
    if (!host.alive || host.isolated)
        return;
    note("node {}: does not reach the store", host.id.node);
    host.isolated = true;
    const ckpt::Host id = host.id;
    after(scenario_.lease, [this, id] { expire_lease(id); });
    if_same(h, scenario_.lease + scenario_.outage, [this, h] {
        note("node {}: reaches the store again", hosts_[h].id.node);
        hosts_[h].isolated = false;
        tell_all(h);
    });
}

void Simulation::restart_daemon(unsigned h) {
    HostState &host = hosts_[h];
    if (!host.alive || !host.daemon)
        return;
    note("node {}: its daemon dies", host.id.node);
    host.daemon = false;
    stop_attempt(host);
    host.apply_epoch++;
    host.settle_for = 0;
    lose_captures(h);
    obey(h, step(h, TLCKPT_EV_OWNER_LOST));
    if_same(h, scenario_.outage, [this, h] {
        HostState &again = hosts_[h];
        note("node {}: its daemon is back", again.id.node);
        again.daemon = true;
        obey(h, step(h, TLCKPT_EV_OWNER_BACK));
        // A node that never entered the run knows no incarnation.
        const tlckpt_view &view = again.core.view;
        const bool fresh = view.frozen && !view.incarnation && !view.sn;
        again.recovery = std::make_unique<Recovery>(Recovery::Self{
            again.id, fresh ? std::nullopt : std::optional(view.incarnation), !view.frozen});
        tell_all(h);
    });
}

void Simulation::store_outage() {
    if (!store_.answers)
        return;
    note("the coordination store does not answer");
    store_.answers = false;
    after(scenario_.outage, [this] {
        note("the coordination store answers again");
        store_.answers = true;
        for (unsigned h = 0; h < hosts_.size(); h++) {
            tell_all(h);
            feed(h, Retry{});
        }
    });
}

} // namespace ckpt::sim
