// SPDX-License-Identifier: GPL-2.0-only
#include "libckpt/node/node_sequence.hh"

#include <algorithm>

#include "libckpt/base/assert.hh"

namespace ckpt {

namespace {

using Event = NodeEvent::Type;
using Action = NodeAction::Type;

constexpr Duration kFirstDelay = std::chrono::milliseconds(100);
constexpr Duration kLongestDelay = std::chrono::seconds(5);

// The first retry is at once (R7), later ones wait ever longer.
Duration retry_delay(unsigned attempts) {
    if (attempts <= 1)
        return Duration::zero();
    unsigned doublings = std::min(attempts - 2, 10u);
    return std::min(kFirstDelay * (1u << doublings), kLongestDelay);
}

} // namespace

const char *to_string(NodeStep step) {
    switch (step) {
    case NodeStep::idle:
        return "idle";
    case NodeStep::preparing:
        return "preparing";
    case NodeStep::suspending:
        return "suspending";
    case NodeStep::capturing:
        return "capturing";
    case NodeStep::resuming:
        return "resuming";
    case NodeStep::persisting:
        return "persisting";
    case NodeStep::committing:
        return "committing";
    case NodeStep::aborting:
        return "aborting";
    case NodeStep::waiting:
        return "waiting";
    }
    return "?";
}

bool NodeSequence::maybe_suspended(unsigned i) const {
    return guests_[i].suspended || guests_[i].order == NodeOrder::suspend;
}

// The index of a checkpoint that nobody has begun: the raised sn if its
// capture is still owed (R7), else one that is new.
Sn NodeSequence::fresh_index() const {
    return indexes_.sn > indexes_.captured ? indexes_.sn : indexes_.sn + 1;
}

Sn NodeSequence::request(CheckpointKind kind, Sn target) {
    bool under_way = step_ != NodeStep::idle && step_ != NodeStep::waiting;
    if (under_way && target != 0 && target <= current_.target &&
        current_.target > indexes_.captured)
        return current_.target;
    Sn least = under_way ? current_.target + 1 : fresh_index();
    if (!next_)
        next_ = Request{};
    next_->target = std::max({next_->target, target, least});
    next_->kind = std::max(next_->kind, kind);
    return next_->target;
}

// The cut may have taken a higher index than was asked for when the attempt began, and
// what was asked for in between with it.
void NodeSequence::forget_requests_up_to(Sn captured) {
    if (next_ && next_->target <= captured)
        next_.reset();
}

void NodeSequence::begin(unsigned nr_guests, bool may_be_empty, NodeActions &actions) {
    CKPT_ASSERT(wants_attempt());
    current_ = *std::exchange(next_, std::nullopt);
    // Rule R7: an index that was cut but not captured comes first.
    if (indexes_.sn > indexes_.captured && current_.target > indexes_.sn) {
        next_ = Request{.target = current_.target, .kind = current_.kind};
        current_.target = indexes_.sn;
    }
    current_.attempts++;
    CKPT_ASSERT(current_.target >= indexes_.sn && current_.target > indexes_.captured);
    prev_ = indexes_.captured;
    guests_.assign(nr_guests, GuestState{});
    failure_ = Error{};
    if (nr_guests == 0 && !may_be_empty) {
        NodeAction report{.type = Action::report_failed};
        report.error = fail(ENOENT, "no guest is protected").value();
        actions.push_back(std::move(report));
        return;
    }
    step_ = NodeStep::preparing;
    order_all(NodeOrder::prepare, actions);
}

void NodeSequence::order_guest(unsigned guest, NodeOrder order, NodeActions &actions) {
    CKPT_ASSERT(guests_[guest].order == NodeOrder::none && !guests_[guest].gone);
    guests_[guest].order = order;
    actions.push_back({.type = Action::order, .order = order, .guest = guest});
}

void NodeSequence::order_all(NodeOrder order, NodeActions &actions) {
    for (unsigned i = 0; i < guests_.size(); i++)
        order_guest(i, order, actions);
    if (guests_.empty())
        advance(actions);
}

void NodeSequence::order_node(NodeOrder order, NodeActions &actions) {
    CKPT_ASSERT(node_order_ == NodeOrder::none);
    node_order_ = order;
    actions.push_back({.type = Action::order, .order = order});
}

bool NodeSequence::all_answered() const {
    return node_order_ == NodeOrder::none &&
           std::all_of(guests_.begin(), guests_.end(),
                       [](const GuestState &g) { return g.order == NodeOrder::none; });
}

void NodeSequence::handle(const NodeEvent &event, NodeActions &actions) {
    switch (event.type) {
    case Event::stop:
        stopping_ = true;
        next_.reset();
        if (step_ == NodeStep::waiting) {
            step_ = NodeStep::idle;
            actions.push_back({.type = Action::stop_timer});
        } else if (step_ == NodeStep::preparing || step_ == NodeStep::suspending ||
                   step_ == NodeStep::capturing) {
            abort(fail(ECANCELED, "stopped").value(), actions);
        }
        return;
    case Event::timer:
        if (step_ == NodeStep::waiting)
            step_ = NodeStep::idle;
        else if (step_ == NodeStep::suspending || step_ == NodeStep::capturing)
            abort(fail(ETIMEDOUT, "the pause took too long").value(), actions);
        return;
    default:
        if (event.guest == NodeEvent::kNode)
            node_answered(event, actions);
        else
            guest_answered(event, actions);
    }
}

void NodeSequence::guest_answered(const NodeEvent &event, NodeActions &actions) {
    CKPT_ASSERT(event.guest < guests_.size());
    GuestState &guest = guests_[event.guest];
    NodeOrder order = std::exchange(guest.order, NodeOrder::none);
    CKPT_ASSERT(order != NodeOrder::none);
    CKPT_ASSERT(order != NodeOrder::resume || event.type == Event::done);
    if (event.type == Event::gone) {
        guest.gone = true;
        guest.suspended = false;
    } else if (event.type == Event::done) {
        if (order == NodeOrder::suspend)
            guest.suspended = true;
        else if (order == NodeOrder::resume)
            guest.suspended = false;
    }
    if (step_ != NodeStep::aborting && event.type != Event::done)
        return abort(event.error, actions);
    if (step_ == NodeStep::aborting && guest.suspended)
        return order_guest(event.guest, NodeOrder::resume, actions);
    if (all_answered())
        advance(actions);
}

void NodeSequence::node_answered(const NodeEvent &event, NodeActions &actions) {
    NodeOrder order = std::exchange(node_order_, NodeOrder::none);
    CKPT_ASSERT(order != NodeOrder::none && event.type != Event::gone);
    if (event.type == Event::done) {
        if (order == NodeOrder::close_intake)
            intake_closed_ = true;
        else if (order == NodeOrder::cut)
            indexes_.sn = current_.target = std::max(current_.target, event.sn.value_or(0));
        else if (order == NodeOrder::captured)
            forget_requests_up_to(indexes_.captured = current_.target);
        else
            indexes_.durable = current_.target;
    }
    if (step_ != NodeStep::aborting && event.type == Event::failed)
        return abort(event.error, actions);
    if (step_ == NodeStep::aborting) {
        if (all_answered())
            advance(actions);
        return;
    }
    switch (order) {
    case NodeOrder::close_intake: // Rule R4: only now are guests suspended
        actions.push_back({.type = Action::start_timer, .delay = pause_timeout_});
        return order_all(NodeOrder::suspend, actions);
    case NodeOrder::cut:
        step_ = NodeStep::capturing;
        return order_all(NodeOrder::capture, actions);
    case NodeOrder::captured:
        prev_ = event.sn.value_or(prev_);
        step_ = NodeStep::resuming;
        order_all(NodeOrder::resume, actions);
        actions.push_back({.type = Action::stop_timer});
        return;
    default:
        actions.push_back({.type = Action::keep});
        step_ = NodeStep::idle;
    }
}

// Every order of this step is answered, and none failed.
void NodeSequence::advance(NodeActions &actions) {
    switch (step_) {
    case NodeStep::preparing:
        step_ = NodeStep::suspending;
        return order_node(NodeOrder::close_intake, actions);
    case NodeStep::suspending: // Rule R4: all are suspended, sn rises once
        return order_node(NodeOrder::cut, actions);
    case NodeStep::capturing: // Rule R6: told before any guest runs on
        return order_node(NodeOrder::captured, actions);
    case NodeStep::resuming:
        actions.push_back({.type = Action::open_intake});
        intake_closed_ = false;
        step_ = NodeStep::persisting;
        return order_all(NodeOrder::persist, actions);
    case NodeStep::persisting:
        step_ = NodeStep::committing;
        return order_node(NodeOrder::commit, actions);
    case NodeStep::aborting:
        return finish_abort(actions);
    default:
        CKPT_ASSERT(!"an answer that nobody waits for");
    }
}

// Rule R7: from here on every guest is brought to run; whoever has an order
// outstanding is seen to when it answers.
void NodeSequence::abort(const Error &error, NodeActions &actions) {
    step_ = NodeStep::aborting;
    failure_ = error;
    for (unsigned i = 0; i < guests_.size(); i++) {
        if (guests_[i].order != NodeOrder::none)
            actions.push_back({.type = Action::cancel, .guest = i});
        else if (guests_[i].suspended)
            order_guest(i, NodeOrder::resume, actions);
    }
    if (all_answered())
        finish_abort(actions);
}

void NodeSequence::finish_abort(NodeActions &actions) {
    actions.push_back({.type = Action::stop_timer});
    if (std::exchange(intake_closed_, false))
        actions.push_back({.type = Action::open_intake});
    actions.push_back({.type = Action::discard});
    plan_retry(actions);
}

// Rule R7: with the cut made the index is owed, and tried until it succeeds.
// Once captured it must not be captured again: its frames are delivered (R5).
void NodeSequence::plan_retry(NodeActions &actions) {
    bool owed = indexes_.sn == current_.target && indexes_.captured < current_.target;
    bool captured = indexes_.captured == current_.target;
    bool retry = !stopping_ && !captured && (owed || current_.attempts < max_attempts_);
    NodeAction report{.type = Action::report_failed};
    report.error = failure_;
    report.will_retry = retry;
    actions.push_back(std::move(report));
    step_ = NodeStep::idle;
    if (!retry)
        return;
    if (next_) { // what was asked for meanwhile comes along, or after it
        next_->target = std::max(next_->target, current_.target);
        next_->kind = std::max(next_->kind, current_.kind);
        next_->attempts = current_.attempts;
    } else {
        next_ = current_;
    }
    step_ = NodeStep::waiting;
    actions.push_back({.type = Action::start_timer, .delay = retry_delay(current_.attempts)});
}

} // namespace ckpt
