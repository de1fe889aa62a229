// SPDX-License-Identifier: GPL-2.0-only
#include "libckpt/protocol/line.hh"

#include <algorithm>

namespace ckpt {
namespace {

bool ended_before(const GuestGroup &group, Sn k) {
    return !group.captures.empty() && group.captures.back().empty &&
           group.captures.back().index < k;
}

// The index of the newest capture up to k that stands for any line; 0: none.
Sn newest_member(const GuestGroup &group, Sn k) {
    auto first_above = std::upper_bound(group.captures.begin(), group.captures.end(), k,
                                        [](Sn sn, const Capture &c) { return sn < c.index; });
    for (auto c = first_above; c != group.captures.begin();)
        if ((--c)->prev < c->index)
            return c->index;
    return 0;
}

// The largest line <= k that this group can stand on; 0: none.
Sn largest_line(const GuestGroup &group, Sn k) {
    if (stands_on(group, k))
        return k;
    // Neither by its present state at k, so not below k either: by a member.
    return newest_member(group, k);
}

} // namespace

const Capture *member_of(const GuestGroup &group, Sn k) {
    auto first = std::lower_bound(group.captures.begin(), group.captures.end(), k,
                                  [](const Capture &c, Sn sn) { return c.index < sn; });
    return first != group.captures.end() && first->prev < k ? &*first : nullptr;
}

bool stands_on(const GuestGroup &group, Sn k) {
    return member_of(group, k) || (group.present && *group.present < k) || ended_before(group, k);
}

Line newest_line(std::span<const GuestGroup> groups, Sn limit) {
    Line line{limit, 0};
    // Each pass lowers k to what one group allows, until all agree.
    for (bool lowered = true; lowered && line.k > 0;) {
        lowered = false;
        for (const GuestGroup &group : groups) {
            const Sn k = largest_line(group, line.k);
            if (k < line.k) {
                line = {k, group.id};
                lowered = true;
            }
        }
    }
    return line;
}

Sn garbage_line(std::span<const GuestGroup> groups) {
    std::vector<GuestGroup> stored(groups.begin(), groups.end());
    for (GuestGroup &group : stored) {
        group.present.reset();
        std::erase_if(group.captures, [](const Capture &c) { return !c.durable; });
    }
    const Line line = newest_line(stored);
    return line.k == ~Sn{0} ? 0 : line.k;
}

Sn keep_from(const GuestGroup &group, Sn line) {
    const Capture *member = line ? member_of(group, line) : nullptr;
    if (!member && ended_before(group, line))
        member = &group.captures.back(); // which says so
    return member ? member->index : 0;
}

} // namespace ckpt
