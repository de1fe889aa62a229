// SPDX-License-Identifier: GPL-2.0-only
#include "tests/sim/checker.hh"

#include <algorithm>
#include <map>

#include <fmt/format.h>

namespace ckpt::sim {

Checker::Checker(unsigned nr_groups, bool full) : full_(full), groups_(nr_groups) {}

// Was this happening, in the history of that epoch, undone since?
bool Checker::undone(unsigned group, u32 epoch, u64 position) const {
    const std::vector<u64> &rollbacks = groups_[group].rollbacks;
    for (std::size_t i = epoch; i < rollbacks.size(); i++)
        if (position > rollbacks[i])
            return true;
    return false;
}

void Checker::sent(Frame &frame) {
    GroupTruth &src = groups_[frame.src];
    frame.position = ++src.position;
    frame.reach = src.reach;
    frame.epoch = static_cast<u32>(src.rollbacks.size());
    if (!full_)
        return;
    frame.message = static_cast<u32>(messages_.size());
    messages_.push_back({frame.src, frame.dst, frame.position, 0, frame.epoch, 0, Where::flight,
                         nullptr, false});
}

void Checker::doubled(Frame &copy) {
    if (!full_)
        return;
    const Message original = messages_[copy.message];
    copy.message = static_cast<u32>(messages_.size());
    messages_.push_back(original);
}

void Checker::held(const Frame &frame) {
    if (full_)
        messages_[frame.message].where = Where::held;
}

void Checker::lost(const Frame &frame, const char *why) {
    if (!full_)
        return;
    Message &message = messages_[frame.message];
    if (message.where == Where::delivered)
        return; // a copy in a log, of what was received
    message.where = Where::lost;
    message.why = why;
}

void Checker::log_lost(const Frame &frame) {
    if (full_)
        messages_[frame.message].log_lost = true;
}

void Checker::delivered(const Frame &frame, bool unprotected) {
    GroupTruth &dst = groups_[frame.dst];
    if (undone(frame.src, frame.epoch, frame.position))
        fail(fmt::format("ghost: group {} received what group {} never sent", frame.dst + 1,
                         frame.src + 1), frame.message);
    if (unprotected)
        dst.passed = std::max(dst.passed, frame.reach);
    else if (dst.reach < frame.reach && dst.passed < frame.reach)
        fail(fmt::format("orphan: group {} with capture {} received what group {} sent after its "
                         "capture {}", frame.dst + 1, dst.reach, frame.src + 1, frame.reach),
             frame.message);
    dst.position++;
    if (!full_)
        return;
    Message &message = messages_[frame.message];
    if (message.where == Where::delivered)
        fail(fmt::format("twice: group {} received message {} again", frame.dst + 1,
                         frame.message), frame.message);
    message.where = Where::delivered;
    message.received_at = dst.position;
    message.received_epoch = static_cast<u32>(dst.rollbacks.size());
}

void Checker::captured(unsigned group, Sn index, u64 position) {
    GroupTruth &truth = groups_[group];
    if (index < truth.reach || (index == truth.reach && index > 1))
        fail(fmt::format("group {}: capture {} after capture {}", group + 1, index, truth.reach));
    truth.reach = index;
    if (full_)
        truth.captures.push_back({index, position, truth.passed, false});
}

void Checker::capture_lost(unsigned group, Sn index) {
    for (Capture &capture : groups_[group].captures)
        capture.lost = capture.lost || capture.index == index;
}

void Checker::went_back(unsigned group, Sn index, u64 position, Sn floor) {
    GroupTruth &truth = groups_[group];
    truth.rollbacks.push_back(position);
    truth.position = position;
    truth.reach = index;
    truth.passed = floor > index ? floor : 0;
    if (!full_)
        return;
    std::erase_if(truth.captures, [&](const Capture &c) { return c.index > index; });
    for (Message &message : messages_)
        if (message.dst == group && message.where == Where::delivered &&
            undone(group, message.received_epoch, message.received_at))
            message.where = Where::nowhere;
}

void Checker::check_present() {
    for (std::size_t id = 0; full_ && id < messages_.size(); id++) {
        Message &m = messages_[id];
        const bool unsent = undone(m.src, m.sent_epoch, m.sent_at);
        if (m.where == Where::delivered && unsent)
            return fail(fmt::format("orphan: group {} has received message {}, group {} has not "
                                    "sent it", m.dst + 1, id, m.src + 1),
                        static_cast<u32>(id));
        if (m.where != Where::nowhere)
            continue;
        m.where = Where::lost;
        m.why = unsent ? "undone" : "log not flushed";
        if (!unsent && !m.log_lost)
            return fail(fmt::format("in transit: message {} from group {} to group {} is forgotten",
                                    id, m.src + 1, m.dst + 1),
                        static_cast<u32>(id));
    }
}

void Checker::check_rest() {
    check_present();
    for (std::size_t id = 0; id < messages_.size(); id++) {
        const Message &m = messages_[id];
        if (m.where == Where::flight || m.where == Where::held)
            return fail(fmt::format("stuck: message {} from group {} to group {} never came", id,
                                    m.src + 1, m.dst + 1),
                        static_cast<u32>(id));
    }
}

// Where the group stands on line k; false: it has no part in it, or is at present before it.
bool Checker::line_position(unsigned group, Sn k, u64 &position) const {
    const GroupTruth &truth = groups_[group];
    for (const Capture &capture : truth.captures) {
        if (capture.index < k)
            continue;
        position = capture.position;
        return !capture.lost && capture.passed < k;
    }
    position = ~u64{0};
    return truth.passed < k;
}

void Checker::check_lines(Sn oldest) {
    Sn newest = 0;
    for (const GroupTruth &truth : groups_)
        newest = std::max(newest, truth.reach);
    std::vector<u64> line(groups_.size());
    for (Sn k = std::max(oldest, Sn{1}); k <= newest; k++) {
        bool usable = true;
        for (unsigned g = 0; g < groups_.size() && usable; g++)
            usable = line_position(g, k, line[g]);
        for (std::size_t id = 0; usable && id < messages_.size(); id++) {
            const Message &m = messages_[id];
            if (m.where == Where::delivered && m.received_at <= line[m.dst] &&
                m.sent_at > line[m.src])
                return fail(fmt::format("orphan: message {} from group {} to group {} on line {}",
                                        id, m.src + 1, m.dst + 1, k),
                            static_cast<u32>(id));
        }
    }
}

std::vector<std::pair<std::string, u64>> Checker::losses() const {
    std::map<std::string, u64> sums;
    for (const Message &message : messages_)
        if (message.where == Where::lost)
            sums[message.why]++;
    return {sums.begin(), sums.end()};
}

} // namespace ckpt::sim
