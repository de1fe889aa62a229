// SPDX-License-Identifier: GPL-2.0-only
#include "tests/unit/protocol/world.hh"

#include <algorithm>

#include <fmt/format.h>

#include "libckpt/base/assert.hh"

namespace ckpt {
namespace {

constexpr u32 kMaxHeld = 12;

tlckpt_config config_of(unsigned i, tlckpt_mode mode) {
    tlckpt_config config{};
    config.jump = 1000;
    config.max_frames = kMaxHeld;
    config.max_bytes = 1000;
    config.node = static_cast<u16>(i + 1);
    config.mode = static_cast<u8>(mode);
    config.strict = true;
    return config;
}

} // namespace

World::World(unsigned nr_nodes, tlckpt_mode mode) : mode_(mode), nodes_(nr_nodes) {
    for (unsigned i = 0; i < nr_nodes; i++) {
        const tlckpt_config config = config_of(i, mode);
        tlckpt_proto_init(&nodes_[i].p, &config, 0, 1);
        nodes_[i].images.push_back({1, 0, 0, State::durable, 0, {}});
        step(nodes_[i], TLCKPT_EV_THAW);
    }
}

void World::fail(std::string what) {
    if (wrong_.empty())
        wrong_ = std::move(what);
}

void World::act(std::uint32_t choice) {
    const unsigned what = choice % 32;
    const unsigned a = choice / 32 % 64, b = choice / 2048 % 64;
    const unsigned nr = static_cast<unsigned>(nodes_.size());
    Node &node = nodes_[a % nr];
    if (what < 9)
        send(a % nr, b % nr);
    else if (what < 18)
        arrive(a * 64 + b, what == 9 && b % 4 == 0);
    else if (what < 26)
        checkpoint_step(node, b % 8 == 0);
    else if (what < 28)
        step(node, TLCKPT_EV_TICK);
    else if (what < 31)
        persist(node, b % 4 == 0);
    else
        recover(1u << a % nr | (b % 4 == 0 ? 1u << b / 4 % nr : 0));
    check();
}

// ---- the caller's part of the core

tlckpt_update World::step(Node &node, tlckpt_event event) {
    tlckpt_update u;
    tlckpt_proto_step(&node.p, &event, &u);
    if (!u.refusal)
        obey(node, u);
    return u;
}

tlckpt_update World::step(Node &node, tlckpt_event_type type, Sn index) {
    tlckpt_event event{};
    event.type = type;
    event.index = index;
    return step(node, event);
}

tlckpt_update World::frame(Node &node, const tlckpt_frame &frame) {
    tlckpt_event event{};
    event.type = TLCKPT_EV_FRAME;
    event.frame = &frame;
    return step(node, event);
}

void World::obey(Node &node, const tlckpt_update &u) {
    if (u.todo & TLCKPT_DO_PURGE) {
        std::erase_if(node.held, [&](const Held &held) {
            if (!tlckpt_frame_undone(&node.p.view, &held.frame, records_.back().k))
                return false;
            tlckpt_event event{};
            event.type = TLCKPT_EV_DISCARD;
            event.discard = {held.frame.bytes, 1};
            step(node, event);
            return true;
        });
    }
    if (u.todo & TLCKPT_DO_LOG_HELD) {
        for (Held &held : node.held) {
            tlckpt_range range;
            if (!tlckpt_view_log(&node.p.view, &held.frame, TLCKPT_AT_CUT, &range))
                continue;
            log(node, held.message, range);
            held.frame.logged = range.to;
        }
    }
    if (u.todo & TLCKPT_DO_MANIFEST) {
        node.attempt->prev = u.prev;
        node.images.push_back(*node.attempt);
        node.attempt.reset();
    }
    if (u.todo & TLCKPT_DO_RELEASE)
        release(node);
}

void World::release(Node &node) {
    std::deque<Held> before;
    before.swap(node.held);
    for (Held &held : before) {
        tlckpt_frame again = held.frame;
        again.flags = static_cast<u16>((again.flags & ~TLCKPT_FRAME_BEHIND) | TLCKPT_FRAME_HELD);
        for (const Held &other : node.held)
            if (other.frame.peer == again.peer)
                again.flags |= TLCKPT_FRAME_BEHIND;
        settle(node, held.message, held.frame, frame(node, again));
    }
}

void World::settle(Node &node, Id message, const tlckpt_frame &frame, const tlckpt_update &u) {
    switch (u.verdict) {
    case TLCKPT_HOLD:
        node.held.push_back({message, frame});
        return;
    case TLCKPT_DELIVER:
        if (u.todo & TLCKPT_DO_LOG)
            log(node, message, u.log);
        node.history.push_back({false, message});
        return;
    default:
        counts_.ghosts += u.verdict == TLCKPT_DROP_GHOST;
        messages_[message].lost = tlckpt_verdict_name(u.verdict);
    }
}

// A copy for each capture that stands for an index of the range.
void World::log(Node &node, Id message, const tlckpt_range &range) {
    auto stands_for_some = [&](Sn prev, Sn index) { return prev < range.to && index > range.from; };
    for (Image &image : node.images)
        if (stands_for_some(image.prev, image.index))
            image.log.push_back(message);
    if (node.attempt && stands_for_some(node.p.view.captured, node.attempt->index))
        node.attempt->log.push_back(message);
}

// ---- what happens

void World::send(unsigned src, unsigned dst) {
    Node &node = nodes_[src];
    if (node.p.phase >= TLCKPT_SUSPENDED)
        return;
    Message message{src, dst, {}, {}};
    message.stamp.bytes = 10;
    if (src == dst) {
        message.stamp.flags = TLCKPT_FRAME_LOCAL;
    } else {
        message.stamp.flags = TLCKPT_FRAME_STAMPED;
        tlckpt_stamp stamp;
        tlckpt_view_stamp(&node.p.view, &stamp);
        message.stamp.sn = stamp.sn;
        message.stamp.incarnation = stamp.incarnation;
        message.stamp.peer = stamp.node;
    }
    const Id id = static_cast<Id>(messages_.size());
    messages_.push_back(message);
    node.history.push_back({true, id});
    if (src != dst) {
        flight_.push_back(id);
        return;
    }
    for (const Held &held : node.held)
        if (!(held.frame.flags & TLCKPT_FRAME_STAMPED))
            message.stamp.flags |= TLCKPT_FRAME_BEHIND;
    settle(node, id, message.stamp, frame(node, message.stamp));
}

void World::arrive(std::size_t which, bool lose) {
    if (flight_.empty())
        return;
    const auto place = flight_.begin() + static_cast<std::ptrdiff_t>(which % flight_.size());
    const Id id = *place;
    flight_.erase(place);
    if (lose) {
        messages_[id].lost = "network";
        return;
    }
    Node &node = nodes_[messages_[id].dst];
    tlckpt_frame stamp = messages_[id].stamp;
    for (const Held &held : node.held)
        if (held.frame.peer == stamp.peer)
            stamp.flags |= TLCKPT_FRAME_BEHIND;
    settle(node, id, stamp, frame(node, stamp));
}

void World::checkpoint_step(Node &node, bool fail) {
    if (node.p.phase == TLCKPT_IDLE)
        return;
    if (fail) {
        node.attempt.reset();
        step(node, TLCKPT_EV_ABORT);
        return;
    }
    switch (node.p.phase) {
    case TLCKPT_REQUESTED:
        step(node, TLCKPT_EV_CLOSE);
        break;
    case TLCKPT_CLOSED:
        step(node, TLCKPT_EV_SUSPENDED);
        break;
    case TLCKPT_SUSPENDED:
        node.attempt = Image{node.p.target, 0, node.history.size(), State::memory,
                             node.p.view.incarnation, {}};
        step(node, TLCKPT_EV_CUT);
        break;
    default:
        step(node, TLCKPT_EV_CAPTURED, node.p.view.sn);
    }
}

void World::persist(Node &node, bool lose) {
    for (Image &image : node.images) {
        if (image.state != State::memory)
            continue;
        counts_.lost_captures += lose;
        image.state = lose ? State::lost : State::durable;
        if (!lose)
            step(node, TLCKPT_EV_DURABLE, image.index);
        return;
    }
}

// Everything at once: what a recovery does step by step is the procedure's test.
void World::recover(unsigned failed_mask) {
    for (unsigned i = 0; i < nodes_.size(); i++) {
        Node &node = nodes_[i];
        node.attempt.reset();
        if (failed_mask >> i & 1) {
            for (Image &image : node.images)
                if (image.state == State::memory)
                    image.state = State::lost;
            for (const Held &held : node.held)
                messages_[held.message].lost = "crash";
            node.held.clear();
        } else {
            step(node, TLCKPT_EV_FREEZE);
            for (std::size_t n = 0; n < node.images.size(); n++)
                persist(node, n % 3 == 2);
        }
    }
    std::vector<GuestGroup> groups;
    for (unsigned i = 0; i < nodes_.size(); i++) {
        GuestGroup group{i + 1, {}, {}};
        for (const Image &image : nodes_[i].images)
            if (image.state == State::durable)
                group.captures.push_back({image.index, image.prev, image.incarnation, true});
        if (!(failed_mask >> i & 1))
            group.present = nodes_[i].p.view.sn;
        groups.push_back(std::move(group));
    }
    const Line line = newest_line(groups);
    if (line.k != newest_line_by_looking(failed_mask))
        return fail(fmt::format("line {} chosen, {} found by looking", line.k,
                                newest_line_by_looking(failed_mask)));
    counts_.rollbacks++;
    check_line(line.k);

    const u32 incarnation = static_cast<u32>(records_.size() + 1);
    records_.push_back({line.k, 0, 0, incarnation, incarnation - 1});
    for (unsigned i = 0; i < nodes_.size(); i++) {
        const Capture *member = member_of(groups[i], line.k);
        put_back(i, line.k, member ? std::optional(member->index) : std::nullopt,
                 failed_mask >> i & 1);
    }
    for (Node &node : nodes_)
        step(node, TLCKPT_EV_THAW);
}

void World::put_back(unsigned i, Sn k, std::optional<Sn> member, bool failed) {
    Node &node = nodes_[i];
    tlckpt_event event{};
    event.type = TLCKPT_EV_ROLLBACK;
    if (failed) {
        // A node that starts anew is told all records.
        const tlckpt_config config = config_of(i, mode_);
        tlckpt_proto_init(&node.p, &config, 0, 0);
        for (std::size_t r = 0; r + 1 < records_.size(); r++) {
            event.rollback = records_[r];
            event.rollback.member = event.rollback.k;
            step(node, event);
        }
    }
    event.rollback = records_.back();
    event.rollback.member = member.value_or(0);
    if (step(node, event).refusal)
        return fail("rollback refused");
    counts_.stayed += !member;
    if (!member)
        return;

    std::erase_if(node.images, [&](const Image &image) { return image.index > *member; });
    node.history.resize(node.images.back().length);
    // Rule R12: what the member's log has of the line, in order, once.
    for (Id id : node.images.back().log) {
        if (!tlckpt_view_replays(&node.p.view, &messages_[id].stamp, k))
            continue;
        counts_.replayed++;
        node.history.push_back({false, id});
    }
}

// ---- the reference

std::optional<World::Stand> World::stand(const Node &node, Sn k) const {
    for (const Image &image : node.images) {
        if (image.index < k)
            continue;
        // The first capture at or after k, whatever became of it.
        if (image.state == State::lost)
            return {};
        return Stand{image.length, &image};
    }
    if (node.p.view.sn >= k)
        return {};
    return Stand{node.history.size(), nullptr};
}

Sn World::newest_line_by_looking(unsigned failed_mask) const {
    Sn newest = 0;
    for (Sn k = 1; k < 500; k++) {
        bool all = true;
        for (unsigned i = 0; i < nodes_.size(); i++) {
            const auto place = stand(nodes_[i], k);
            all = all && place && (place->image || !(failed_mask >> i & 1));
        }
        if (all)
            newest = k;
    }
    return newest;
}

void World::check_line(Sn k) {
    std::vector<Stand> line;
    for (const Node &node : nodes_) {
        const auto place = stand(node, k);
        if (!place)
            return;
        line.push_back(*place);
    }
    counts_.lines++;
    std::vector<std::set<Id>> sent(nodes_.size()), received(nodes_.size());
    for (unsigned i = 0; i < nodes_.size(); i++)
        for (std::size_t n = 0; n < line[i].length; n++) {
            const Happening &h = nodes_[i].history[n];
            if (!(h.sent ? sent : received)[i].insert(h.message).second)
                fail(fmt::format("message {} twice at node {}", h.message, i + 1));
        }
    for (Id id = 0; id < messages_.size(); id++) {
        const Message &m = messages_[id];
        const bool was_sent = sent[m.src].contains(id), came = received[m.dst].contains(id);
        if (came && !was_sent)
            return fail(fmt::format("line {}: message {} is an orphan", k, id));
        if (came || !was_sent || !m.lost.empty())
            continue;
        // In transit: on its way, held, or in the log that is replayed.
        if (std::count(flight_.begin(), flight_.end(), id))
            continue;
        const Node &dst = nodes_[m.dst];
        const Image *image = line[m.dst].image;
        const bool held = std::any_of(dst.held.begin(), dst.held.end(),
                                      [&](const Held &h) { return h.message == id; });
        const auto logged = image ? std::count(image->log.begin(), image->log.end(), id) : 0;
        if (logged > 1)
            fail(fmt::format("line {}: message {} is logged twice", k, id));
        else if (!held && !logged)
            fail(fmt::format("line {}: message {} in transit is forgotten", k, id));
    }
}

void World::check() {
    Sn newest = 0;
    for (const Node &node : nodes_) {
        newest = std::max(newest, node.p.view.sn);
        if (node.p.view.captured > node.p.view.sn || node.p.target < node.p.view.sn)
            fail("captured <= sn <= target is broken");
        if (node.p.held_frames != node.held.size())
            fail("the core's count of held frames is wrong");
        if (node.p.phase == TLCKPT_IDLE && node.p.target > node.p.view.captured)
            fail("a checkpoint is wanted and nobody was asked");
        if (!node.p.view.intake_open && node.p.phase < TLCKPT_CLOSED)
            fail("the intake is closed for ever");
    }
    for (Sn k = 1; k <= newest + 1; k++)
        check_line(k);
}

} // namespace ckpt
