// SPDX-License-Identifier: GPL-2.0-only
// Taking checkpoints, event by event: Rules R2..R8.
#include "tests/unit/core/node.hh"

#include <cstring>

#include <gtest/gtest.h>

namespace ckpt {
namespace {

tlckpt_config bcs() {
    tlckpt_config config = Node::settings();
    config.mode = TLCKPT_MODE_BCS;
    return config;
}

TEST(ProtoInit, RefusesSettingsOutOfRange) {
    using Change = void (*)(tlckpt_config &);
    const Change changes[] = {
        [](tlckpt_config &c) { c.jump = 0; },
        [](tlckpt_config &c) { c.max_bytes = 0; },
        [](tlckpt_config &c) { c.max_frames = 0; },
        [](tlckpt_config &c) { c.node = TLCKPT_NODE_NONE; },
        [](tlckpt_config &c) { c.mode = TLCKPT_MODE_MS + 1; },
        [](tlckpt_config &c) { c.policy = TLCKPT_POLICY_PASS + 1; },
    };
    for (Change change : changes) {
        tlckpt_config config = Node::settings();
        change(config);
        tlckpt_proto p;
        EXPECT_EQ(tlckpt_proto_init(&p, &config, 0, 1), -EINVAL);
        Node node(1);
        const tlckpt_config before = node.p.config;
        EXPECT_EQ(tlckpt_proto_configure(&node.p, &config), -EINVAL);
        EXPECT_EQ(node.p.config.jump, before.jump);
    }
}

TEST(ProtoInit, ConfigureChangesAllButTheId) {
    Node node(1);
    tlckpt_config config = Node::settings();
    config.node = 9;
    config.jump = 5;
    config.strict = false;
    ASSERT_EQ(tlckpt_proto_configure(&node.p, &config), 0);
    EXPECT_EQ(node.p.view.node, 1);
    EXPECT_EQ(node.p.config.node, 1);
    EXPECT_EQ(node.p.view.jump, 5u);
    EXPECT_FALSE(node.p.view.strict);
}

TEST(ProtoInit, BeginsFrozen) {
    const tlckpt_config config = Node::settings();
    tlckpt_proto p;
    ASSERT_EQ(tlckpt_proto_init(&p, &config, 0, 1), 0);
    const tlckpt_frame frame = Node::stamped(2, 1, 0);
    EXPECT_EQ(tlckpt_view_judge(&p.view, &frame), TLCKPT_HOLD);
}

TEST(ProtoBasic, BcsAlwaysTakesTheNext) {
    Node node(1, bcs());
    const auto u = node.step(TLCKPT_EV_TICK);
    EXPECT_EQ(u.todo, TLCKPT_DO_REQUEST);
    EXPECT_EQ(u.target, 2u);
    EXPECT_EQ(u.reason, TLCKPT_BASIC);
    EXPECT_EQ(u.cause_peer, TLCKPT_NODE_NONE);
    // The same index is wanted until the cut: merged.
    const auto again = node.step(TLCKPT_EV_TICK);
    EXPECT_EQ(again.todo, 0u);
    EXPECT_EQ(again.note, TLCKPT_NOTE_MERGED);
    // After the cut it is the next one, asked for when this one is captured.
    node.cut();
    EXPECT_EQ(node.step(TLCKPT_EV_TICK).todo, 0u);
    const auto captured = node.step(TLCKPT_EV_CAPTURED, 2);
    EXPECT_TRUE(captured.todo & TLCKPT_DO_REQUEST);
    EXPECT_EQ(captured.target, 3u);
}

TEST(ProtoBasic, MsSkipsWhatAForcedOneDid) {
    Node node(1);
    EXPECT_EQ(node.step(TLCKPT_EV_TICK).target, 2u);
    node.checkpoint();
    node.frame(2, 3);
    node.checkpoint();
    EXPECT_EQ(node.step(TLCKPT_EV_TICK).note, TLCKPT_NOTE_SKIPPED);
    EXPECT_EQ(node.step(TLCKPT_EV_TICK).target, 4u);
}

TEST(ProtoBasic, MsGoesOnWhenAFasterClockFallsSilent) {
    Node node(1);
    for (u64 sn = 2; sn < 60; sn++) {
        node.frame(2, sn);
        node.checkpoint();
    }
    EXPECT_EQ(node.step(TLCKPT_EV_TICK).note, TLCKPT_NOTE_SKIPPED);
    EXPECT_TRUE(node.step(TLCKPT_EV_TICK).todo & TLCKPT_DO_REQUEST) << "one period later";
}

TEST(ProtoForced, FrameFromTheFutureIsHeldAndForces) {
    Node node(1);
    const auto u = node.frame(2, 3);
    EXPECT_EQ(u.verdict, TLCKPT_HOLD);
    EXPECT_EQ(u.todo, TLCKPT_DO_REQUEST);
    EXPECT_EQ(u.target, 3u);
    EXPECT_EQ(u.reason, TLCKPT_FORCED);
    EXPECT_EQ(u.cause_peer, 2);
    EXPECT_EQ(u.cause_sn, 3u);
    // Another of that index: held, nothing new to ask. A higher one: asked again.
    EXPECT_EQ(node.frame(3, 3).todo, 0u);
    const auto higher = node.frame(3, 5);
    EXPECT_EQ(higher.todo, TLCKPT_DO_REQUEST);
    EXPECT_EQ(higher.note, TLCKPT_NOTE_MERGED);
    EXPECT_EQ(higher.target, 5u);
    // One checkpoint does for all of them.
    const auto captured = node.checkpoint();
    EXPECT_EQ(captured.todo, TLCKPT_DO_PUBLISH | TLCKPT_DO_MANIFEST | TLCKPT_DO_RELEASE);
    EXPECT_EQ(captured.sn, 5u);
    EXPECT_EQ(captured.prev, 1u);
    EXPECT_EQ(node.p.held_frames, 3u);
    for (u64 sn : {3, 3, 5})
        EXPECT_EQ(node.frame(2, sn, TLCKPT_FRAME_HELD).verdict, TLCKPT_DELIVER);
    EXPECT_EQ(node.p.held_frames, 0u);
    EXPECT_EQ(node.p.held_bytes, 0u);
}

TEST(ProtoForced, FrameDuringTheCaptureWaitsForTheNextOne) {
    Node node(1);
    node.step(TLCKPT_EV_TICK);
    node.cut();
    const auto u = node.frame(2, 7);
    EXPECT_EQ(u.verdict, TLCKPT_HOLD);
    EXPECT_EQ(u.todo, 0u) << "asked for when this capture is done";
    EXPECT_EQ(u.note, TLCKPT_NOTE_MERGED);
    const auto captured = node.step(TLCKPT_EV_CAPTURED, 2);
    EXPECT_TRUE(captured.todo & TLCKPT_DO_REQUEST);
    EXPECT_EQ(captured.target, 7u);
    EXPECT_EQ(captured.cause_peer, 2);
}

TEST(ProtoForced, ManualRequest) {
    Node node(4);
    const auto u = node.step(TLCKPT_EV_REQUEST);
    EXPECT_EQ(u.target, 5u);
    EXPECT_EQ(u.reason, TLCKPT_MANUAL);
}

TEST(ProtoCut, InOrder) {
    Node node(1);
    node.step(TLCKPT_EV_TICK);
    EXPECT_EQ(node.step(TLCKPT_EV_CLOSE).todo, TLCKPT_DO_PUBLISH);
    EXPECT_FALSE(node.p.view.intake_open);
    EXPECT_EQ(node.frame(2, 1).verdict, TLCKPT_HOLD) << "closed to everybody";
    node.step(TLCKPT_EV_SUSPENDED);
    EXPECT_EQ(node.p.view.sn, 1u);
    const auto cut = node.step(TLCKPT_EV_CUT);
    EXPECT_EQ(cut.todo, TLCKPT_DO_PUBLISH | TLCKPT_DO_LOG_HELD);
    EXPECT_EQ(cut.note, 0u);
    EXPECT_EQ(cut.sn, 2u);
    EXPECT_EQ(node.p.view.sn, 2u);
    EXPECT_EQ(node.p.view.captured, 1u);
    node.step(TLCKPT_EV_CAPTURED, 2);
    EXPECT_TRUE(node.p.view.intake_open);
    EXPECT_EQ(node.p.view.captured, 2u);
    EXPECT_EQ(node.p.durable, 1u);
    node.step(TLCKPT_EV_DURABLE, 2);
    EXPECT_EQ(node.p.durable, 2u);
}

TEST(ProtoCut, WithoutClosedIntakeItSaysSo) {
    Node node(1);
    node.step(TLCKPT_EV_TICK);
    node.step(TLCKPT_EV_SUSPENDED);
    EXPECT_EQ(node.step(TLCKPT_EV_CUT).note, TLCKPT_NOTE_INTAKE_OPEN);
}

TEST(ProtoCut, WrongOrderIsRefusedAndChangesNothing) {
    const struct {
        int steps; // of: TICK CLOSE SUSPENDED CUT CAPTURED
        tlckpt_event_type type;
        u64 index;
        int error;
    } kCases[] = {
        {0, TLCKPT_EV_CLOSE, 0, -EPROTO},     {0, TLCKPT_EV_SUSPENDED, 0, -EPROTO},
        {0, TLCKPT_EV_CUT, 0, -EPROTO},       {0, TLCKPT_EV_CAPTURED, 2, -EPROTO},
        {0, TLCKPT_EV_ABORT, 0, -EPROTO},     {1, TLCKPT_EV_CUT, 0, -EPROTO},
        {2, TLCKPT_EV_CLOSE, 0, -EPROTO},     {2, TLCKPT_EV_CUT, 0, -EPROTO},
        {3, TLCKPT_EV_SUSPENDED, 0, -EPROTO}, {3, TLCKPT_EV_CAPTURED, 2, -EPROTO},
        {4, TLCKPT_EV_CUT, 0, -EPROTO},       {4, TLCKPT_EV_CAPTURED, 3, -ERANGE},
        {4, TLCKPT_EV_DURABLE, 2, -ERANGE},   {5, TLCKPT_EV_DURABLE, 1, -EALREADY},
        {5, TLCKPT_EV_CAPTURED, 2, -EPROTO},  {5, TLCKPT_EV_THAW, 0, -EALREADY},
        {5, TLCKPT_EV_ROLLBACK, 0, -EPROTO},  {5, TLCKPT_EV_OWNER_BACK, 0, -EALREADY},
        {5, TLCKPT_EV_OWNER_GRACE, 0, -EALREADY},
    };
    const tlckpt_event_type order[] = {TLCKPT_EV_TICK, TLCKPT_EV_CLOSE, TLCKPT_EV_SUSPENDED,
                                       TLCKPT_EV_CUT, TLCKPT_EV_CAPTURED};
    for (const auto &c : kCases) {
        Node node(1);
        for (int i = 0; i < c.steps; i++)
            node.step(order[i], 2);
        const tlckpt_proto before = node.p;
        const auto u = node.step(c.type, c.index);
        EXPECT_EQ(node.error, c.error) << c.steps << " then " << tlckpt_event_name(c.type);
        ASSERT_NE(u.refusal, nullptr);
        EXPECT_EQ(u.todo, 0u);
        EXPECT_EQ(std::memcmp(&before, &node.p, sizeof(before)), 0) << c.steps;
    }
}

TEST(ProtoCut, NoSuchEvent) {
    Node node(1);
    EXPECT_NE(node.step(TLCKPT_NR_EVENTS).refusal, nullptr);
    EXPECT_EQ(node.error, -EINVAL);
}

TEST(ProtoAbort, BeforeTheCutKeepsSnAndAsksAgain) {
    Node node(1);
    node.frame(2, 4);
    node.step(TLCKPT_EV_CLOSE);
    const auto u = node.step(TLCKPT_EV_ABORT);
    EXPECT_EQ(node.p.view.sn, 1u);
    EXPECT_TRUE(node.p.view.intake_open);
    EXPECT_EQ(u.todo, TLCKPT_DO_PUBLISH | TLCKPT_DO_RELEASE | TLCKPT_DO_REQUEST);
    EXPECT_EQ(u.note, TLCKPT_NOTE_RETRY);
    EXPECT_EQ(u.target, 4u);
    EXPECT_EQ(u.reason, TLCKPT_FORCED);
}

TEST(ProtoAbort, AfterTheCutCapturedStaysBehindAndHolds) {
    Node node(1);
    node.step(TLCKPT_EV_TICK);
    node.cut();
    const auto u = node.step(TLCKPT_EV_ABORT);
    EXPECT_EQ(u.target, 2u) << "the same index";
    EXPECT_EQ(node.p.view.sn, 2u);
    EXPECT_EQ(node.frame(2, 2).verdict, TLCKPT_HOLD) << "R5: whatever sn says";
    EXPECT_EQ(node.frame(2, 1).verdict, TLCKPT_DELIVER);
    const auto captured = node.checkpoint();
    EXPECT_EQ(captured.sn, 2u);
    EXPECT_EQ(captured.prev, 1u);
}

TEST(ProtoAbort, WithoutOwnerNobodyIsAsked) {
    Node node(1);
    node.step(TLCKPT_EV_TICK);
    node.step(TLCKPT_EV_OWNER_LOST);
    EXPECT_EQ(node.p.phase, TLCKPT_IDLE);
    // A tick that comes late is remembered, and asked for when there is a daemon.
    EXPECT_EQ(node.step(TLCKPT_EV_TICK).todo, 0u);
    EXPECT_TRUE(node.step(TLCKPT_EV_OWNER_BACK).todo & TLCKPT_DO_REQUEST);
}

TEST(ProtoHold, BoundedInFrames) {
    Node node(1);
    for (int i = 0; i < 4; i++)
        EXPECT_EQ(node.frame(2, 2).verdict, TLCKPT_HOLD);
    EXPECT_EQ(node.frame(2, 2).verdict, TLCKPT_DROP_FULL);
    EXPECT_EQ(node.frame(2, 2, TLCKPT_FRAME_HELD).verdict, TLCKPT_HOLD) << "it is in already";
    EXPECT_EQ(node.p.held_frames, 4u);
    EXPECT_EQ(node.frame(2, 1).verdict, TLCKPT_DELIVER) << "what needs no room goes on";
}

TEST(ProtoHold, BoundedInBytes) {
    Node node(1);
    tlckpt_frame frame = Node::stamped(2, 2, 0);
    frame.bytes = 901;
    EXPECT_EQ(node.frame(frame).verdict, TLCKPT_HOLD);
    EXPECT_EQ(node.frame(2, 2).verdict, TLCKPT_DROP_FULL);
    // A smaller bound keeps what is in, and lets nothing more in.
    tlckpt_config config = Node::settings();
    config.max_bytes = 10;
    ASSERT_EQ(tlckpt_proto_configure(&node.p, &config), 0);
    frame.bytes = 1;
    EXPECT_EQ(node.frame(frame).verdict, TLCKPT_DROP_FULL);
}

TEST(ProtoHold, FrameThatFindsNoRoomStillForces) {
    Node node(1);
    tlckpt_frame frame = Node::stamped(2, 9, 0);
    frame.bytes = 5000;
    const auto u = node.frame(frame);
    EXPECT_EQ(u.verdict, TLCKPT_DROP_FULL);
    EXPECT_EQ(u.target, 9u) << "or such frames never came through";
}

TEST(ProtoHold, Discard) {
    Node node(1);
    node.frame(2, 2);
    node.frame(2, 2);
    tlckpt_event event{};
    event.type = TLCKPT_EV_DISCARD;
    event.discard.frames = 3;
    EXPECT_NE(node.step(event).refusal, nullptr);
    event.discard = {201, 2};
    EXPECT_NE(node.step(event).refusal, nullptr);
    event.discard = {200, 2};
    EXPECT_EQ(node.step(event).refusal, nullptr);
    EXPECT_EQ(node.p.held_frames, 0u);
    EXPECT_NE(node.frame(2, 1, TLCKPT_FRAME_HELD).refusal, nullptr) << "no frame is held";
    node.frame(2, 2);
    tlckpt_frame big = Node::stamped(2, 1, 0, TLCKPT_FRAME_HELD);
    big.bytes = 101;
    EXPECT_NE(node.frame(big).refusal, nullptr) << "not this one";
}

TEST(ProtoOwner, HoldThenDrop) {
    Node node(1);
    node.frame(2, 2);
    const auto lost = node.step(TLCKPT_EV_OWNER_LOST);
    EXPECT_TRUE(lost.todo & TLCKPT_DO_START_GRACE);
    EXPECT_EQ(node.step(TLCKPT_EV_OWNER_LOST).refusal != nullptr, true);
    EXPECT_EQ(node.frame(2, 2).verdict, TLCKPT_HOLD);
    EXPECT_EQ(node.step(TLCKPT_EV_OWNER_GRACE).todo, TLCKPT_DO_PUBLISH | TLCKPT_DO_RELEASE);
    EXPECT_EQ(node.frame(2, 2, TLCKPT_FRAME_HELD).verdict, TLCKPT_DROP_OWNERLESS);
    EXPECT_EQ(node.frame(2, 2).verdict, TLCKPT_DROP_OWNERLESS);
    EXPECT_EQ(node.frame(2, 1).verdict, TLCKPT_DELIVER);
    EXPECT_EQ(node.step(TLCKPT_EV_OWNER_GRACE).refusal != nullptr, true) << "once";
    const auto back = node.step(TLCKPT_EV_OWNER_BACK);
    EXPECT_EQ(back.target, 2u) << "the frame of before is still wanted";
    EXPECT_EQ(node.frame(2, 2).verdict, TLCKPT_HOLD);
}

TEST(ProtoOwner, BackWithNothingToDo) {
    Node node(1);
    node.step(TLCKPT_EV_OWNER_LOST);
    EXPECT_EQ(node.step(TLCKPT_EV_OWNER_BACK).todo, TLCKPT_DO_PUBLISH);
}

TEST(ProtoOwner, PassProtectsNothingUpToTheFrame) {
    tlckpt_config config = Node::settings();
    config.policy = TLCKPT_POLICY_PASS;
    Node node(1, config);
    EXPECT_FALSE(node.step(TLCKPT_EV_OWNER_LOST).todo & TLCKPT_DO_START_GRACE);
    EXPECT_EQ(node.frame(2, 7).verdict, TLCKPT_DELIVER_UNPROTECTED);
    EXPECT_EQ(node.frame(2, 5).verdict, TLCKPT_DELIVER_UNPROTECTED);
    EXPECT_NE(node.step(TLCKPT_EV_OWNER_GRACE).refusal, nullptr) << "it does not hold";
    EXPECT_EQ(node.p.view.sn, 1u);
    EXPECT_EQ(tlckpt_proto_present(&node.p), 7u) << "may have seen all up to there";
    const auto back = node.step(TLCKPT_EV_OWNER_BACK);
    EXPECT_EQ(back.target, 8u);
    const auto captured = node.checkpoint();
    EXPECT_EQ(captured.sn, 8u);
    EXPECT_EQ(captured.prev, 7u) << "stands for nothing that the guests were let past";
}

TEST(ProtoOwner, PassThenAHigherTargetIsEnough) {
    tlckpt_config config = Node::settings();
    config.policy = TLCKPT_POLICY_PASS;
    Node node(1, config);
    node.step(TLCKPT_EV_OWNER_LOST);
    node.frame(2, 7);
    node.step(TLCKPT_EV_REQUEST); // raises nothing: target is 7
    node.p.target = 9;
    EXPECT_EQ(node.step(TLCKPT_EV_OWNER_BACK).target, 9u);
}

TEST(ProtoNames, AllDifferent) {
    EXPECT_STREQ(tlckpt_mode_name(TLCKPT_MODE_MS), "ms");
    EXPECT_STREQ(tlckpt_policy_name(TLCKPT_POLICY_PASS), "pass");
    EXPECT_STREQ(tlckpt_phase_name(TLCKPT_CUT), "cut");
    EXPECT_STREQ(tlckpt_reason_name(TLCKPT_TAKEOVER), "takeover");
    EXPECT_STREQ(tlckpt_verdict_name(TLCKPT_DROP_OWNERLESS), "drop-ownerless");
    EXPECT_STREQ(tlckpt_event_name(TLCKPT_EV_THAW), "thaw");
    using Name = const char *(*)(unsigned);
    for (Name name : {tlckpt_mode_name, tlckpt_policy_name, tlckpt_phase_name, tlckpt_reason_name,
                      tlckpt_verdict_name, tlckpt_event_name})
        EXPECT_STREQ(name(99), "?");
}

} // namespace
} // namespace ckpt
