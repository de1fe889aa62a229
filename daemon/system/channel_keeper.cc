// SPDX-License-Identifier: GPL-2.0-only
#include "daemon/system/channel_keeper.hh"

#include <algorithm>

namespace ckpt {

namespace {

// Frames are kept for so many of the newest captures: older ones get no late
// frames that a line still needs.
constexpr std::size_t kCaptures = 16;

// Rule R12: for each capture that stands for an index in the frame's range.
bool stands(const Capture &capture, const ChannelFrame &frame) {
    return capture.prev < frame.to && capture.index > frame.from;
}

Status append_all(const std::string &directory, const std::string &node, bool first,
                  std::map<Sn, std::vector<ChannelFrame>> batches) {
    for (auto &[sn, frames] : batches) {
        if (first) {
            const auto there = CKPT_TRY(read_channel(directory, node, sn));
            std::erase_if(frames, [&](const ChannelFrame &frame) {
                return std::ranges::find(there, frame) != there.end();
            });
        }
        CKPT_CHECK(append_channel(directory, node, sn, frames));
    }
    return {};
}

} // namespace

void ChannelKeeper::start_anew() {
    captures_.clear();
    pending_.clear();
    if (auto done = port_.forget_log(~Sn{0}); !done)
        logger_.error("channel log: {}", done.error().message());
}

Status ChannelKeeper::take_new() {
    auto state = CKPT_TRY(port_.state());
    if (state.log_frames == pending_.size())
        return {};
    auto frames = CKPT_TRY(port_.log());
    for (std::size_t i = pending_.size(); i < frames.size(); i++) {
        LoggedFrame &one = frames[i];
        pending_.push_back(
            {{one.from, one.to, one.sn, one.incarnation, one.peer, std::move(one.bytes)}, false});
    }
    return {};
}

void ChannelKeeper::round() {
    if (busy_ || captures_.empty())
        return;
    if (auto taken = take_new(); !taken) {
        logger_.error("channel log: {}", taken.error().message());
        return;
    }
    if (captures_.size() > kCaptures)
        captures_.erase(captures_.begin(), captures_.end() - kCaptures);
    const Sn durable = captures_.back().index;
    Batches batches;
    for (Pending &pending : pending_)
        if (!pending.written && pending.frame.to <= durable)
            for (const Capture &capture : captures_)
                if (stands(capture, pending.frame))
                    batches[capture.index].push_back(pending.frame);
    if (batches.empty())
        return;
    busy_ = true;
    background_.run(
        [directory = directory_, node = node_, first = std::exchange(first_, false),
         batches = std::move(batches)] { return append_all(directory, node, first, batches); },
        [this, durable](Status done) { written(durable, done); });
}

// The core may forget a frame once it is in the store, but only below its newest
// capture: for that one it may log more at any time.
void ChannelKeeper::written(Sn durable, const Status &done) {
    busy_ = false;
    if (!done) {
        first_ = true; // part of it may be there
        logger_.error("channel log: {}", done.error().message());
        return;
    }
    for (Pending &pending : pending_)
        if (pending.frame.to <= durable) {
            pending.written = true;
            pending.frame.bytes.clear();
        }
    auto state = port_.state();
    Sn forget = 0;
    for (const Capture &capture : captures_)
        if (state && capture.index < state->captured && capture.index <= durable)
            forget = std::max(forget, capture.index);
    if (!forget)
        return;
    if (auto gone = port_.forget_log(forget); !gone) {
        logger_.error("channel log: {}", gone.error().message());
        return;
    }
    std::erase_if(pending_, [&](const Pending &pending) { return pending.frame.to <= forget; });
}

std::vector<ChannelFrame> frames_to_replay(const std::vector<ChannelFrame> &log,
                                           const tlckpt_view &view, Sn k) {
    std::vector<ChannelFrame> frames;
    for (const ChannelFrame &one : log) {
        tlckpt_frame frame{};
        frame.sn = one.sn;
        frame.incarnation = one.incarnation;
        frame.peer = one.peer;
        frame.flags = static_cast<u16>(one.peer ? TLCKPT_FRAME_STAMPED : TLCKPT_FRAME_LOCAL);
        if (tlckpt_view_replays(&view, &frame, k))
            frames.push_back(one);
    }
    return frames;
}

} // namespace ckpt
