// SPDX-License-Identifier: GPL-2.0-only
// From histories to a decision: pure, so that a dry run and the real thing agree.
#pragma once

#include <functional>
#include <span>

#include "libckpt/base/result.hh"
#include "libckpt/protocol/recovery_types.hh"

namespace ckpt {

// Where a failed group goes: one of the live nodes, or 0 if none can take it.
// `load` has how many groups each live node runs so far, same order.
using Placement =
    std::function<NodeId(GroupId group, std::span<const Host> live, std::span<const unsigned> load)>;

// A group's home if that lives (again), else the one that runs the fewest.
NodeId place_least_loaded(GroupId group, std::span<const Host> live,
                          std::span<const unsigned> load);

struct PlanInput {
    Incarnation incarnation = 0;  // of the decision
    Incarnation previous = 0;
    std::vector<Host> live;
    std::vector<Report> reports;     // of all live hosts
    std::vector<GuestGroup> lost;       // of the failed hosts, present: none
    Placement place = place_least_loaded;
};

struct Plan {
    Decision decision;
    GroupId limiting = 0;  // whose missing checkpoint keeps the line from being newer
};

// Rules R9 and R10. Errors: ENODATA no line is left, the context names the group;
// EBUSY no live node can take a lost group.
Result<Plan> make_plan(const PlanInput &input);

// What remains of a group after `decisions` (oldest first): captures that they
// undid are gone, and of those that its host has not applied, the member is what it
// stands on. `applied`: the incarnation that the host is in.
GuestGroup after(GuestGroup group, std::span<const Decision> decisions, Incarnation applied);

} // namespace ckpt
