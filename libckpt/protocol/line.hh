// SPDX-License-Identifier: GPL-2.0-only
// Recovery lines: which of a node's checkpoints belongs to L(k), the newest line
// that a set of nodes can stand on, and what no line needs any more.
#pragma once

#include <optional>
#include <span>
#include <vector>

#include <tlckpt/types.h>

namespace ckpt {

using Sn = u64;
using NodeId = u16;
using Incarnation = u32;

// A finished capture. It stands for the lines k with prev < k <= index (Rule R9).
struct Capture {
    Sn index = 0;
    Sn prev = 0;  // as its manifest says
    Incarnation incarnation = 0; // it was taken in
    bool durable = true;

    bool operator==(const Capture &) const = default;
};

// The guests that began on one node, through time. After that node failed they may
// live on another one, whose captures are then theirs too: each node checkpoint is
// a capture of every group that the node runs.
struct GuestGroup {
    NodeId node = 0;  // they began on; the group's name
    // Captures that can still be used, index rising. Of a failed node the durable
    // ones; of a live one also those on their way to stable storage, if it will
    // make them durable before they are used (Rule R10).
    std::vector<Capture> captures;
    // What tlckpt_proto_present() says of the node; none if it failed.
    std::optional<Sn> present;

    bool operator==(const GuestGroup &) const = default;
};

// The checkpoint that stands for line k, or null (Rule R9).
const Capture *member_of(const GuestGroup &group, Sn k);

// Can this group be on line k: by a member, or by its present state (Rule R10)?
bool stands_on(const GuestGroup &group, Sn k);

struct Line {
    Sn k = 0;             // 0: there is none
    NodeId limiting = 0;  // the node without which the line could be newer; 0: none
};

// The newest line that all of them can stand on, not above `limit` (Rule R9). At
// least one should be without present state, or the line is `limit`.
Line newest_line(std::span<const GuestGroup> groups, Sn limit = ~Sn{0});

// K of Rule R13: the newest line on which everyone has a durable member; 0: none.
Sn garbage_line(std::span<const GuestGroup> groups);

// The oldest checkpoint of this group that must be kept once K is `line` (Rule R13).
// 0: all of them.
Sn keep_from(const GuestGroup &group, Sn line);

} // namespace ckpt
