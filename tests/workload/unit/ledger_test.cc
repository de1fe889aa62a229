// SPDX-License-Identifier: GPL-2.0-only
#include "tests/workload/ledger.hh"

#include <gtest/gtest.h>

namespace ckpt::workload {
namespace {

Message message(std::uint64_t counter, std::uint64_t digest = 0) {
    Message out;
    out.counter = counter;
    out.digest = digest ? digest : counter * 1000;
    out.size = 10;
    return out;
}

TEST(Ledger, CountsWhatUdpDoes) {
    Ledger ledger(64);
    for (const std::uint64_t counter : {3, 4, 6, 5, 6, 9})
        ledger.received(message(counter));
    const Counts &counts = ledger.counts();
    EXPECT_EQ(counts.messages, 5U);
    EXPECT_EQ(counts.first, 3U);
    EXPECT_EQ(counts.highest, 9U);
    EXPECT_EQ(counts.lost(), 2U) << "7 and 8; what was sent before 3 was for nobody";
    EXPECT_EQ(counts.reordered, 1U);
    EXPECT_EQ(counts.duplicates, 1U);
    EXPECT_EQ(counts.conflicts, 0U);
    EXPECT_EQ(counts.bytes, 50U);
}

TEST(Ledger, TwoContentsOfOneCounterAreAConflict) {
    Ledger ledger(64);
    ledger.received(message(5, 1));
    ledger.received(message(5, 2));
    EXPECT_EQ(ledger.counts().conflicts, 1U);
    EXPECT_EQ(ledger.counts().duplicates, 0U);
    EXPECT_EQ(ledger.history().entries()[5].digest, 1U) << "the first one stays";
}

TEST(Ledger, ForgetsTheOldestOnly) {
    Ledger ledger(16);
    for (std::uint64_t counter = 1; counter <= 100; counter++)
        ledger.received(message(counter));
    ledger.received(message(20));
    EXPECT_EQ(ledger.counts().messages, 100U) << "an old duplicate is no new message";
    EXPECT_EQ(ledger.counts().duplicates, 1U);
    History history = ledger.history();
    EXPECT_EQ(history.find(84), nullptr);
    ASSERT_NE(history.find(85), nullptr);
    EXPECT_EQ(history.find(85)->digest, 85'000U);
}

TEST(Ledger, ChainsAgreeExactlyForEqualStreams) {
    Ledger sent(16), received(16), other(16);
    for (Ledger *ledger : {&sent, &received, &other})
        ledger->start_connection(99);
    for (std::uint64_t counter = 1; counter <= 5; counter++) {
        sent.sent(message(counter));
        EXPECT_TRUE(received.received_in_order(message(counter), counter == 1));
        EXPECT_EQ(sent.counts().chain, received.counts().chain);
        EXPECT_TRUE(other.received_in_order(message(counter, counter == 2 ? 1 : 0), false));
        EXPECT_EQ(sent.counts().chain == other.counts().chain, counter < 2);
    }
}

TEST(Ledger, StreamMayLeaveOutOnlyAtItsStart) {
    Ledger ledger(16);
    EXPECT_TRUE(ledger.received_in_order(message(4), true));
    EXPECT_FALSE(ledger.received_in_order(message(6), false));
    EXPECT_FALSE(ledger.received_in_order(message(4), false));
    EXPECT_TRUE(ledger.received_in_order(message(5), false));
    EXPECT_TRUE(ledger.received_in_order(message(8), true));
    EXPECT_EQ(ledger.counts().lost(), 2U);
    EXPECT_FALSE(ledger.received_in_order(message(8), true));
}

TEST(VectorClock, HoldsNoMoreThanItsRoom) {
    VectorClock clock;
    for (std::uint16_t guest = 0; guest < 100; guest++)
        clock.merge({1, guest}, 5);
    EXPECT_EQ(clock.entries().size(), VectorClock::kMaxMembers);
    clock.merge({1, 3}, 4);
    EXPECT_EQ(clock.of({1, 3}), 5U) << "never backwards";
    EXPECT_EQ(clock.of({1, 99}), 0U);
}

} // namespace
} // namespace ckpt::workload
