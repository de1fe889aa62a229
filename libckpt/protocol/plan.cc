// SPDX-License-Identifier: GPL-2.0-only
#include "libckpt/protocol/plan.hh"

#include <algorithm>

#include "libckpt/base/assert.hh"

namespace ckpt {
namespace {

// Guests that never had a durable checkpoint cannot come back, and must not keep
// the others from it.
bool unprotected(const GuestGroup &group) {
    return !group.present && group.captures.empty();
}

Place placed(const GuestGroup &group, NodeId node, Sn k) {
    Place place{group.id, node, {}};
    if (const Capture *member = member_of(group, k))
        place.member = member->index;
    CKPT_ASSERT(stands_on(group, k));
    return place;
}

} // namespace

NodeId place_least_loaded(GroupId group, std::span<const Host> live,
                          std::span<const unsigned> load) {
    CKPT_ASSERT(live.size() == load.size());
    for (const Host &host : live)
        if (host.node == home_of(group))
            return host.node;
    if (live.empty())
        return 0;
    return live[static_cast<std::size_t>(std::min_element(load.begin(), load.end()) - load.begin())]
        .node;
}

GuestGroup after(GuestGroup group, std::span<const Decision> decisions, Incarnation applied) {
    for (const Decision &decision : decisions) {
        for (const Place &place : decision.places) {
            if (place.group != group.id || !place.member)
                continue;
            std::erase_if(group.captures, [&](const Capture &c) {
                return c.incarnation < decision.incarnation && c.index > *place.member;
            });
            if (decision.incarnation > applied)
                group.present = *place.member;
        }
    }
    return group;
}

Result<Plan> make_plan(const PlanInput &input) {
    Plan plan;
    plan.decision.incarnation = input.incarnation;
    plan.decision.previous = input.previous;

    std::vector<GuestGroup> all;
    for (const Report &report : input.reports)
        all.insert(all.end(), report.groups.begin(), report.groups.end());
    for (const GuestGroup &group : input.lost) {
        if (unprotected(group))
            plan.decision.unprotected.push_back(group.id);
        else
            all.push_back(group);
    }

    // Above everything that is: the line if nobody has to go back.
    Sn above_all = 1;
    for (const GuestGroup &group : all) {
        above_all = std::max(above_all, group.present.value_or(0) + 1);
        if (!group.captures.empty())
            above_all = std::max(above_all, group.captures.back().index + 1);
    }
    const Line line = newest_line(all, above_all);
    if (line.k == 0)
        return fail(ENODATA, "recovery line: group {} has no checkpoint that the others can meet",
                    group_name(line.limiting));
    plan.limiting = line.limiting;
    plan.decision.k = line.k;

    std::vector<unsigned> load;
    for (const Host &host : input.live) {
        auto report = std::find_if(input.reports.begin(), input.reports.end(),
                                   [&](const Report &r) { return r.host == host; });
        CKPT_ASSERT(report != input.reports.end());
        load.push_back(static_cast<unsigned>(report->groups.size()));
        for (const GuestGroup &group : report->groups)
            plan.decision.places.push_back(placed(group, host.node, line.k));
    }
    for (const GuestGroup &group : input.lost) {
        if (unprotected(group))
            continue;
        const NodeId node = input.place(group.id, input.live, load);
        auto host = std::find_if(input.live.begin(), input.live.end(),
                                 [&](const Host &h) { return h.node == node; });
        if (host == input.live.end())
            return fail(EBUSY, "recovery: no live node can take the guests of group {}",
                        group_name(group.id));
        load[static_cast<std::size_t>(host - input.live.begin())]++;
        plan.decision.places.push_back(placed(group, node, line.k));
    }
    return plan;
}

} // namespace ckpt
