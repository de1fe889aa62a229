// SPDX-License-Identifier: GPL-2.0-only
// Frames at a host: judged, held, logged, delivered, replayed. The caller's side of
// the core that the kernel module has too.
#include "tests/sim/simulation.hh"

#include <algorithm>

namespace ckpt::sim {

u32 Simulation::new_frame() {
    if (free_frames_.empty()) {
        frames_.emplace_back();
        return static_cast<u32>(frames_.size() - 1);
    }
    const u32 f = free_frames_.back();
    free_frames_.pop_back();
    return f;
}

void Simulation::free_frame(u32 f) { free_frames_.push_back(f); }

void Simulation::arrive(u32 f) {
    const unsigned h = groups_[frames_[f].dst].host;
    if (!hosts_[h].alive) {
        checker_.lost(frames_[f], "node down");
        return free_frame(f);
    }
    judge(h, f, false);
}

void Simulation::judge(unsigned h, u32 f, bool was_held) {
    HostState &host = hosts_[h];
    tlckpt_frame stamp = frames_[f].stamp;
    if (was_held)
        stamp.flags |= TLCKPT_FRAME_HELD;
    if (!host.held_of.empty() && host.held_of.contains(stamp.peer))
        stamp.flags |= TLCKPT_FRAME_BEHIND;
    tlckpt_event event{};
    event.type = TLCKPT_EV_FRAME;
    event.frame = &stamp;
    const tlckpt_update u = step(h, event);
    follow(frames_[f], h, tlckpt_verdict_name(u.verdict));
    result_.verdicts[u.verdict]++;
    if (u.verdict == TLCKPT_HOLD) {
        keep(host, f, was_held);
    } else if (u.verdict <= TLCKPT_DELIVER_UNPROTECTED) {
        deliver(h, f, u);
    } else {
        note("node {}: {} frame sn {} incarnation {} from node {}", host.id.node,
             tlckpt_verdict_name(u.verdict), stamp.sn, stamp.incarnation, stamp.peer);
        checker_.lost(frames_[f], tlckpt_verdict_name(u.verdict));
        free_frame(f);
    }
    obey(h, u);
}

void Simulation::keep(HostState &host, u32 f, bool was_held) {
    host.held.push_back(f);
    host.held_of[frames_[f].stamp.peer]++;
    if (was_held)
        return;
    const Frame &frame = frames_[f];
    checker_.held(frame);
    result_.held++;
    result_.held_most = std::max<u64>(result_.held_most, host.held.size());
    note("node {}: holds frame sn {} from node {} (sn {}, captured {})", host.id.node,
         frame.stamp.sn, frame.stamp.peer, host.core.view.sn, host.core.view.captured);
}

void Simulation::deliver(unsigned h, u32 f, const tlckpt_update &u) {
    const Frame frame = frames_[f];
    free_frame(f);
    // It waited while its guest went elsewhere, or for a guest that never came.
    if (const Group &dst = groups_[frame.dst]; dst.host != h || !dst.running)
        return checker_.lost(frame, "guest moved");
    if (u.todo & TLCKPT_DO_LOG) {
        // Rule R12: the capture of a later index will have it as received.
        if (u.log.to > hosts_[h].core.view.captured)
            checker_.fail(fmt::format("node {}: logs a frame for index {}, which is not captured",
                                      hosts_[h].id.node, u.log.to),
                          frame.message);
        log(frame, u.log, nullptr);
    }
    result_.delivered++;
    checker_.delivered(frame, u.verdict == TLCKPT_DELIVER_UNPROTECTED);
}

// Rule R12: a copy for each capture of the receiver that stands for an index in the range.
void Simulation::log(const Frame &frame, const tlckpt_range &range, OpenCapture *open) {
    if (!can_fail_)
        return;
    auto stands = [&](const Image &image) {
        return image.prev < range.to && image.index > range.from;
    };
    for (Image &image : groups_[frame.dst].images)
        if (stands(image)) {
            follow(frame, groups_[frame.dst].host, "logged");
            image.log.push_back({frame, now()});
            result_.logged++;
        }
    if (open)
        for (auto &[group, part] : open->parts)
            if (group == frame.dst && stands(part)) {
                follow(frame, groups_[frame.dst].host, "logged at the cut");
                part.log.push_back({frame, now()});
                result_.logged++;
            }
}

void Simulation::log_held(unsigned h) {
    HostState &host = hosts_[h];
    for (u32 f : host.held) {
        Frame &frame = frames_[f];
        tlckpt_range range;
        if (!tlckpt_view_log(&host.core.view, &frame.stamp, TLCKPT_AT_CUT, &range))
            continue;
        log(frame, range, &host.capture);
        frame.stamp.logged = range.to;
    }
}

// Oldest first; what must stay goes in again behind what stayed before it.
void Simulation::release(unsigned h) {
    HostState &host = hosts_[h];
    std::deque<u32> before;
    before.swap(host.held);
    host.held_of.clear();
    for (u32 f : before)
        judge(h, f, true);
}

void Simulation::purge(unsigned h, Sn line) {
    HostState &host = hosts_[h];
    std::deque<u32> stay;
    host.held_of.clear();
    for (u32 f : host.held) {
        const Frame &frame = frames_[f];
        if (!tlckpt_frame_undone(&host.core.view, &frame.stamp, line)) {
            stay.push_back(f);
            host.held_of[frame.stamp.peer]++;
            continue;
        }
        tlckpt_event event{};
        event.type = TLCKPT_EV_DISCARD;
        event.discard = {frame.stamp.bytes, 1};
        step(h, event);
        // It is in the log that is replayed, or was never sent.
        follow(frame, h, "purged");
        checker_.lost(frame, "purged");
        free_frame(f);
    }
    host.held = std::move(stay);
}

void Simulation::drop_all(HostState &host, const char *why) {
    for (u32 f : host.held) {
        checker_.lost(frames_[f], why);
        free_frame(f);
    }
    host.held.clear();
    host.held_of.clear();
}

} // namespace ckpt::sim
