// SPDX-License-Identifier: GPL-2.0-only
#include "daemon/basic_tick.hh"

#include <gtest/gtest.h>

namespace ckpt {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

constexpr Duration kPeriod = seconds(8);
constexpr Duration kNow = seconds(1'790'000'000);

// Where in its period a node ticks, seen at `wall`.
Duration phase(unsigned node, Duration wall) {
    return (wall + until_basic_tick(kPeriod, node, wall)) % kPeriod;
}

TEST(BasicTick, ComesAtTheSamePhaseWheneverTheDaemonStarts) {
    for (unsigned node : {0u, 1u, 2u, 65535u})
        for (int i = 0; i < 100; i++)
            EXPECT_EQ(phase(node, kNow + milliseconds(i * 137)), phase(node, kNow)) << node;
}

TEST(BasicTick, ComesOnceEachPeriodThoughTimersAreNotExact) {
    Duration wall = kNow + until_basic_tick(kPeriod, 3, kNow);
    for (Duration error : {milliseconds(-200), milliseconds(300), milliseconds(0)}) {
        const Duration fired = wall + error;
        const Duration next = fired + until_basic_tick(kPeriod, 3, fired);
        EXPECT_EQ(next - wall, kPeriod);
        wall = next;
    }
}

TEST(BasicTick, NodesThatAreNeighboursAreFarApart) {
    for (unsigned node = 1; node < 100; node++) {
        const Duration apart = (phase(node + 1, kNow) - phase(node, kNow) + kPeriod) % kPeriod;
        EXPECT_GT(apart, kPeriod / 4);
        EXPECT_LT(apart, kPeriod * 3 / 4);
    }
}

} // namespace
} // namespace ckpt
