// SPDX-License-Identifier: GPL-2.0-only
#include "libckpt/protocol/line.hh"

#include <gtest/gtest.h>

namespace ckpt {
namespace {

Lineage lineage(NodeId node, std::vector<Capture> captures, std::optional<Sn> present = {}) {
    return {node, std::move(captures), present, 0};
}

TEST(Line, MemberIsTheFirstCaptureThatReachesTheLine) {
    const Lineage node = lineage(1, {{2, 0}, {5, 2}, {9, 6}});
    EXPECT_EQ(member_of(node, 1)->index, 2u);
    EXPECT_EQ(member_of(node, 2)->index, 2u);
    EXPECT_EQ(member_of(node, 3)->index, 5u);
    EXPECT_EQ(member_of(node, 5)->index, 5u);
    // Capture 6 was lost: what it stood for, 9 must not (Rule R9).
    EXPECT_EQ(member_of(node, 6), nullptr);
    EXPECT_EQ(member_of(node, 7)->index, 9u);
    EXPECT_EQ(member_of(node, 10), nullptr);
}

TEST(Line, PresentStateStandsOnlyForLinesAboveIt) {
    const Lineage node = lineage(1, {{2, 0}}, 4);
    EXPECT_TRUE(stands_on(node, 2));
    EXPECT_FALSE(stands_on(node, 3));
    EXPECT_FALSE(stands_on(node, 4));
    EXPECT_TRUE(stands_on(node, 5));
}

TEST(Line, NewestLineSkipsWhatOneNodeLost) {
    const Lineage nodes[] = {lineage(1, {{4, 0}, {6, 4}, {7, 6}}), lineage(2, {{4, 0}, {7, 6}}, 7)};
    EXPECT_EQ(newest_line(nodes).k, 7u);
    EXPECT_EQ(newest_line(nodes, 6).k, 4u);
    EXPECT_EQ(newest_line(nodes, 6).limiting, 2);
}

TEST(Line, LiveNodeThatIsBehindDoesNotHoldTheLineBack) {
    const Lineage nodes[] = {lineage(1, {{4, 0}, {9, 4}}), lineage(2, {{3, 0}}, 3)};
    EXPECT_EQ(newest_line(nodes).k, 9u);
}

TEST(Line, NoLine) {
    const Lineage nodes[] = {lineage(1, {{4, 0}}), lineage(2, {})};
    EXPECT_EQ(newest_line(nodes).k, 0u);
    EXPECT_EQ(newest_line(nodes).limiting, 2);
    EXPECT_EQ(garbage_line(nodes), 0u);
    EXPECT_EQ(keep_from(nodes[0], 0), 0u);
}

TEST(Line, GarbageCountsDurableMembersOnly) {
    const Lineage nodes[] = {lineage(1, {{4, 0}, {9, 4}}, 9),
                             lineage(2, {{3, 0}, {5, 3}, {9, 5, 0, false}}, 9)};
    EXPECT_EQ(garbage_line(nodes), 5u);
    EXPECT_EQ(keep_from(nodes[0], 5), 9u);
    EXPECT_EQ(keep_from(nodes[1], 5), 5u);
    EXPECT_EQ(garbage_line({}), 0u);
}

TEST(Line, AbsorbedLineageCountsOnlyBelow) {
    Lineage absorbed = lineage(2, {{3, 0}});
    absorbed.until = 5;
    const Lineage nodes[] = {lineage(1, {{3, 0}, {5, 3}, {9, 5}}), absorbed};
    EXPECT_EQ(newest_line(nodes).k, 9u);
    EXPECT_EQ(newest_line(nodes, 5).k, 3u);
}

} // namespace
} // namespace ckpt
