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

// The guests that one node checkpoints together, through time. `node` is the
// node they began on; after it failed they may live on another one.
struct Lineage {
    NodeId node = 0;
    // Captures that can still be used, index rising. Of a failed node the durable
    // ones; of a live one also those on their way to stable storage, if it will
    // make them durable before they are used (Rule R10).
    std::vector<Capture> captures;
    // sn of the present state; none if the node that ran it failed.
    std::optional<Sn> present;
    // Another lineage's captures hold these guests for lines above this one, which
    // are none of this lineage's business. 0: it goes on by itself.
    Sn until = 0;

    bool operator==(const Lineage &) const = default;
};

// The checkpoint that stands for line k, or null (Rule R9).
const Capture *member_of(const Lineage &lineage, Sn k);

// Can this lineage be on line k: by a member, by its present state (Rule R10), or
// because the line is none of its business?
bool stands_on(const Lineage &lineage, Sn k);

struct Line {
    Sn k = 0;             // 0: there is none
    NodeId limiting = 0;  // the node without which the line could be newer; 0: none
};

// The newest line that all of them can stand on, not above `limit` (Rule R9). At
// least one should be without present state, or the line is `limit`.
Line newest_line(std::span<const Lineage> lineages, Sn limit = ~Sn{0});

// K of Rule R13: the newest line on which everyone has a durable member; 0: none.
Sn garbage_line(std::span<const Lineage> lineages);

// The oldest checkpoint of this lineage that must be kept once K is `line` (Rule R13).
// 0: all of them.
Sn keep_from(const Lineage &lineage, Sn line);

} // namespace ckpt
