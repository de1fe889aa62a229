// SPDX-License-Identifier: GPL-2.0-only
// The core with one call per event, for tests.
#pragma once

#include <initializer_list>

#include <tlckpt/proto.h>

namespace ckpt {

struct Node {
    static tlckpt_config settings() {
        tlckpt_config config{};
        config.jump = 100;
        config.max_bytes = 1000;
        config.max_frames = 4;
        config.node = 1;
        config.mode = TLCKPT_MODE_MS;
        config.policy = TLCKPT_POLICY_HOLD;
        config.strict = true;
        return config;
    }

    explicit Node(u64 sn, const tlckpt_config &config = settings()) {
        tlckpt_proto_init(&p, &config, 0, sn);
        step(TLCKPT_EV_THAW);
    }

    tlckpt_update step(const tlckpt_event &event) {
        tlckpt_update u;
        error = tlckpt_proto_step(&p, &event, &u);
        return u;
    }
    tlckpt_update step(tlckpt_event_type type) {
        tlckpt_event event{};
        event.type = type;
        return step(event);
    }
    tlckpt_update step(tlckpt_event_type type, u64 index) {
        tlckpt_event event{};
        event.type = type;
        event.index = index;
        return step(event);
    }
    tlckpt_update frame(const tlckpt_frame &frame) {
        tlckpt_event event{};
        event.type = TLCKPT_EV_FRAME;
        event.frame = &frame;
        return step(event);
    }
    // A stamped frame of this node's incarnation.
    tlckpt_update frame(u16 peer, u64 sn, unsigned more_flags = 0) {
        return frame(stamped(peer, sn, p.view.incarnation, more_flags));
    }
    static tlckpt_frame stamped(u16 peer, u64 sn, u32 incarnation, unsigned more_flags = 0) {
        tlckpt_frame f{};
        f.peer = peer;
        f.sn = sn;
        f.incarnation = incarnation;
        f.bytes = 100;
        f.flags = static_cast<u16>(TLCKPT_FRAME_STAMPED | more_flags);
        return f;
    }
    // A whole node checkpoint up to the cut, and to captured.
    void cut() {
        for (auto type : {TLCKPT_EV_CLOSE, TLCKPT_EV_SUSPENDED, TLCKPT_EV_CUT})
            step(type);
    }
    tlckpt_update checkpoint() {
        cut();
        return step(TLCKPT_EV_CAPTURED, p.view.sn);
    }

    tlckpt_proto p;
    int error = 0; // of the last step
};

} // namespace ckpt
