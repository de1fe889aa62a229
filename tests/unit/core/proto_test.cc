// SPDX-License-Identifier: GPL-2.0-only
// The protocol core, event by event.
#include "tests/unit/core/node.hh"

#include <gtest/gtest.h>

namespace ckpt {
namespace {

TEST(Proto, FrameFromTheFutureIsHeldAndForces) {
    Node node(1);
    const auto u = node.frame(2, 3);
    EXPECT_EQ(u.verdict, TLCKPT_HOLD);
    EXPECT_EQ(u.todo, TLCKPT_DO_REQUEST);
    EXPECT_EQ(u.target, 3u);
    EXPECT_EQ(u.reason, TLCKPT_FORCED);
    EXPECT_EQ(u.cause_peer, 2);
    EXPECT_EQ(u.cause_sn, 3u);
}

} // namespace
} // namespace ckpt
