// SPDX-License-Identifier: GPL-2.0-only
// The node checkpoint: what the daemon does when the core asks for one.
#include "tests/sim/simulation.hh"

#include <algorithm>

namespace ckpt::sim {
namespace {

constexpr double kNs = 1e9;

enum Stage : u32 { kBegin, kSuspended, kCaptured };

} // namespace

tlckpt_update Simulation::step(unsigned h, const tlckpt_event &event) {
    tlckpt_update u;
    tlckpt_proto_step(&hosts_[h].core, &event, &u);
    result_.steps++;
    touched_ = h;
    return u;
}

tlckpt_update Simulation::step(unsigned h, tlckpt_event_type type, Sn index) {
    tlckpt_event event{};
    event.type = type;
    event.index = index;
    return step(h, event);
}

// All but what concerns a single frame, in the order of TLCKPT_DO_*.
void Simulation::obey(unsigned h, const tlckpt_update &u) {
    HostState &host = hosts_[h];
    if (u.todo & TLCKPT_DO_LOG_HELD)
        log_held(h);
    if (u.todo & TLCKPT_DO_RELEASE)
        release(h);
    if (u.todo & TLCKPT_DO_REQUEST) {
        note("node {}: {} checkpoint {} requested (sn {}, captured {}, cause: node {} sn {})",
             host.id.node, tlckpt_reason_name(u.reason), u.target, host.core.view.sn,
             host.core.view.captured, u.cause_peer, u.cause_sn);
        if (!host.attempt_runs) {
            host.attempt_runs = true;
            host.attempt++;
            const bool retry = u.note & TLCKPT_NOTE_RETRY;
            if (instant_)
                begin_attempt(h);
            else
                next_stage(h, retry ? scenario_.retry : scenario_.request, kBegin);
        }
    }
    if (u.todo & TLCKPT_DO_RECORD && host.recovery)
        store_operation(h, [this, h] { tell_all(h); });
    if (u.todo & TLCKPT_DO_START_GRACE)
        if_same(h, scenario_.grace, [this, h] {
            if (!hosts_[h].core.owned)
                obey(h, step(h, TLCKPT_EV_OWNER_GRACE));
        });
}

void Simulation::next_stage(unsigned h, double seconds, u32 stage) {
    queue_.push({now() + static_cast<Time>(seconds * kNs), EventKind::attempt, h,
                 u64{hosts_[h].attempt} << 8 | stage});
}

void Simulation::attempt(unsigned h, u32 which, u32 stage) {
    HostState &host = hosts_[h];
    if (!host.alive || which != host.attempt || !host.attempt_runs)
        return;
    if (stage == kBegin)
        begin_attempt(h);
    else if (stage == kSuspended)
        suspended(h);
    else
        captured(h);
}

void Simulation::begin_attempt(unsigned h) {
    HostState &host = hosts_[h];
    obey(h, step(h, TLCKPT_EV_CLOSE));
    host.closed_at = now();
    host.guests_stopped = true;
    host.attempt_reason = host.core.reason;
    if (instant_)
        return suspended(h);
    next_stage(h, scenario_.suspend, kSuspended);
}

void Simulation::suspended(unsigned h) {
    if (work_.chance(scenario_.fail_suspend))
        return abort_attempt(h);
    obey(h, step(h, TLCKPT_EV_SUSPENDED));
    cut(h);
    if (instant_)
        return captured(h);
    next_stage(h, scenario_.capture, kCaptured);
}

void Simulation::cut(unsigned h) {
    HostState &host = hosts_[h];
    const tlckpt_update u = step(h, TLCKPT_EV_CUT);
    open_capture(h);
    note("node {}: cut {}", host.id.node, host.core.view.sn);
    obey(h, u);
}

void Simulation::open_capture(unsigned h) {
    HostState &host = hosts_[h];
    const tlckpt_view &view = host.core.view;
    host.capture = {view.sn, {}};
    for (unsigned group : host.groups)
        host.capture.parts.push_back({group, Image{view.sn, view.captured, view.incarnation,
                                                   Fate::memory, checker_.position(group), {}}});
}

void Simulation::captured(unsigned h) {
    HostState &host = hosts_[h];
    // One of guests taken over is tried until it succeeds: they do not run before.
    if (!host.core.view.frozen && work_.chance(scenario_.fail_capture))
        return abort_attempt(h);
    pull(h, ~Time{0}); // nothing is left in the rings of suspended guests by now
    const tlckpt_update u = step(h, TLCKPT_EV_CAPTURED, host.core.view.sn);
    host.attempt_runs = false;
    host.guests_stopped = false;
    const u8 reason = host.attempt_reason;
    (reason == TLCKPT_BASIC    ? host.stats.basic
     : reason == TLCKPT_FORCED ? host.stats.forced
                               : host.stats.other)++;
    note("node {}: captured {}, prev {}", host.id.node, u.sn, u.prev);
    IndexSpread &spread = spreads_[u.sn];
    if (spread.nodes++ == 0)
        spread.first = now();
    spread.last = now();
    if (spread.nodes == hosts_.size()) {
        spread_sum_ += static_cast<double>(spread.last - spread.first) / kNs / scenario_.period;
        spread_count_++;
    }
    for (auto &[group, part] : host.capture.parts) {
        part.prev = u.prev;
        checker_.captured(group, part.index, part.position);
        groups_[group].images.push_back(std::move(part));
    }
    host.capture.parts.clear();
    host.persisting++;
    if (instant_) {
        persisted(h, host.persist_epoch, u.sn);
    } else {
        // One after another, as slow as the store is.
        host.disk_free = std::max(host.disk_free, now()) +
                         static_cast<Time>(scenario_.persist * store_slowness_ * kNs);
        queue_.push({host.disk_free, EventKind::persisted, h,
                     u64{host.persist_epoch} << 40 | u.sn});
    }
    obey(h, u);
}

// The guests run on without a checkpoint (Rule R7).
void Simulation::stop_attempt(HostState &host) {
    host.attempt++;
    host.attempt_runs = false;
    host.guests_stopped = false;
    host.capture.parts.clear();
}

void Simulation::abort_attempt(unsigned h) {
    HostState &host = hosts_[h];
    note("node {}: attempt given up (sn {})", host.id.node, host.core.view.sn);
    stop_attempt(host);
    host.stats.aborted++;
    obey(h, step(h, TLCKPT_EV_ABORT));
}

void Simulation::persisted(unsigned h, u32 epoch, Sn index) {
    HostState &host = hosts_[h];
    if (!host.alive || epoch != host.persist_epoch)
        return;
    host.persisting--;
    // All parts or none: the commit of one manifest.
    const bool lose = work_.chance(scenario_.fail_persist);
    for (unsigned g : host.groups) {
        Group &group = groups_[g];
        for (auto image = group.images.begin(); image != group.images.end(); ++image) {
            if (image->index != index || image->fate != Fate::memory)
                continue;
            image->fate = Fate::durable;
            if (lose) {
                checker_.capture_lost(g, index);
                group.images.erase(image);
            }
            break;
        }
    }
    note("node {}: {} {}", host.id.node, lose ? "could not persist" : "durable", index);
    (lose ? result_.lost_captures : result_.durable)++;
    if (!lose)
        step(h, TLCKPT_EV_DURABLE, index);
    settle_if_quiet(h);
}

// Captures that are not durable die with the daemon that has them in memory.
void Simulation::lose_captures(unsigned h) {
    HostState &host = hosts_[h];
    host.persist_epoch++;
    host.persisting = 0;
    host.disk_free = now();
    for (unsigned g : host.groups) {
        std::erase_if(groups_[g].images, [&](const Image &image) {
            if (image.fate == Fate::durable)
                return false;
            checker_.capture_lost(g, image.index);
            result_.lost_captures++;
            return true;
        });
    }
}

// Rule R13.
void Simulation::collect_garbage() {
    std::vector<GuestGroup> all;
    all.reserve(groups_.size());
    for (unsigned g = 0; g < groups_.size(); g++)
        all.push_back(history_of(g));
    const Sn line = garbage_line(all);
    if (scenario_.check == Check::full)
        checker_.check_lines(line);
    for (unsigned g = 0; g < groups_.size(); g++) {
        const Sn from = keep_from(all[g], line);
        std::erase_if(groups_[g].images, [&](const Image &image) { return image.index < from; });
    }
    std::erase_if(spreads_, [&](const auto &entry) { return entry.first < line; });
}

} // namespace ckpt::sim
