// SPDX-License-Identifier: GPL-2.0-only
// Random runs of the core and the line rules against a reference that keeps
// everything and looks at every message: no orphan on any line, nothing in transit
// forgotten or doubled.
#include "tests/unit/protocol/world.hh"

#include <random>

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

namespace ckpt {
namespace {

void run(unsigned nr_nodes, tlckpt_mode mode, const std::vector<std::uint32_t> &choices) {
    World world(nr_nodes, mode);
    for (std::size_t i = 0; i < choices.size(); i++) {
        world.act(choices[i]);
        if (!world.wrong().empty())
            RC_FAIL(world.wrong() + ", after " + std::to_string(i + 1) + " happenings");
    }
}

RC_GTEST_PROP(World, TwoNodes, (const std::vector<std::uint32_t> &choices)) {
    run(2, TLCKPT_MODE_BCS, choices);
}

RC_GTEST_PROP(World, ThreeNodes, (const std::vector<std::uint32_t> &choices)) {
    run(3, TLCKPT_MODE_MS, choices);
}

// Long runs, and proof that the interesting things happen in them.
TEST(World, LongRuns) {
    World::Counts sum;
    for (unsigned seed = 0; seed < 120; seed++) {
        std::mt19937 random(seed);
        World world(2 + seed % 3, seed % 2 ? TLCKPT_MODE_BCS : TLCKPT_MODE_MS);
        for (int i = 0; i < 400; i++) {
            world.act(static_cast<std::uint32_t>(random()));
            ASSERT_EQ(world.wrong(), "") << "seed " << seed << ", happening " << i;
        }
        sum.rollbacks += world.counts().rollbacks;
        sum.replayed += world.counts().replayed;
        sum.ghosts += world.counts().ghosts;
        sum.stayed += world.counts().stayed;
        sum.lost_captures += world.counts().lost_captures;
    }
    EXPECT_GT(sum.rollbacks, 100u);
    EXPECT_GT(sum.replayed, 20u);
    EXPECT_GT(sum.ghosts, 100u);
    EXPECT_GT(sum.stayed, 20u);
    EXPECT_GT(sum.lost_captures, 50u);
}

} // namespace
} // namespace ckpt
