// SPDX-License-Identifier: GPL-2.0-only
#include "libckpt/protocol/plan.hh"

#include <algorithm>

#include "libckpt/base/assert.hh"

namespace ckpt {
namespace {

// Guests that never had a durable checkpoint cannot come back, and must not keep
// the others from it.
bool unprotected(const Lineage &lineage) {
    return !lineage.present && lineage.captures.empty();
}

Place placed(const Lineage &lineage, NodeId node, Sn k) {
    Place place{lineage.node, node, {}};
    if (const Capture *member = member_of(lineage, k))
        place.member = member->index;
    CKPT_ASSERT(stands_on(lineage, k));
    return place;
}

} // namespace

NodeId place_least_loaded(NodeId lineage, std::span<const Host> live,
                          std::span<const unsigned> load) {
    CKPT_ASSERT(live.size() == load.size());
    for (const Host &host : live)
        if (host.node == lineage)
            return lineage;
    if (live.empty())
        return 0;
    return live[static_cast<std::size_t>(std::min_element(load.begin(), load.end()) - load.begin())]
        .node;
}

Lineage after(Lineage lineage, std::span<const Decision> decisions, Incarnation applied) {
    for (const Decision &decision : decisions) {
        for (const Place &place : decision.places) {
            if (place.lineage != lineage.node || !place.member)
                continue;
            std::erase_if(lineage.captures, [&](const Capture &c) {
                return c.incarnation < decision.incarnation && c.index > *place.member;
            });
            if (decision.incarnation > applied)
                lineage.present = *place.member;
        }
    }
    return lineage;
}

Result<Plan> make_plan(const PlanInput &input) {
    Plan plan;
    plan.decision.incarnation = input.incarnation;
    plan.decision.previous = input.previous;

    std::vector<Lineage> all;
    for (const Report &report : input.reports)
        all.insert(all.end(), report.lineages.begin(), report.lineages.end());
    for (const Lineage &lineage : input.lost) {
        if (unprotected(lineage))
            plan.decision.unprotected.push_back(lineage.node);
        else
            all.push_back(lineage);
    }

    const Line line = newest_line(all);
    if (line.k == 0)
        return fail(ENODATA, "recovery line: node {} has no checkpoint that the others can meet",
                    line.limiting);
    plan.limiting = line.limiting;
    plan.decision.k = line.k;

    std::vector<unsigned> load;
    for (const Host &host : input.live) {
        auto report = std::find_if(input.reports.begin(), input.reports.end(),
                                   [&](const Report &r) { return r.host == host; });
        CKPT_ASSERT(report != input.reports.end());
        load.push_back(static_cast<unsigned>(report->lineages.size()));
        for (const Lineage &lineage : report->lineages)
            plan.decision.places.push_back(placed(lineage, host.node, line.k));
    }
    for (const Lineage &lineage : input.lost) {
        if (unprotected(lineage))
            continue;
        const NodeId node = input.place(lineage.node, input.live, load);
        auto host = std::find_if(input.live.begin(), input.live.end(),
                                 [&](const Host &h) { return h.node == node; });
        if (host == input.live.end())
            return fail(EBUSY, "recovery: no live node can take the guests of node {}",
                        lineage.node);
        load[static_cast<std::size_t>(host - input.live.begin())]++;
        plan.decision.places.push_back(placed(lineage, node, line.k));
    }
    return plan;
}

} // namespace ckpt
