// SPDX-License-Identifier: GPL-2.0-only
// The recovery procedure of one node, event by event; whole clusters are the
// simulator's part.
#include "libckpt/protocol/recovery.hh"

#include <gtest/gtest.h>

namespace ckpt {
namespace {

const Host kOne{1, 1}, kTwo{2, 1}, kThree{3, 1};

template <typename Action> std::vector<Action> all(const std::vector<RecoveryAction> &actions) {
    std::vector<Action> found;
    for (const RecoveryAction &action : actions)
        if (const Action *one = std::get_if<Action>(&action))
            found.push_back(*one);
    return found;
}
template <typename Action> Action only(const std::vector<RecoveryAction> &actions) {
    const std::vector<Action> found = all<Action>(actions);
    EXPECT_EQ(found.size(), 1u);
    return found.empty() ? Action{} : found.front();
}

// One node's procedure and the store's record, which changes as it proposes.
struct Node {
    explicit Node(Host host, std::optional<Incarnation> applied = 0, bool thawed = true)
        : recovery(Recovery::Self{host, applied, thawed}) {}

    std::vector<RecoveryAction> up(std::vector<Host> hosts) {
        return recovery.step(HostsUp{std::move(hosts)});
    }
    std::vector<RecoveryAction> see(const Record &record) {
        return recovery.step(RecordSeen{record, ++revision});
    }
    // Its proposal is written.
    std::vector<RecoveryAction> win(const std::vector<RecoveryAction> &actions) {
        const Propose proposal = only<Propose>(actions);
        EXPECT_EQ(proposal.revision, revision);
        return see(proposal.record);
    }

