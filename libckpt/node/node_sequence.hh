// SPDX-License-Identifier: GPL-2.0-only
// The sequence of node checkpoints as a pure state machine: events in, actions
// out; no I/O, no clock, no threads. It keeps R4 (order of the cut), R7 (a
// failed checkpoint never leaves a guest suspended), R3's merging of requests,
// and "all guests or none".
//
//   idle -> preparing -> suspending -> capturing -> resuming -> persisting -> committing -> idle
//               |            |             |                        |             |
//               +------------+-------------+--------> aborting <----+-------------+
//                                                    |      |
//                                                  idle   waiting -> (same request again)
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "libckpt/base/clock.hh"
#include "libckpt/base/result.hh"
#include "libckpt/node/node_checkpointer.hh"

namespace ckpt {

// What a guest, or the node itself, was asked to do. Each order is answered
// exactly once; one is outstanding per guest, and one for the node.
enum class NodeOrder : std::uint8_t {
    none,
    // a guest's
    prepare, // write early until a pause can hold the rest
    suspend, // failed: the guest runs, the request was taken back
    capture, // failed: the guest is still suspended
    resume,  // only ever done: the guest runs, or is gone for good
    persist,
    // the node's
    close_intake,
    cut,
    captured, // told; failed: nothing was captured, the index is owed (R7)
    commit,
};

struct NodeEvent {
    enum class Type : std::uint8_t {
        done,   // the order was carried out
        failed, // it was not, and `error` says why
        gone,   // so too, and the guest is no more: there is nothing to resume
        timer,  // the time of start_timer is over
        stop,   // the program ends: no new attempt, abort what is not captured
    };
    static constexpr unsigned kNode = ~0u;

    Type type = Type::done;
    unsigned guest = kNode; // whose order; kNode: the node's own
    Error error{};
    // With the cut done: the index that it took, not below the target. With
    // captured done: what the manifest names as `prev` (R9).
    std::optional<Sn> sn{};
};

struct NodeAction {
    enum class Type : std::uint8_t {
        order,  // `order` to `guest` (kNode: the node's own)
        cancel, // the guest's order need not be finished: answer soon
        open_intake, // once for each close_intake that was done
        keep,        // committed: the parts of all guests are the new base
        discard,     // not committed: what was copied is dirty again
        start_timer, // replaces one that runs
        stop_timer,
        report_failed // `error`, `will_retry`
    };
    Type type = Type::order;
    NodeOrder order = NodeOrder::none;
    unsigned guest = NodeEvent::kNode;
    Duration delay{};
    Error error{};
    bool will_retry = false;
};
using NodeActions = std::vector<NodeAction>;

class NodeSequence {
  public:
    NodeSequence(NodeIndexes start, unsigned max_attempts, Duration pause_timeout)
        : indexes_(start), max_attempts_(max_attempts), pause_timeout_(pause_timeout) {}

    // Notes that a checkpoint with an index of at least `target` (0: a new
    // one) is wanted, and returns the index that will satisfy it. `target` is
    // above indexes().captured.
    Sn request(CheckpointKind kind, Sn target);
    // A request is waiting and an attempt may begin.
    bool wants_attempt() const { return step_ == NodeStep::idle && next_ && !stopping_; }
    // Begins the attempt with guests 0 .. nr_guests-1; wants_attempt() holds.
    // Without a guest the request is given up, unless the checkpoint `may_be_empty`.
    void begin(unsigned nr_guests, bool may_be_empty, NodeActions &actions);
    // Takes an event in. The actions are to be done in their order.
    void handle(const NodeEvent &event, NodeActions &actions);

    NodeStep step() const { return step_; }
    const NodeIndexes &indexes() const { return indexes_; }
    // Of the attempt under way, or the last one.
    Sn target() const { return current_.target; }
    CheckpointKind kind() const { return current_.kind; }
    unsigned attempt() const { return current_.attempts; }
    // What the attempt's manifest names as the capture before it (R9).
    Sn prev() const { return prev_; }
    // What guest `i` is asked for, and whether it may be suspended.
    NodeOrder outstanding(unsigned i) const { return guests_[i].order; }
    bool maybe_suspended(unsigned i) const;
    bool intake_closed() const { return intake_closed_; }

  private:
    struct Request {
        Sn target = 0;
        CheckpointKind kind = CheckpointKind::basic;
        unsigned attempts = 0;
    };
    struct GuestState {
        NodeOrder order = NodeOrder::none;
        bool suspended = false;
        bool gone = false;
    };

    Sn fresh_index() const;
    void forget_requests_up_to(Sn captured);
    void order_guest(unsigned guest, NodeOrder order, NodeActions &actions);
    void order_all(NodeOrder order, NodeActions &actions);
    void order_node(NodeOrder order, NodeActions &actions);
    bool all_answered() const;
    void guest_answered(const NodeEvent &event, NodeActions &actions);
    void node_answered(const NodeEvent &event, NodeActions &actions);
    void advance(NodeActions &actions);
    void abort(const Error &error, NodeActions &actions);
    void finish_abort(NodeActions &actions);
    void plan_retry(NodeActions &actions);

    NodeIndexes indexes_;
    unsigned max_attempts_;
    Duration pause_timeout_;
    NodeStep step_ = NodeStep::idle;
    Request current_;
    std::optional<Request> next_;
    Sn prev_ = 0;
    std::vector<GuestState> guests_;
    NodeOrder node_order_ = NodeOrder::none;
    bool intake_closed_ = false;
    bool stopping_ = false;
    Error failure_;
};

} // namespace ckpt
