// SPDX-License-Identifier: GPL-2.0-only
// Recovery lines: which of a node's checkpoints belongs to L(k), the newest line
// that a set of nodes can stand on, and what no line needs any more.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <vector>

#include <tlckpt/types.h>

namespace ckpt {

using Sn = u64;
using NodeId = u16;
using Incarnation = u32;

// The guests that began on one node while it was one and the same host. After that was
// lost they live on elsewhere; what the node runs when it is back is another group.
using GroupId = u32;
constexpr GroupId group_id(NodeId node, Incarnation joined) {
    return node | (joined & 0xffff) << 16;
}
constexpr NodeId home_of(GroupId group) { return static_cast<NodeId>(group & 0xffff); }
// "2", or "2.1" if node 2 had joined anew in incarnation 1.
inline std::string group_name(GroupId group) {
    const GroupId joined = group >> 16;
    return std::to_string(home_of(group)) + (joined ? "." + std::to_string(joined) : "");
}

// A finished capture. It stands for the lines k with prev < k <= index (Rule R9).
struct Capture {
    Sn index = 0;
    Sn prev = 0;  // as its manifest says
    Incarnation incarnation = 0; // it was taken in
    bool durable = true;
    bool empty = false; // all guests had ended: there is nothing to put back

    bool operator==(const Capture &) const = default;
};

// A group through time. Each node checkpoint is a capture of every group that the node
// runs.
struct GuestGroup {
    GroupId id = 0;
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

// Can this group be on line k: by a member, by its present state (Rule R10), or because
// it had ended before?
bool stands_on(const GuestGroup &group, Sn k);

struct Line {
    Sn k = 0;             // 0: there is none
    GroupId limiting = 0;  // the group without which the line could be newer; 0: none
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
