// SPDX-License-Identifier: GPL-2.0-only
// The protocol core of this node: in the kernel module, where it judges frames,
// or, for tests with guests inside the daemon, in this process. Control thread
// only.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include <tlckpt/proto.h>

#include "daemon/config.hh"
#include "daemon/event_loop.hh"
#include "libckpt/base/result.hh"
#include "libckpt/protocol/line.hh"

namespace ckpt {

// A frame of the channel log (R12).
struct LoggedFrame {
    Sn from = 0, to = 0; // logged for the indexes in (from, to]
    Sn sn = 0;           // of its stamp
    Incarnation incarnation = 0;
    NodeId peer = 0;     // 0: a guest of this node
    std::string bytes;
};

class ProtocolPort {
  public:
    struct State {
        NodeId node = 0;
        Incarnation incarnation = 0;
        Sn sn = 0, captured = 0, durable = 0, target = 0;
        u8 phase = 0, reason = 0; // enum tlckpt_phase, tlckpt_reason
        NodeId cause_peer = 0;
        Sn cause_sn = 0;
        bool frozen = false;
        u64 held_frames = 0, log_frames = 0, log_lost = 0;
    };
    struct Answer {
        Sn sn = 0, prev = 0; // of CUT and CAPTURED
        bool intake_open = false;
    };
    // The state is worth a look: a request, a newer incarnation, lost events.
    using Changed = std::function<void()>;
    // A checkpoint is wanted, and why.
    using Wanted = std::function<void(Sn target, u8 reason, NodeId peer, Sn sn)>;

    virtual ~ProtocolPort() = default;

    // Errors: ENOENT this host is no node yet.
    virtual Result<State> state() = 0;
    // Makes it a node, frozen.
    virtual Status begin(Incarnation incarnation, Sn sn) = 0;
    // Forgets the node: its links let nothing of ours through any more.
    virtual Status end() = 0;
    // Links, settings, ownership: after begin() or for a node that is there.
    virtual Status own() = 0;
    virtual Status exempt(const std::string &address) = 0;
    // One step; never TLCKPT_EV_FRAME. The error has the core's reason.
    virtual Result<Answer> step(const tlckpt_event &event) = 0;

    virtual Result<std::vector<LoggedFrame>> log() = 0;
    virtual Status forget_log(Sn up_to) = 0;
    virtual Status inject(const std::string &frame) = 0;
};

// EINVAL, ENOENT (the module is not loaded), EPERM; what the key file says wrong.
Result<std::unique_ptr<ProtocolPort>> open_kernel_port(EventLoop &loop, const Config &config,
                                                       ProtocolPort::Changed changed,
                                                       ProtocolPort::Wanted wanted);
Result<std::unique_ptr<ProtocolPort>> open_process_port(EventLoop &loop, const Config &config,
                                                        ProtocolPort::Wanted wanted);

// The cluster's key from its file: 32 hexadecimal digits.
Result<std::string> read_key(const std::string &path);

} // namespace ckpt
