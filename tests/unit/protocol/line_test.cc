// SPDX-License-Identifier: GPL-2.0-only
#include "libckpt/protocol/line.hh"

#include <gtest/gtest.h>

namespace ckpt {
namespace {

GuestGroup group(GroupId id, std::vector<Capture> captures, std::optional<Sn> present = {}) {
    return {id, std::move(captures), present};
}

TEST(Line, MemberIsTheFirstCaptureThatReachesTheLine) {
    const GuestGroup node = group(1, {{2, 0}, {5, 2}, {9, 6}});
    EXPECT_EQ(member_of(node, 1)->index, 2u);
    EXPECT_EQ(member_of(node, 2)->index, 2u);
    EXPECT_EQ(member_of(node, 3)->index, 5u);
    EXPECT_EQ(member_of(node, 5)->index, 5u);
    // Capture 6 was lost: what it stood for, 9 must not (Rule R9).
    EXPECT_EQ(member_of(node, 6), nullptr);
    EXPECT_EQ(member_of(node, 7)->index, 9u);
    EXPECT_EQ(member_of(node, 10), nullptr);
}

TEST(Line, AnEndedGroupKeepsNobodyFromALineAboveItsEnd) {
    GuestGroup ended = group(1, {{2, 0}, {5, 2}});
    ended.captures.push_back({6, 5, 0, true, true});
    EXPECT_EQ(member_of(ended, 6)->index, 6u);
    EXPECT_TRUE(stands_on(ended, 100));
    const GuestGroup other = group(2, {{3, 0}, {40, 3}});
    EXPECT_EQ(newest_line(std::vector{ended, other}).k, 40u);
    // Below its end its guests are brought back.
    EXPECT_EQ(newest_line(std::vector{ended, group(2, {{4, 0}})}).k, 4u);
    EXPECT_EQ(garbage_line(std::vector{ended, other}), 40u);
    EXPECT_EQ(keep_from(ended, 40), 6u) << "what says that it ended stays";
    // With guests again it counts again.
    ended.captures.push_back({8, 6, 0, true});
    EXPECT_FALSE(stands_on(ended, 100));
}

TEST(Line, PresentStateStandsOnlyForLinesAboveIt) {
    const GuestGroup node = group(1, {{2, 0}}, 4);
    EXPECT_TRUE(stands_on(node, 2));
    EXPECT_FALSE(stands_on(node, 3));
    EXPECT_FALSE(stands_on(node, 4));
    EXPECT_TRUE(stands_on(node, 5));
}

TEST(Line, NewestLineSkipsWhatOneNodeLost) {
    const GuestGroup nodes[] = {group(1, {{4, 0}, {6, 4}, {7, 6}}), group(2, {{4, 0}, {7, 6}}, 7)};
    EXPECT_EQ(newest_line(nodes).k, 7u);
    EXPECT_EQ(newest_line(nodes, 6).k, 4u);
    EXPECT_EQ(newest_line(nodes, 6).limiting, 2);
}

TEST(Line, LiveNodeThatIsBehindDoesNotHoldTheLineBack) {
    const GuestGroup nodes[] = {group(1, {{4, 0}, {9, 4}}), group(2, {{3, 0}}, 3)};
    EXPECT_EQ(newest_line(nodes).k, 9u);
}

TEST(Line, NoLine) {
    const GuestGroup nodes[] = {group(1, {{4, 0}}), group(2, {})};
    EXPECT_EQ(newest_line(nodes).k, 0u);
    EXPECT_EQ(newest_line(nodes).limiting, 2);
    EXPECT_EQ(garbage_line(nodes), 0u);
    EXPECT_EQ(keep_from(nodes[0], 0), 0u);
}

TEST(Line, GarbageCountsDurableMembersOnly) {
    const GuestGroup nodes[] = {group(1, {{4, 0}, {9, 4}}, 9),
                             group(2, {{3, 0}, {5, 3}, {9, 5, 0, false}}, 9)};
    EXPECT_EQ(garbage_line(nodes), 5u);
    EXPECT_EQ(keep_from(nodes[0], 5), 9u);
    EXPECT_EQ(keep_from(nodes[1], 5), 5u);
    EXPECT_EQ(garbage_line({}), 0u);
}

} // namespace
} // namespace ckpt
