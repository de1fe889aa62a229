// SPDX-License-Identifier: GPL-2.0-only
// Holds the simulated system to protocol.rst, "What must be shown", by what the
// guests did and nothing that the protocol says of itself: which history each group
// has, where in it each message was sent and received, where each capture was.
#pragma once

#include <string>
#include <vector>

#include "libckpt/protocol/line.hh"
#include "tests/sim/event_queue.hh"
#include "tests/sim/host.hh"

namespace ckpt::sim {

class Checker {
  public:
    Checker(unsigned nr_groups, bool full);

    // The first broken promise; empty if none.
    bool full() const { return full_; }
    const std::string &wrong() const { return wrong_; }
    void fail(std::string what, u32 message = kNoMessage) {
        if (!wrong_.empty())
            return;
        wrong_ = std::move(what);
        culprit_ = message;
    }
    // The message that broke it.
    static constexpr u32 kNoMessage = ~u32{0};
    u32 culprit() const { return culprit_; }

    // A guest of `frame.src` sends; fills in what the checker wants to know later.
    void sent(Frame &frame);
    // The network makes a second frame of it.
    void doubled(Frame &copy);
    void held(const Frame &frame);
    void lost(const Frame &frame, const char *why);
    // So does one of its copies in a channel log.
    void log_lost(const Frame &frame);
    // A guest of `frame.dst` receives it: no orphan, no ghost, not twice.
    void delivered(const Frame &frame, bool unprotected);

    u64 position(unsigned group) const { return groups_[group].position; }
    Sn reach(unsigned group) const { return groups_[group].reach; }
    // The group's state at `position` was captured as `index`.
    void captured(unsigned group, Sn index, u64 position);
    // It can never be used.
    void capture_lost(unsigned group, Sn index);
    // The group goes back to a capture, on a node that delivers up to `floor`.
    void went_back(unsigned group, Sn index, u64 position, Sn floor);

    // All groups stand together: nothing received that was not sent, and of what was
    // sent nothing forgotten.
    void check_present();
    // Nothing happens any more: all that was sent came, or its loss is counted.
    void check_rest();
    // No line from `oldest` on has an orphan (full only).
    void check_lines(Sn oldest);

    // Messages that were lost, by reason (full only).
    std::vector<std::pair<std::string, u64>> losses() const;

  private:
    struct Capture {
        Sn index;
        u64 position;
        Sn passed;  // it stands for no line up to here
        bool lost;
    };
    struct GroupTruth {
        u64 position = 0;
        Sn reach = 0;
        Sn passed = 0;              // may have received from after its captures, up to here
        std::vector<u64> rollbacks; // position gone back to; the epoch is their number
        std::vector<Capture> captures;
    };
    enum class Where : u8 { flight, held, delivered, nowhere, lost };
    struct Message {
        u32 src, dst;
        u64 sent_at, received_at = 0;
        u32 sent_epoch, received_epoch = 0;
        Where where = Where::flight;
        const char *why = nullptr;
        bool log_lost = false;
    };

    bool undone(unsigned group, u32 epoch, u64 position) const;
    bool line_position(unsigned group, Sn k, u64 &position) const;

    const bool full_;
    std::vector<GroupTruth> groups_;
    std::vector<Message> messages_;
    std::string wrong_;
    u32 culprit_ = kNoMessage;
};

} // namespace ckpt::sim
