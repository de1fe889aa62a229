// SPDX-License-Identifier: GPL-2.0-only
// Who sends to whom, and when.
#include "tests/sim/simulation.hh"

namespace ckpt::sim {
namespace {

constexpr double kNs = 1e9;
constexpr unsigned kBurst = 4; // rounds of all to all

} // namespace

void Simulation::next_send() {
    if (scenario_.rate <= 0)
        return;
    double mean = 1 / scenario_.rate;
    // A burst is many frames at once.
    if (scenario_.pattern == Pattern::bursts)
        mean *= static_cast<double>(kBurst * groups_.size());
    queue_.push({now() + static_cast<Time>(traffic_.exponential(mean) * kNs), EventKind::send, 0, 0});
}

u32 Simulation::other_group(u32 group) {
    const u32 nr = static_cast<u32>(groups_.size());
    if (nr == 1)
        return group;
    const u32 other = traffic_.below(nr - 1);
    return other + (other >= group);
}

// A sending guest and the group of its peer.
void Simulation::pick(u32 &src_guest, u32 &dst_group) {
    const u32 nr_groups = static_cast<u32>(groups_.size());
    const u32 nr_guests = nr_groups * scenario_.guests;
    src_guest = traffic_.below(nr_guests);
    const u32 src_group = src_guest / scenario_.guests;
    if (scenario_.locality >= 0 && scenario_.guests > 1 &&
        traffic_.chance(scenario_.locality)) {
        dst_group = src_group;
        return;
    }
    switch (scenario_.pattern) {
    case Pattern::client_server: {
        // The first group's guests serve, all others ask; servers answer anybody.
        dst_group = src_group == 0 ? other_group(0) : 0;
        break;
    }
    case Pattern::ring:
        dst_group = (src_group + 1) % nr_groups;
        break;
    default:
        if (scenario_.locality >= 0) {
            dst_group = other_group(src_group);
        } else {
            // Any other guest, the same group's too.
            u32 guest = traffic_.below(nr_guests - 1);
            guest += guest >= src_guest;
            dst_group = guest / scenario_.guests;
        }
    }
}

// Guests do not run while they are suspended, one after another from the closing of
// the intake on, nor while they are restored.
bool Simulation::can_send(u32 group, u32 guest) const {
    const HostState &host = hosts_[groups_[group].host];
    if (!host.alive || !groups_[group].running)
        return false;
    if (!host.guests_stopped)
        return true;
    if (host.core.phase != TLCKPT_CLOSED)
        return false;
    const double order = static_cast<double>(guest % scenario_.guests) / scenario_.guests;
    return now() < host.closed_at + static_cast<Time>(order * scenario_.suspend * kNs);
}

void Simulation::send() {
    if (resting_)
        return;
    next_send();
    if (scenario_.pattern == Pattern::bursts)
        return burst();
    u32 src_guest, dst_group;
    pick(src_guest, dst_group);
    const u32 src_group = src_guest / scenario_.guests;
    if (can_send(src_group, src_guest))
        transmit(src_group, dst_group);
}

// All to all, a few times, at once.
void Simulation::burst() {
    for (u32 i = 0; i < kBurst * groups_.size(); i++) {
        u32 src_guest, dst_group;
        pick(src_guest, dst_group);
        const u32 src_group = src_guest / scenario_.guests;
        if (can_send(src_group, src_guest))
            transmit(src_group, dst_group);
    }
}

void Simulation::transmit(u32 src_group, u32 dst_group) {
    const unsigned h = groups_[src_group].host;
    const u32 f = new_frame();
    Frame &frame = frames_[f];
    frame.src = src_group;
    frame.dst = dst_group;
    frame.stamp = {};
    frame.stamp.bytes = 1500;
    checker_.sent(frame);
    if (groups_[dst_group].host == h) {
        frame.stamp.flags = TLCKPT_FRAME_LOCAL;
        result_.local++;
        return judge(h, f, false);
    }
    if (scenario_.ring <= 0)
        return to_network(h, f);
    const Time due = now() + static_cast<Time>(scenario_.ring * kNs);
    hosts_[h].ring.push_back({due, f});
    queue_.push({due, EventKind::pull, h, 0});
}

// Netback takes what its guests' rings have had since before `until`.
void Simulation::pull(unsigned h, Time until) {
    auto &ring = hosts_[h].ring;
    while (!ring.empty() && ring.front().first <= until) {
        const u32 f = ring.front().second;
        ring.pop_front();
        to_network(h, f);
    }
}

// Rule R1: stamped when it leaves the node.
void Simulation::to_network(unsigned h, u32 f) {
    Frame &frame = frames_[f];
    tlckpt_stamp stamp;
    tlckpt_view_stamp(&hosts_[h].core.view, &stamp);
    frame.stamp.flags = TLCKPT_FRAME_STAMPED;
    frame.stamp.sn = stamp.sn;
    frame.stamp.incarnation = stamp.incarnation;
    frame.stamp.peer = stamp.node;
    result_.frames++;
    follow(frame, h, "sent");
    double delay = scenario_.delay_kind == DelayKind::fixed
                       ? scenario_.delay
                       : network_.exponential(scenario_.delay);
    if (network_.chance(scenario_.reorder))
        delay *= 4;
    if (network_.chance(scenario_.duplicate)) {
        const u32 copy = new_frame();
        frames_[copy] = frames_[f];
        checker_.doubled(frames_[copy]);
        queue_.push({now() + static_cast<Time>(network_.exponential(scenario_.delay) * kNs * 3),
                     EventKind::arrive, copy, 0});
    }
    if (network_.chance(scenario_.loss)) {
        checker_.lost(frames_[f], "network");
        return free_frame(f);
    }
    queue_.push({now() + static_cast<Time>(delay * kNs), EventKind::arrive, f, 0});
}

} // namespace ckpt::sim
