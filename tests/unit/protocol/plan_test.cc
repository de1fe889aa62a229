// SPDX-License-Identifier: GPL-2.0-only
#include "libckpt/protocol/plan.hh"

#include <gtest/gtest.h>

namespace ckpt {
namespace {

GuestGroup group(GroupId id, std::vector<Capture> captures, std::optional<Sn> present = {}) {
    return {id, std::move(captures), present};
}

// Node 3 has failed, nodes 1 and 2 report.
PlanInput input(std::vector<GuestGroup> of_1, std::vector<GuestGroup> of_2,
                std::vector<GuestGroup> lost) {
    PlanInput input;
    input.incarnation = 5;
    input.previous = 4;
    input.live = {{1, 1}, {2, 1}};
    input.reports = {{{1, 1}, 5, std::move(of_1)}, {{2, 1}, 5, std::move(of_2)}};
    input.lost = std::move(lost);
    return input;
}

const Place *place_of(const Decision &decision, GroupId group) {
    for (const Place &place : decision.places)
        if (place.group == group)
            return &place;
    return nullptr;
}

TEST(Placement, OwnNodeThenTheLeastLoaded) {
    const Host live[] = {{1, 1}, {2, 1}, {4, 3}};
    const unsigned load[] = {2, 1, 1};
    EXPECT_EQ(place_least_loaded(4, live, load), 4) << "it boots again: its guests stay";
    EXPECT_EQ(place_least_loaded(3, live, load), 2);
    EXPECT_EQ(place_least_loaded(3, {}, {}), 0);
}

TEST(Plan, NewestLineOfTheFailedNode) {
    const auto plan = make_plan(input({group(1, {{6, 5}, {7, 6}}, 7)}, {group(2, {{7, 6}}, 7)},
                                      {group(3, {{5, 0}, {7, 5}})}));
    ASSERT_TRUE(plan);
    EXPECT_EQ(plan->decision.k, 7u);
    EXPECT_EQ(plan->decision.incarnation, 5u);
    EXPECT_EQ(plan->decision.previous, 4u);
    EXPECT_EQ(*place_of(plan->decision, 1), (Place{1, 1, 7}));
    EXPECT_EQ(*place_of(plan->decision, 2), (Place{2, 2, 7}));
    // Both run one group: the first of them takes the third.
    EXPECT_EQ(*place_of(plan->decision, 3), (Place{3, 1, 7}));
}

TEST(Plan, WhoIsBehindTheLineStays) {
    // Rule R10: node 2 has not come to 6.
    const auto plan = make_plan(input({group(1, {{7, 4}}, 7)}, {group(2, {{4, 0}}, 5)},
                                      {group(3, {{6, 5}})}));
    ASSERT_TRUE(plan);
    EXPECT_EQ(plan->decision.k, 6u);
    EXPECT_EQ(place_of(plan->decision, 1)->member, 7u) << "its first capture that reaches 6";
    EXPECT_FALSE(place_of(plan->decision, 2)->member);
    EXPECT_EQ(place_of(plan->decision, 3)->member, 6u);
}

TEST(Plan, LostCaptureLowersTheLineForAll) {
    // Rule R9: node 1 gave up 6, so 7 stands for 7 alone, and node 3 has no 7.
    const auto plan = make_plan(input({group(1, {{5, 4}, {7, 6}}, 7)}, {group(2, {{5, 4}}, 5)},
                                      {group(3, {{5, 4}, {6, 5}})}));
    ASSERT_TRUE(plan);
    EXPECT_EQ(plan->decision.k, 5u);
    EXPECT_EQ(plan->limiting, 1);
}

TEST(Plan, NobodyFailedNobodyGoesBack) {
    const auto plan = make_plan(input({group(1, {{7, 6}}, 7)}, {group(2, {{6, 5}}, 6)}, {}));
    ASSERT_TRUE(plan);
    EXPECT_FALSE(place_of(plan->decision, 1)->member);
    EXPECT_FALSE(place_of(plan->decision, 2)->member);
    EXPECT_GT(plan->decision.k, 7u);
}

TEST(Plan, GroupThatHadNoCheckpointIsNamedAndLeftOut) {
    const auto plan = make_plan(input({group(1, {{7, 6}}, 7)}, {group(2, {{7, 6}}, 7)},
                                      {group(3, {}), group(4, {{7, 6}})}));
    ASSERT_TRUE(plan);
    EXPECT_EQ(plan->decision.unprotected, std::vector<GroupId>{3});
    EXPECT_EQ(place_of(plan->decision, 3), nullptr);
    EXPECT_EQ(place_of(plan->decision, 4)->member, 7u);
}

TEST(Plan, LostGroupsSpread) {
    const auto plan = make_plan(input({group(1, {{7, 6}}, 7)}, {group(2, {{7, 6}}, 7)},
                                      {group(3, {{7, 6}}), group(4, {{7, 6}})}));
    ASSERT_TRUE(plan);
    EXPECT_NE(place_of(plan->decision, 3)->node, place_of(plan->decision, 4)->node);
}

TEST(Plan, NoLineIsAnErrorThatNamesTheGroup) {
    const auto plan = make_plan(input({group(1, {{7, 6}}, 7)}, {group(2, {{7, 6}}, 7)},
                                      {group(3, {{2, 1}})}));
    ASSERT_FALSE(plan);
    EXPECT_TRUE(plan.error().is(ENODATA));
    EXPECT_NE(plan.error().message().find("group"), std::string::npos) << plan.error().message();
}

TEST(Plan, NoRoomIsAnError) {
    PlanInput full = input({group(1, {{7, 6}}, 7)}, {group(2, {{7, 6}}, 7)}, {group(3, {{7, 6}})});
    full.place = [](GroupId, std::span<const Host>, std::span<const unsigned>) { return NodeId{0}; };
    const auto plan = make_plan(full);
    ASSERT_FALSE(plan);
    EXPECT_TRUE(plan.error().is(EBUSY));
    EXPECT_NE(plan.error().message().find("group 3"), std::string::npos) << plan.error().message();
}

TEST(After, WhatADecisionUndidIsGone) {
    const Decision decision{3, 2, 5, {{1, 1, 6}}, {}};
    const GuestGroup before = group(1, {{4, 3, 2}, {6, 4, 2}, {8, 6, 2}, {7, 6, 3}}, 9);
    // Applied: the captures of incarnation 2 above the member are undone, 7 is newer.
    const GuestGroup applied = after(before, std::vector{decision}, 3);
    EXPECT_EQ(applied.captures, (std::vector<Capture>{{4, 3, 2}, {6, 4, 2}, {7, 6, 3}}));
    EXPECT_EQ(applied.present, 9u);
    // Not yet applied: it stands on its member.
    EXPECT_EQ(after(before, std::vector{decision}, 2).present, 6u);
}

TEST(After, WhoStaysOrIsAnotherKeepsAll) {
    const Decision decision{3, 2, 5, {{1, 1, {}}, {2, 1, 5}}, {}};
    const GuestGroup before = group(1, {{4, 3, 2}, {8, 6, 2}}, 4);
    EXPECT_EQ(after(before, std::vector{decision}, 2), before);
}

} // namespace
} // namespace ckpt
