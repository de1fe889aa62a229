// SPDX-License-Identifier: GPL-2.0-only
// Guests taken over from above this node's own index (R11's raise): one capture
// of all guests here before any that arrived runs (R7). The core has cut with the
// rollback; its intake is closed, so the guests that stay get nothing meanwhile.
#include "daemon/system/system_level.hh"

#include <algorithm>

#include "daemon/node_level.hh"

namespace ckpt {

bool SystemLevel::must_take_over() const {
    auto state = port_->state();
    return state && state->frozen && state->phase == TLCKPT_CUT;
}

// Names of the guests that belong here, as far as the cluster knows them.
std::vector<std::string> SystemLevel::names_here() const {
    std::vector<std::string> names;
    const auto groups = groups_here();
    for (const auto &[uuid, guest] : coordination_->guests())
        if (std::ranges::count(groups, guest.group))
            names.push_back(guest.name);
    return names;
}

void SystemLevel::take_over(const Apply &apply, const BroughtBack &back) {
    auto begun = [&]() -> Status {
        auto state = CKPT_TRY(port_->state());
        CKPT_CHECK(node_->run({state.captured, state.captured, state.durable}, apply.incarnation,
                              true));
        const auto here = node_->protected_names();
        for (const std::string &name : back.names)
            if (!std::ranges::count(here, name))
                return fail(ENOENT, "guest {} was put back, but can't be captured: "
                                    "tlckptctl guest list tells why", name);
        parts_.logger.warning("recovery {}: checkpoint {} of all guests here before those taken "
                              "over run", apply.incarnation, state.sn);
        return {};
    }();
    if (!begun) {
        node_->stop();
        return apply_failed(apply, begun.error());
    }
    applying_ = true;
    takeover_.emplace(apply, back);
    go_on_taking_over();
}

// Asked for until it is captured; a failed attempt is not given up (R7).
void SystemLevel::go_on_taking_over() {
    auto state = port_->state();
    if (takeover_ && state && state->phase == TLCKPT_CUT && node_->idle())
        node_->want(CheckpointKind::forced, state->sn);
}

// After an attempt: it is captured, and durable or lost; or it failed.
void SystemLevel::takeover_ended() {
    if (must_take_over() && !settle_for_)
        return;
    auto [apply, back] = *std::exchange(takeover_, std::nullopt);
    applying_ = false;
    if (settle_for_) // a further failure: the guests at rest stay so
        return settle_if_quiet();
    auto state = port_->state();
    if (!state)
        return apply_failed(apply, state.error());
    // What is about to be replayed comes after this capture: it begins its log (R12).
    background_.run(
        [directory = parts_.config.store_directory, node = self_.name, sn = state->captured,
         frames = back.log]() mutable {
            for (ChannelFrame &frame : frames)
                frame.to = std::max(frame.to, sn);
            return frames.empty() ? Status() : append_channel(directory, node, sn, frames);
        },
        [this, apply, back](Status done) {
            if (!done)
                parts_.logger.error("channel log: {}", done.error().message());
            run_guests(apply, back);
        });
}

} // namespace ckpt
