// SPDX-License-Identifier: GPL-2.0-only
#include "libckpt/protocol/line.hh"

#include <algorithm>

namespace ckpt {
namespace {

// The index of the newest capture up to k that stands for any line; 0: none.
Sn newest_member(const Lineage &lineage, Sn k) {
    auto first_above = std::upper_bound(lineage.captures.begin(), lineage.captures.end(), k,
                                        [](Sn sn, const Capture &c) { return sn < c.index; });
    for (auto c = first_above; c != lineage.captures.begin();)
        if ((--c)->prev < c->index)
            return c->index;
    return 0;
}

// The largest line <= k that this lineage can stand on; 0: none.
Sn largest_line(const Lineage &lineage, Sn k) {
    if (stands_on(lineage, k))
        return k;
    // Neither by its present state at k, so not below k either: by a member.
    return newest_member(lineage, k);
}

} // namespace

const Capture *member_of(const Lineage &lineage, Sn k) {
    auto first = std::lower_bound(lineage.captures.begin(), lineage.captures.end(), k,
                                  [](const Capture &c, Sn sn) { return c.index < sn; });
    return first != lineage.captures.end() && first->prev < k ? &*first : nullptr;
}

bool stands_on(const Lineage &lineage, Sn k) {
    if (lineage.until && k > lineage.until)
        return true;
    return member_of(lineage, k) || (lineage.present && *lineage.present < k);
}

Line newest_line(std::span<const Lineage> lineages, Sn limit) {
    Line line{limit, 0};
    // Each pass lowers k to what one lineage allows, until all agree.
    for (bool lowered = true; lowered && line.k > 0;) {
        lowered = false;
        for (const Lineage &lineage : lineages) {
            const Sn k = largest_line(lineage, line.k);
            if (k < line.k) {
                line = {k, lineage.node};
                lowered = true;
            }
        }
    }
    return line;
}

Sn garbage_line(std::span<const Lineage> lineages) {
    std::vector<Lineage> stored(lineages.begin(), lineages.end());
    for (Lineage &lineage : stored) {
        lineage.present.reset();
        std::erase_if(lineage.captures, [](const Capture &c) { return !c.durable; });
    }
    const Line line = newest_line(stored);
    return line.k == ~Sn{0} ? 0 : line.k;
}

Sn keep_from(const Lineage &lineage, Sn line) {
    const Capture *member = line ? member_of(lineage, line) : nullptr;
    return member ? member->index : 0;
}

} // namespace ckpt
