// SPDX-License-Identifier: GPL-2.0-only
// Judging frames and going back: Rules R4, R5, R10..R12, R16, R17.
#include "tests/unit/core/node.hh"

#include <optional>
#include <utility>

#include <gtest/gtest.h>

namespace ckpt {
namespace {

tlckpt_frame plain(unsigned flags = 0) {
    tlckpt_frame frame{};
    frame.bytes = 100;
    frame.flags = static_cast<u16>(flags);
    return frame;
}

tlckpt_update rollback(Node &node, u32 incarnation, u64 k, u64 member, u64 raise = 0,
                       std::optional<u32> previous = {}) {
    tlckpt_event event{};
    event.type = TLCKPT_EV_ROLLBACK;
    event.rollback = {k, member, raise, incarnation, previous.value_or(incarnation - 1)};
    return node.step(event);
}

// A whole recovery.
void go_back(Node &node, u32 incarnation, u64 k, u64 member) {
    node.step(TLCKPT_EV_FREEZE);
    rollback(node, incarnation, k, member);
    ASSERT_EQ(node.error, 0);
    node.step(TLCKPT_EV_THAW);
}

tlckpt_verdict judge(const Node &node, const tlckpt_frame &frame) {
    return tlckpt_view_judge(&node.p.view, &frame);
}

TEST(Judge, FramesWithoutStamp) {
    Node node(1);
    EXPECT_EQ(judge(node, plain()), TLCKPT_DROP_PLAIN);
    EXPECT_EQ(judge(node, plain(TLCKPT_FRAME_LOCAL)), TLCKPT_DELIVER);
    EXPECT_EQ(judge(node, plain(TLCKPT_FRAME_LOCAL | TLCKPT_FRAME_BEHIND)), TLCKPT_HOLD);
    node.p.view.strict = false;
    EXPECT_EQ(judge(node, plain()), TLCKPT_DELIVER_PLAIN);
    // Rule R4: the intake holds frames from anywhere.
    node.p.view.intake_open = false;
    EXPECT_EQ(judge(node, plain(TLCKPT_FRAME_LOCAL)), TLCKPT_HOLD);
    EXPECT_EQ(judge(node, plain()), TLCKPT_HOLD);
    // Rule R1: and they force nothing.
    EXPECT_EQ(node.frame(plain(TLCKPT_FRAME_LOCAL)).todo, 0u);
    EXPECT_EQ(node.p.held_frames, 1u);
}

TEST(Judge, OwnIdIsAMistakeInTheCluster) {
    Node node(1);
    EXPECT_EQ(node.frame(1, 1).verdict, TLCKPT_DROP_OWN);
}

TEST(Judge, JumpIsBounded) {
    Node node(10);
    EXPECT_EQ(node.frame(2, 110).verdict, TLCKPT_HOLD);
    const auto u = node.frame(2, 111);
    EXPECT_EQ(u.verdict, TLCKPT_DROP_JUMP);
    EXPECT_EQ(u.todo, 0u);
    EXPECT_EQ(node.frame(2, ~u64{0}).verdict, TLCKPT_DROP_JUMP);
    EXPECT_EQ(node.frame(2, 1).verdict, TLCKPT_DELIVER) << "behind is no jump";
}

TEST(Judge, BehindHeldFramesOrderIsKept) {
    Node node(1);
    EXPECT_EQ(node.frame(2, 1, TLCKPT_FRAME_BEHIND).verdict, TLCKPT_HOLD);
    EXPECT_EQ(node.frame(2, 1).verdict, TLCKPT_DELIVER);
}

TEST(Judge, NewerIncarnationIsHeldAndToldOnce) {
    Node node(1);
    EXPECT_EQ(node.frame(Node::stamped(2, 1, 1)).todo, TLCKPT_DO_RECORD);
    const auto u = node.frame(Node::stamped(2, 50, 1));
    EXPECT_EQ(u.verdict, TLCKPT_HOLD);
    EXPECT_EQ(u.todo, 0u) << "no checkpoint is forced across a rollback";
    EXPECT_EQ(node.frame(Node::stamped(2, 1, 2)).todo, TLCKPT_DO_RECORD);
}

TEST(Judge, FrozenHoldsAndAsksNothing) {
    Node node(1);
    node.step(TLCKPT_EV_FREEZE);
    const auto u = node.frame(2, 9);
    EXPECT_EQ(u.verdict, TLCKPT_HOLD);
    EXPECT_EQ(u.todo, 0u);
    EXPECT_EQ(node.frame(2, 1).verdict, TLCKPT_HOLD);
    EXPECT_EQ(judge(node, plain(TLCKPT_FRAME_LOCAL)), TLCKPT_DELIVER);
    for (auto type : {TLCKPT_EV_TICK, TLCKPT_EV_REQUEST}) {
        EXPECT_NE(node.step(type).refusal, nullptr);
        EXPECT_EQ(node.error, -EBUSY);
    }
    node.step(TLCKPT_EV_FREEZE);
    EXPECT_EQ(node.error, -EALREADY);
    EXPECT_TRUE(node.step(TLCKPT_EV_THAW).todo & TLCKPT_DO_RELEASE);
    EXPECT_EQ(node.frame(2, 9, TLCKPT_FRAME_HELD).todo, TLCKPT_DO_REQUEST);
}

TEST(Judge, FreezeEndsTheAttempt) {
    Node node(1);
    node.step(TLCKPT_EV_TICK);
    node.cut();
    node.step(TLCKPT_EV_FREEZE);
    EXPECT_EQ(node.p.phase, TLCKPT_IDLE);
    EXPECT_TRUE(node.p.view.intake_open);
    EXPECT_EQ(node.p.view.sn, 2u);
    EXPECT_EQ(node.p.view.captured, 1u);
    const auto u = node.step(TLCKPT_EV_THAW);
    EXPECT_TRUE(u.todo & TLCKPT_DO_REQUEST) << "the attempt is due again";
}

TEST(Stamp, IsTheNewestFinishedCapture) {
    Node node(4);
    tlckpt_stamp stamp;
    auto index = [&] {
        tlckpt_view_stamp(&node.p.view, &stamp);
        return stamp.sn;
    };
    node.step(TLCKPT_EV_TICK);
    node.cut();
    // What leaves here, or after the attempt has failed, was sent before capture 5.
    EXPECT_EQ(node.p.view.sn, 5u);
    EXPECT_EQ(index(), 4u);
    node.step(TLCKPT_EV_ABORT);
    EXPECT_EQ(index(), 4u);
    node.checkpoint();
    EXPECT_EQ(index(), 5u);
    go_back(node, 3, 2, 5);
    EXPECT_EQ(index(), 5u);
    EXPECT_EQ(stamp.incarnation, 3u);
    EXPECT_EQ(stamp.node, 1u);
}

TEST(Ghost, OlderIncarnationByTheLine) {
    Node node(9);
    go_back(node, 1, 5, 6);
    EXPECT_EQ(node.p.view.sn, 6u);
    EXPECT_EQ(node.frame(Node::stamped(2, 5, 0)).verdict, TLCKPT_DROP_GHOST);
    EXPECT_EQ(node.frame(Node::stamped(2, 4, 0)).verdict, TLCKPT_DELIVER) << "in transit";
    EXPECT_EQ(node.frame(Node::stamped(2, 6, 1)).verdict, TLCKPT_DELIVER);
}

TEST(Ghost, EveryRollbackSinceCounts) {
    Node node(20);
    go_back(node, 1, 8, 8);
    go_back(node, 2, 4, 4);
    go_back(node, 3, 4, 4);
    EXPECT_EQ(judge(node, Node::stamped(2, 4, 0)), TLCKPT_DROP_GHOST);
    EXPECT_EQ(judge(node, Node::stamped(2, 3, 0)), TLCKPT_DELIVER);
    EXPECT_EQ(judge(node, Node::stamped(2, 4, 2)), TLCKPT_DROP_GHOST);
}

TEST(Ghost, ManyRollbacksMergeOnTheSafeSide) {
    Node node(1);
    for (u32 i = 1; i <= TLCKPT_NR_UNDONE + 3; i++)
        go_back(node, i, 10 * i, 10 * i);
    EXPECT_EQ(node.p.view.nr_undone, TLCKPT_NR_UNDONE);
    // Newest ones are told apart; older ones lose frames, but let no ghost in.
    const u32 last = TLCKPT_NR_UNDONE + 3;
    EXPECT_EQ(judge(node, Node::stamped(2, 10 * last - 1, last - 1)), TLCKPT_DELIVER);
    EXPECT_EQ(judge(node, Node::stamped(2, 10 * last, last - 1)), TLCKPT_DROP_GHOST);
    EXPECT_EQ(judge(node, Node::stamped(2, 10, 2)), TLCKPT_DROP_GHOST);
    EXPECT_EQ(judge(node, Node::stamped(2, 9, 2)), TLCKPT_DELIVER);
}

TEST(Ghost, UnknownPastIsAllGhosts) {
    const tlckpt_config config = Node::settings();
    Node node(1);
    ASSERT_EQ(tlckpt_proto_init(&node.p, &config, 7, 30), 0);
    node.step(TLCKPT_EV_THAW);
    EXPECT_EQ(judge(node, Node::stamped(2, 1, 6)), TLCKPT_DROP_GHOST);
    // Records 8 and 9 were missed: only the last one's line is known.
    node.step(TLCKPT_EV_FREEZE);
    rollback(node, 10, 20, 25, 0, 9);
    node.step(TLCKPT_EV_THAW);
    EXPECT_EQ(judge(node, Node::stamped(2, 1, 8)), TLCKPT_DROP_GHOST);
    EXPECT_EQ(judge(node, Node::stamped(2, 19, 9)), TLCKPT_DELIVER);
    EXPECT_EQ(judge(node, Node::stamped(2, 20, 9)), TLCKPT_DROP_GHOST);
    // A view without any record.
    node.p.view.nr_undone = 0;
    EXPECT_EQ(judge(node, Node::stamped(2, 1, 9)), TLCKPT_DROP_GHOST);
}

TEST(Rollback, RefusesWhatCannotBe) {
    Node node(9);
    node.step(TLCKPT_EV_FREEZE);
    const struct {
        u32 incarnation, previous;
        u64 k, member;
        int error;
    } kCases[] = {
        {0, 0, 5, 5, -EALREADY}, {1, 1, 5, 5, -EINVAL}, {1, 0, 0, 5, -EINVAL},
        {1, 0, 5, 4, -EINVAL},   {1, 0, 9, 0, -ERANGE},
    };
    for (const auto &c : kCases) {
        rollback(node, c.incarnation, c.k, c.member, 0, c.previous);
        EXPECT_EQ(node.error, c.error);
        EXPECT_EQ(node.p.view.incarnation, 0u);
    }
    rollback(node, 5, 9, 9);
    rollback(node, 7, 9, 9, 0, 4);
    EXPECT_EQ(node.error, -EINVAL) << "a record from before this node's incarnation";
}

TEST(Rollback, PresentStateStaysBelowTheLine) {
    Node node(4);
    node.frame(2, 9); // of a run that is about to be undone
    node.step(TLCKPT_EV_FREEZE);
    const auto u = rollback(node, 1, 7, 0);
    EXPECT_EQ(u.todo, TLCKPT_DO_PUBLISH);
    EXPECT_EQ(node.p.view.sn, 4u);
    const auto thaw = node.step(TLCKPT_EV_THAW);
    EXPECT_FALSE(thaw.todo & TLCKPT_DO_REQUEST) << "what a ghost wanted is forgotten";
    EXPECT_EQ(node.frame(Node::stamped(2, 9, 0, TLCKPT_FRAME_HELD)).verdict, TLCKPT_DROP_GHOST);
    // From before the line, so it is wanted.
    EXPECT_EQ(node.frame(Node::stamped(2, 6, 0)).target, 6u);
}

TEST(Rollback, MemberResetsTheNode) {
    Node node(4);
    node.step(TLCKPT_EV_TICK);
    node.checkpoint();
    node.step(TLCKPT_EV_FREEZE);
    const auto u = rollback(node, 1, 3, 4);
    EXPECT_EQ(u.todo, TLCKPT_DO_PUBLISH | TLCKPT_DO_PURGE | TLCKPT_DO_RELEASE);
    EXPECT_EQ(node.p.view.captured, 4u);
    EXPECT_EQ(node.p.durable, 4u);
    node.step(TLCKPT_EV_THAW);
    EXPECT_EQ(node.step(TLCKPT_EV_DURABLE, 5).refusal != nullptr, true) << "an undone one";
    EXPECT_EQ(node.step(TLCKPT_EV_TICK).target, 5u) << "the index is taken anew";
}

TEST(Rollback, TakingOverGuestsWithAHigherIndex) {
    Node node(3);
    node.step(TLCKPT_EV_FREEZE);
    auto u = rollback(node, 1, 5, 0, 8);
    EXPECT_EQ(u.sn, 8u);
    EXPECT_EQ(u.todo, TLCKPT_DO_PUBLISH);
    EXPECT_EQ(node.p.phase, TLCKPT_CUT);
    EXPECT_FALSE(node.p.view.intake_open);
    node.step(TLCKPT_EV_THAW);
    EXPECT_EQ(node.error, -EBUSY);
    u = node.step(TLCKPT_EV_CUT);
    EXPECT_EQ(u.sn, 8u) << "it has risen before";
    EXPECT_EQ(u.todo, TLCKPT_DO_LOG_HELD) << "what the guests that stay sent until now";
    u = node.step(TLCKPT_EV_CAPTURED, 8);
    EXPECT_EQ(u.prev, 4u) << "stands for the line, not for what is below it";
    node.step(TLCKPT_EV_THAW);
    EXPECT_EQ(node.error, 0);
    EXPECT_EQ(node.frame(2, 8).verdict, TLCKPT_DELIVER);
}

TEST(Rollback, TakingOverAfterGoingBack) {
    Node node(6);
    node.step(TLCKPT_EV_FREEZE);
    rollback(node, 1, 5, 6, 8);
    EXPECT_EQ(node.step(TLCKPT_EV_CAPTURED, 8).prev, 6u) << "6 stands for the line";
    // A lower index needs no checkpoint of its own.
    rollback(node, 2, 7, 8, 7);
    EXPECT_EQ(node.p.phase, TLCKPT_IDLE);
    EXPECT_EQ(node.p.view.sn, 8u);
}

TEST(Rollback, TakeoverIsNotGivenUp) {
    Node node(3);
    node.step(TLCKPT_EV_FREEZE);
    rollback(node, 1, 5, 0, 8);
    // Its guests are of different indexes: none may run, or talk to another, before
    // all are captured.
    node.step(TLCKPT_EV_ABORT);
    EXPECT_EQ(node.error, -EBUSY);
    node.step(TLCKPT_EV_OWNER_LOST);
    EXPECT_EQ(node.p.phase, TLCKPT_CUT);
    EXPECT_FALSE(node.p.view.intake_open);
    node.step(TLCKPT_EV_OWNER_BACK);
    node.step(TLCKPT_EV_THAW);
    EXPECT_EQ(node.error, -EBUSY);
    node.step(TLCKPT_EV_CAPTURED, 8);
    node.step(TLCKPT_EV_THAW);
    EXPECT_EQ(node.error, 0);
    // A second one keeps a gap that is as high.
    node.p.gap = 9;
    node.step(TLCKPT_EV_FREEZE);
    rollback(node, 2, 10, 0, 11);
    EXPECT_EQ(node.error, 0);
    EXPECT_EQ(node.p.gap, 9u);
}

using Range = std::optional<std::pair<u64, u64>>;

Range log_at(const Node &node, const tlckpt_frame &frame, tlckpt_point point) {
    tlckpt_range range;
    if (!tlckpt_view_log(&node.p.view, &frame, point, &range))
        return {};
    return std::make_pair(range.from, range.to);
}

TEST(Log, LateFrameBelongsToEveryCaptureItIsBehind) {
    Node node(5);
    const auto u = node.frame(2, 3);
    EXPECT_EQ(u.todo, TLCKPT_DO_LOG);
    EXPECT_EQ(u.log.from, 3u);
    EXPECT_EQ(u.log.to, 5u);
    EXPECT_EQ(node.frame(2, 5).todo, 0u);
}

TEST(Log, IntakeAtTheCutOnceAndNotAgainAtDelivery) {
    Node node(5);
    node.step(TLCKPT_EV_TICK);
    node.cut(); // to 6
    tlckpt_frame frame = Node::stamped(2, 4, 0);
    EXPECT_EQ(log_at(node, frame, TLCKPT_AT_CUT), Range({4, 6}));
    frame.logged = 6;
    EXPECT_EQ(log_at(node, Node::stamped(2, 6, 0), TLCKPT_AT_CUT), Range()) << "sent after it";
    EXPECT_EQ(log_at(node, plain(TLCKPT_FRAME_LOCAL), TLCKPT_AT_CUT), Range({5, 6}));
    node.step(TLCKPT_EV_CAPTURED, 6);
    EXPECT_EQ(log_at(node, frame, TLCKPT_AT_DELIVERY), Range());
    EXPECT_EQ(log_at(node, plain(TLCKPT_FRAME_LOCAL), TLCKPT_AT_DELIVERY), Range());
}

TEST(Log, GivenUpAttemptTookItsLogWithIt) {
    Node node(5);
    node.step(TLCKPT_EV_TICK);
    node.cut(); // to 6
    tlckpt_frame frame = Node::stamped(2, 4, 0);
    frame.logged = 6;
    node.step(TLCKPT_EV_ABORT);
    // Delivered now, the next capture for 6 holds it as received.
    EXPECT_EQ(log_at(node, frame, TLCKPT_AT_DELIVERY), Range());
    EXPECT_EQ(log_at(node, Node::stamped(2, 4, 0), TLCKPT_AT_DELIVERY), Range({4, 5}));
    // Still held at the next cut: logged anew.
    node.cut();
    EXPECT_EQ(log_at(node, frame, TLCKPT_AT_CUT), Range({5, 6}));
}

TEST(Log, NeitherGhostsNorTheFuture) {
    Node node(9);
    go_back(node, 1, 5, 6);
    EXPECT_EQ(log_at(node, Node::stamped(2, 5, 0), TLCKPT_AT_CUT), Range());
    EXPECT_EQ(log_at(node, Node::stamped(2, 4, 2), TLCKPT_AT_CUT), Range());
    EXPECT_EQ(log_at(node, Node::stamped(2, 4, 0), TLCKPT_AT_CUT), Range({4, 6}));
}

TEST(Log, ReplayedIsWhatTheLineHasInTransit) {
    Node node(9);
    go_back(node, 1, 5, 6);
    const tlckpt_view &view = node.p.view;
    const tlckpt_frame local = plain(TLCKPT_FRAME_LOCAL), before = Node::stamped(2, 4, 0),
                       ghost = Node::stamped(2, 5, 0), same = Node::stamped(2, 5, 1);
    EXPECT_TRUE(tlckpt_view_replays(&view, &local, 5));
    EXPECT_TRUE(tlckpt_view_replays(&view, &before, 5));
    EXPECT_FALSE(tlckpt_view_replays(&view, &before, 4)) << "sent after that line";
    EXPECT_FALSE(tlckpt_view_replays(&view, &ghost, 6)) << "its sender never sent it";
    EXPECT_TRUE(tlckpt_view_replays(&view, &same, 6));
}

TEST(Log, HeldFramesThatAreReplayedOrGhostsGo) {
    Node node(9);
    go_back(node, 1, 5, 6);
    const tlckpt_view &view = node.p.view;
    tlckpt_frame frame = Node::stamped(2, 4, 0);
    frame.logged = 4;
    EXPECT_FALSE(tlckpt_frame_undone(&view, &frame, 5)) << "in no log of the line";
    frame.logged = 5;
    EXPECT_TRUE(tlckpt_frame_undone(&view, &frame, 5));
    EXPECT_FALSE(tlckpt_frame_undone(&view, &frame, 4));
    const tlckpt_frame local = plain(TLCKPT_FRAME_LOCAL), ghost = Node::stamped(2, 5, 0);
    EXPECT_TRUE(tlckpt_frame_undone(&view, &local, 5));
    EXPECT_TRUE(tlckpt_frame_undone(&view, &ghost, 5));
}

} // namespace
} // namespace ckpt
