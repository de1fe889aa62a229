// SPDX-License-Identifier: GPL-2.0-only
// A small cluster that keeps its whole history, to hold the protocol against: every
// node runs the core, guests are lists of what they sent and received, a checkpoint
// is a length of such a list. Nothing here uses prev, ranges or the line search:
// members and orphans are found by looking at everything.
#pragma once

#include <deque>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include <tlckpt/proto.h>

#include "libckpt/protocol/line.hh"

namespace ckpt {

class World {
  public:
    World(unsigned nr_nodes, tlckpt_mode mode);

    // Does one thing that can happen; which one the number says.
    void act(std::uint32_t choice);

    // The first broken promise, empty if none.
    const std::string &wrong() const { return wrong_; }

    // How often things happened, so that a test can see that they did.
    struct Counts {
        unsigned lines = 0, rollbacks = 0, replayed = 0, ghosts = 0, stayed = 0, lost_captures = 0;
    };
    const Counts &counts() const { return counts_; }

  private:
    struct Message {
        unsigned src, dst;
        tlckpt_frame stamp;
        std::string lost; // why
    };
    using Id = unsigned;
    struct Happening {
        bool sent;
        Id message;
    };
    enum class State { memory, durable, lost };
    struct Image {
        Sn index = 0, prev = 0;
        std::size_t length = 0; // of the history
        State state = State::memory;
        Incarnation incarnation = 0;
        std::vector<Id> log;
    };
    struct Held {
        Id message;
        tlckpt_frame frame;
    };
    struct Node {
        tlckpt_proto p;
        std::vector<Happening> history;
        std::vector<Image> images; // finished captures, in order
        std::optional<Image> attempt;
        std::deque<Held> held;
    };

    tlckpt_update step(Node &node, tlckpt_event event);
    tlckpt_update step(Node &node, tlckpt_event_type type, Sn index = 0);
    tlckpt_update frame(Node &node, const tlckpt_frame &frame);
    void obey(Node &node, const tlckpt_update &u);

    void send(unsigned src, unsigned dst);
    void arrive(std::size_t which, bool lose);
    void settle(Node &node, Id message, const tlckpt_frame &frame, const tlckpt_update &u);
    void log(Node &node, Id message, const tlckpt_range &range);
    void release(Node &node);
    void checkpoint_step(Node &node, bool fail);
    void persist(Node &node, bool lose);
    void recover(unsigned failed_mask);
    void put_back(unsigned i, Sn k, std::optional<Sn> member, bool failed);

    // The state that node i would have on line k: a length of its history.
    struct Stand {
        std::size_t length;
        const Image *image; // null: its present state
    };
    std::optional<Stand> stand(const Node &node, Sn k) const;
    void check_line(Sn k);
    void check();
    Sn newest_line_by_looking(unsigned failed_mask) const;
    void fail(std::string what);

    tlckpt_mode mode_;
    std::vector<Node> nodes_;
    std::vector<Message> messages_;
    std::vector<Id> flight_;
    std::vector<tlckpt_rollback> records_;
    std::string wrong_;
    Counts counts_;
};

} // namespace ckpt