    Recovery recovery;
    u64 revision = 0;
};

Record idle() { return Recovery::founding({kOne, kTwo, kThree}); }

Record gathering(std::vector<Host> live, std::vector<Host> failed, Incarnation incarnation = 1) {
    Record record = idle();
    record.stage = Stage::gather;
    record.incarnation = incarnation;
    record.live = std::move(live);
    record.failed = std::move(failed);
    return record;
}

Record decided(std::vector<Decision> pending, std::vector<Host> live = {kOne, kTwo}) {
    Record record = gathering(std::move(live), {kThree}, pending.back().incarnation);
    record.stage = Stage::decided;
    record.pending = std::move(pending);
    return record;
}

GuestGroup history(GroupId id, std::vector<Sn> indexes, std::optional<Sn> present = {}) {
    GuestGroup group{id, {}, present};
    Sn prev = 0;
    for (Sn index : indexes) {
        group.captures.push_back({index, prev, 0, true});
        prev = index;
    }
    return group;
}

TEST(Recovery, QuietWhileAllAreUp) {
    Node one(kOne);
    EXPECT_TRUE(one.up({kOne, kTwo, kThree}).empty());
    EXPECT_TRUE(one.see(idle()).empty());
    EXPECT_TRUE(one.recovery.leads());
}

TEST(Recovery, TheLowestLiveHostLeads) {
    Node one(kOne), two(kTwo);
    for (Node *node : {&one, &two}) {
        node->up({kOne, kTwo, kThree});
        node->see(idle());
    }
    EXPECT_TRUE(all<Propose>(two.up({kOne, kTwo})).empty());
    const Propose proposal = only<Propose>(one.up({kOne, kTwo}));
    EXPECT_EQ(proposal.record.stage, Stage::gather);
    EXPECT_EQ(proposal.record.incarnation, 1u);
    EXPECT_EQ(proposal.record.live, (std::vector<Host>{kOne, kTwo}));
    EXPECT_EQ(proposal.record.failed, std::vector<Host>{kThree});
    // Said once, again when the store may have lost it.
    EXPECT_TRUE(all<Propose>(one.up({kOne, kTwo})).empty());
    EXPECT_EQ(only<Propose>(one.recovery.step(Retry{})).record, proposal.record);
}

TEST(Recovery, AnOldRecordSeenLateIsIgnored) {
    Node one(kOne);
    one.up({kOne, kTwo, kThree});
    one.revision = 4;
    one.see(gathering({kOne, kTwo, kThree}, {}, 2));
    EXPECT_TRUE(one.recovery.step(RecordSeen{idle(), 3}).empty());
    EXPECT_EQ(one.recovery.record().incarnation, 2u);
}

TEST(Recovery, WholeWayOfTheLeader) {
    Node one(kOne);
    one.up({kOne, kTwo, kThree});
    one.see(idle());
    auto actions = one.win(one.up({kOne, kTwo}));
    EXPECT_EQ(only<Freeze>(actions).incarnation, 1u);
    EXPECT_EQ(only<Fence>(actions).host, kThree);
    // Rule R14: what the failed host left is read only behind the fence.
    EXPECT_TRUE(all<ReadHistory>(actions).empty());
    EXPECT_TRUE(one.recovery.step(HistoryRead{kThree, {history(3, {1})}}).empty());
    const ReadHistory read = only<ReadHistory>(one.recovery.step(FenceConfirmed{kThree}));
    EXPECT_EQ(read.groups, std::vector<GroupId>{3});
    EXPECT_TRUE(one.recovery.step(HistoryRead{kThree, {history(3, {1, 4})}}).empty());

    const Report own = only<PublishReport>(
        one.recovery.step(Settled{1, {history(1, {1, 4, 5}, 5)}})).report;
    EXPECT_TRUE(all<Propose>(one.recovery.step(ReportSeen{own})).empty()) << "node 2 is due";
    actions = one.recovery.step(ReportSeen{{kTwo, 1, {history(2, {1, 3}, 3)}}});
    const Decision decision = only<Propose>(actions).record.pending.at(0);
    EXPECT_EQ(decision.k, 4u);
    EXPECT_EQ(decision.places, (std::vector<Place>{{1, 1, 4}, {2, 2, {}}, {3, 1, 4}}));

    const Apply apply = only<Apply>(one.win(actions));
    ASSERT_EQ(apply.steps.size(), 1u);
    EXPECT_EQ(apply.steps[0].k, 4u);
    EXPECT_EQ(apply.steps[0].member, 4u);
    EXPECT_EQ(apply.steps[0].raise, 0u) << "all arrive with the node's own index";
    EXPECT_EQ(apply.restores, (std::vector<Restore>{{1, 4, 4}, {3, 4, 4}}));
    EXPECT_EQ(only<PublishDone>(one.recovery.step(Applied{1})).incarnation, 1u);

    EXPECT_TRUE(one.recovery.step(DoneSeen{kOne, 1}).empty());
    const Record last = only<Propose>(one.recovery.step(DoneSeen{kTwo, 1})).record;
    EXPECT_EQ(last.stage, Stage::idle);
    EXPECT_EQ(last.done, 1u);
    EXPECT_EQ(last.history, (std::vector<PastRollback>{{1, 0, 4}}));
    EXPECT_EQ(last.places, decision.places);
    EXPECT_TRUE(last.pending.empty() && last.failed.empty());
}

TEST(Recovery, AFollowerFreezesReportsAppliesAndSaysSoOnce) {
    Node two(kTwo);
    two.up({kOne, kTwo});
    EXPECT_EQ(only<Freeze>(two.see(gathering({kOne, kTwo}, {kThree}))).incarnation, 1u);
    EXPECT_TRUE(two.up({kOne, kTwo}).empty());
    EXPECT_TRUE(two.recovery.step(Settled{7, {}}).empty()) << "of another recovery";
    const Report report =
        only<PublishReport>(two.recovery.step(Settled{1, {history(2, {3}, 3)}})).report;
    EXPECT_EQ(report.host, kTwo);
    EXPECT_EQ(report.groups, (std::vector<GuestGroup>{history(2, {3}, 3)}));
    EXPECT_EQ(only<PublishReport>(two.recovery.step(Retry{})).report, report);

    const Decision decision{1, 0, 3, {{1, 1, 3}, {2, 2, 3}, {3, 1, 3}}, {}};
    const Apply apply = only<Apply>(two.see(decided({decision})));
    EXPECT_EQ(apply.restores, (std::vector<Restore>{{2, 3, 3}}));
    EXPECT_EQ(only<PublishDone>(two.recovery.step(Applied{1})).incarnation, 1u);
    EXPECT_TRUE(two.up({kOne, kTwo}).empty());
}

TEST(Recovery, WhenTheLeaderDiesTheNextGoesOn) {
    Node two(kTwo);
    two.up({kOne, kTwo});
    two.see(gathering({kOne, kTwo}, {kThree}));
    const Record next = only<Propose>(two.up({kTwo})).record;
    EXPECT_EQ(next.stage, Stage::gather);
    EXPECT_EQ(next.incarnation, 2u) << "a further failure, a higher incarnation";
    EXPECT_EQ(next.live, std::vector<Host>{kTwo});
    EXPECT_EQ(next.failed, (std::vector<Host>{kThree, kOne}));
}

TEST(Recovery, AFailureAfterTheDecisionKeepsIt) {
    Node two(kTwo);
    two.up({kOne, kTwo});
    const Decision decision{1, 0, 3, {{1, 1, 3}, {2, 2, 3}, {3, 1, 3}}, {}};
    two.see(decided({decision}));
    const Record next = only<Propose>(two.up({kTwo})).record;
    EXPECT_EQ(next.failed, std::vector<Host>{kOne}) << "host 3 is taken care of";
    EXPECT_EQ(next.pending, std::vector<Decision>{decision});
}

TEST(Recovery, WhoMissedDecisionsFollowsEach) {
    Node two(kTwo);
    two.up({kOne, kTwo});
    const Decision first{1, 0, 3, {{1, 1, 3}, {2, 2, 3}, {3, 3, 3}}, {}};
    const Decision second{2, 1, 5, {{1, 1, 5}, {2, 2, {}}, {3, 1, 5}}, {}};
    const Apply apply = only<Apply>(two.see(decided({first, second})));
    ASSERT_EQ(apply.steps.size(), 2u);
    EXPECT_EQ(apply.steps[0].k, 3u);
    EXPECT_EQ(apply.steps[0].member, 3u);
    EXPECT_EQ(apply.steps[1].k, 5u);
    EXPECT_EQ(apply.steps[1].member, 0u) << "it stays where the first one put it";
    EXPECT_EQ(apply.steps[1].previous, 1u);
    EXPECT_EQ(apply.restores, (std::vector<Restore>{{2, 3, 3}}));
}

// What stayed in a decision that its node did not live to finish does not run on the
// node's next boot: until a later decision brings it back, the node has no guests.
TEST(Recovery, WhatStayedUnderAnEarlierBootIsNotHere) {
    const Host again{1, 2};
    Node one(again, std::nullopt, false);
    one.up({again});
    const Decision first{2, 1, 57, {{1, 1, {}}, {2, 1, {}}}, {}};
    const Decision second{3, 2, 57, {{1, 1, {}}, {2, 1, {}}}, {}};
    const Decision third{4, 3, 56, {{1, 1, 56}, {2, 1, 56}}, {}};
    const Apply apply = only<Apply>(one.see(decided({first, second, third}, {again})));
    ASSERT_EQ(apply.steps.size(), 3u);
    EXPECT_EQ(apply.steps[0].member, 57u);
    EXPECT_EQ(apply.steps[1].member, 57u);
    EXPECT_EQ(apply.steps[2].member, 56u);
    EXPECT_EQ(apply.restores, (std::vector<Restore>{{1, 56, 56}, {2, 56, 56}}));
}

TEST(Recovery, WhatArrivedOnANodeWithoutGuestsStaysThere) {
    const Host spare{4, 1};
    Node four(spare);
    four.up({kOne, spare});
    const Decision first{1, 0, 5, {{1, 1, 5}, {3, 4, 7}}, {}};
    const Decision second{2, 1, 8, {{1, 1, {}}, {3, 4, {}}}, {}};
    const Apply apply = only<Apply>(four.see(decided({first, second}, {kOne, spare})));
    ASSERT_EQ(apply.steps.size(), 2u);
    EXPECT_EQ(apply.steps[0].member, 7u);
    EXPECT_EQ(apply.steps[1].member, 0u);
    EXPECT_EQ(apply.restores, (std::vector<Restore>{{3, 7, 5}}));
}

TEST(Recovery, GuestsWithAHigherIndexRaiseTheirNewNode) {
    Node two(kTwo);
    two.up({kOne, kTwo});
    // Node 2 stays at 3; the guests of node 3 come from checkpoint 8, which stands for 5.
    const Decision decision{1, 0, 5, {{1, 1, 6}, {2, 2, {}}, {3, 2, 8}}, {}};
    const Apply apply = only<Apply>(two.see(decided({decision})));
    ASSERT_EQ(apply.steps.size(), 1u);
    EXPECT_EQ(apply.steps[0].member, 0u);
    EXPECT_EQ(apply.steps[0].raise, 9u);
    EXPECT_EQ(apply.restores, (std::vector<Restore>{{3, 8, 5}}));
}

TEST(Recovery, WhoWasDeclaredFailedStandsDown) {
    Node three(kThree);
    three.up({kOne, kTwo, kThree});
    three.see(idle());
    const auto actions = three.see(gathering({kOne, kTwo}, {kThree}));
    EXPECT_EQ(all<StandDown>(actions).size(), 1u);
    EXPECT_EQ(actions.size(), 1u);
}

TEST(Recovery, WhoLostItsLeaseStandsDownAndDoesNothingMore) {
    Node three(kThree, std::nullopt, false);
    three.up({kOne, kTwo, kThree});
    three.see(idle());
    EXPECT_EQ(all<StandDown>(three.up({kOne, kTwo})).size(), 1u);
    EXPECT_TRUE(three.up({kOne}).empty());
}

TEST(Recovery, WhoMissedAFinishedRecoveryStandsDown) {
    Node two(kTwo);
    two.up({kOne, kTwo, kThree});
    Record record = idle();
    record.incarnation = record.done = 2;
    EXPECT_EQ(all<StandDown>(two.see(record)).size(), 1u);
}

TEST(Recovery, ANewHostIsLetInAndToldThePast) {
    const Host again{3, 2};
    Record record = idle();
    record.live = {kOne, kTwo};
    record.incarnation = record.done = 1;
    record.history = {{1, 0, 4}};
    Node one(kOne, 1), three(again, std::nullopt, false);
    one.up({kOne, kTwo});
    EXPECT_TRUE(one.see(record).empty());
    EXPECT_TRUE(three.up({kOne, kTwo, again}).empty());
    EXPECT_TRUE(three.see(record).empty()) << "the leader lets it in";
    const Record next = only<Propose>(one.up({kOne, kTwo, again})).record;
    EXPECT_EQ(next.live, (std::vector<Host>{kOne, kTwo, again}));
    EXPECT_EQ(next.incarnation, 1u) << "nobody goes back";
    const Apply apply = only<Apply>(three.see(next));
    ASSERT_EQ(apply.steps.size(), 1u);
    EXPECT_EQ(apply.steps[0].k, 4u);
    EXPECT_EQ(apply.steps[0].incarnation, 1u);
    EXPECT_TRUE(apply.restores.empty());
}

TEST(Recovery, ANodeThatOthersTookOverFromBeginsAGroupOfItsOwn) {
    Node one(kOne, 3);
    Record record = idle();
    record.incarnation = record.done = 3;
    record.live = {kOne, kTwo};
    record.places = {{1, 1, {}}, {2, 2, {}}, {3, 1, {}}};
    const Host again{3, 2};
    one.up({kOne, kTwo, again});
    const Record next = only<Propose>(one.see(record)).record;
    EXPECT_EQ(next.live, (std::vector<Host>{kOne, kTwo, again}));
    EXPECT_EQ(next.places.back(), (Place{group_id(3, 3), 3, {}}));
    EXPECT_EQ(group_name(next.places.back().group), "3.3");
    EXPECT_EQ(home_of(next.places.back().group), 3);
    // So does one that came while a recovery was under way: it has none yet.
    record.live.push_back(again);
    one.revision += 5;
    EXPECT_EQ(only<Propose>(one.see(record)).record, next);
    // What moved back home needs no other.
    record.places[2].node = 3;
    one.revision += 5;
    EXPECT_TRUE(all<Propose>(one.see(record)).empty());
}

TEST(Recovery, WhenAllHaveFailedTheFirstThatBootsLeads) {
    const Host two_again{2, 2}, three_again{3, 2};
    Node two(two_again, std::nullopt, false), three(three_again, std::nullopt, false);
    two.up({two_again, three_again});
    three.up({two_again, three_again});
    EXPECT_TRUE(all<Propose>(three.see(idle())).empty());
    const Record next = only<Propose>(two.see(idle())).record;
    EXPECT_EQ(next.stage, Stage::gather);
    EXPECT_EQ(next.failed, (std::vector<Host>{kOne, kTwo, kThree}));
    EXPECT_EQ(next.live, (std::vector<Host>{two_again, three_again}));
    // What its earlier boot ran is lost with it: its report has no guests.
    auto actions = two.see(next);
    EXPECT_EQ(all<Fence>(actions).size(), 3u);
    EXPECT_EQ(only<Freeze>(actions).incarnation, 1u);
    const Report report =
        only<PublishReport>(two.recovery.step(Settled{1, {history(2, {4}, 4)}})).report;
    EXPECT_TRUE(report.groups.empty());
}

TEST(Recovery, ADaemonThatStartsAgainGoesOnWhereItWas) {
    const Decision decision{1, 0, 3, {{1, 1, 3}, {2, 2, 3}, {3, 1, 3}}, {}};
    Node fed(kTwo, 1, false), finished(kTwo, 1, true);
    for (Node *node : {&fed, &finished})
        node->up({kOne, kTwo});
    const Apply apply = only<Apply>(fed.see(decided({decision})));
    EXPECT_TRUE(apply.steps.empty()) << "only the thaw is due";
    EXPECT_EQ(only<PublishDone>(finished.see(decided({decision}))).incarnation, 1u);
}

TEST(Recovery, NoLineIsSaidOnceAndNothingIsDecided) {
    Node one(kOne);
    one.up({kOne});
    one.see(gathering({kOne}, {kThree}));
    one.recovery.step(FenceConfirmed{kThree});
    one.recovery.step(HistoryRead{kThree, {history(3, {1})}});
    GuestGroup own = history(1, {9}, 9);
    own.captures[0].prev = 8; // nothing for line 1
    const Report report = only<PublishReport>(one.recovery.step(Settled{1, {own}})).report;
    const auto actions = one.recovery.step(ReportSeen{report});
    EXPECT_TRUE(only<Stuck>(actions).error.is(ENODATA));
    EXPECT_TRUE(all<Propose>(actions).empty());
    EXPECT_TRUE(one.recovery.step(ReportSeen{report}).empty());
}

TEST(Recovery, NoRoomWaitsForANewHost) {
    const Host four{4, 1};
    Recovery recovery(Recovery::Self{kOne, 0, true},
                      [](NodeId, std::span<const Host> live, std::span<const unsigned>) {
                          return live.size() > 1 ? live.back().node : NodeId{0};
                      });
    recovery.step(HostsUp{{kOne}});
    recovery.step(RecordSeen{gathering({kOne}, {kThree}), 1});
    recovery.step(FenceConfirmed{kThree});
    recovery.step(HistoryRead{kThree, {history(3, {4})}});
    const Report report =
        only<PublishReport>(recovery.step(Settled{1, {history(1, {4}, 4)}})).report;
    EXPECT_TRUE(only<Stuck>(recovery.step(ReportSeen{report})).error.is(EBUSY));
    const Record next = only<Propose>(recovery.step(HostsUp{{kOne, four}})).record;
    EXPECT_EQ(next.stage, Stage::gather);
    EXPECT_EQ(next.incarnation, 2u);
    EXPECT_EQ(next.live, (std::vector<Host>{kOne, four}));
    EXPECT_EQ(next.failed, std::vector<Host>{kThree});
}

} // namespace
} // namespace ckpt
