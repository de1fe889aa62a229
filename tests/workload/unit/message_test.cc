// SPDX-License-Identifier: GPL-2.0-only
#include "tests/workload/message.hh"

#include <gtest/gtest.h>

namespace ckpt::workload {
namespace {

Message sample() {
    Message message;
    message.kind = Kind::tcp;
    message.from = {1, 2};
    message.to = {2, 1};
    message.run = 11;
    message.connection = 12;
    message.counter = 13;
    message.offset = 14;
    message.step = 15;
    message.nonce = 16;
    message.clock.merge({1, 2}, 17);
    message.clock.merge({2, 1}, 18);
    message.size = 500;
    return message;
}

TEST(Message, ComesOutAsItWentIn) {
    Message in = sample();
    const auto bytes = encode(in);
    ASSERT_EQ(bytes.size(), 500U);
    EXPECT_EQ(record_length(bytes), 500U);
    std::string why;
    const auto out = decode(bytes, why);
    ASSERT_TRUE(out) << why;
    EXPECT_EQ(out->from, in.from);
    EXPECT_EQ(out->to, in.to);
    EXPECT_EQ(out->run, 11U);
    EXPECT_EQ(out->connection, 12U);
    EXPECT_EQ(out->counter, 13U);
    EXPECT_EQ(out->offset, 14U);
    EXPECT_EQ(out->step, 15U);
    EXPECT_EQ(out->digest, in.digest);
    EXPECT_EQ(out->clock.entries(), in.clock.entries());
}

TEST(Message, EveryByteCounts) {
    Message in = sample();
    auto bytes = encode(in);
    for (std::size_t i = 0; i < bytes.size(); i++) {
        bytes[i] ^= 0x40;
        std::string why;
        EXPECT_FALSE(decode(bytes, why)) << "byte " << i;
        EXPECT_FALSE(why.empty());
        bytes[i] ^= 0x40;
    }
}

TEST(Message, ShortOrLongIsRefused) {
    Message in = sample();
    auto bytes = encode(in);
    std::string why;
    for (const std::size_t size : {std::size_t{0}, std::size_t{11}, std::size_t{79}, bytes.size() - 1})
        EXPECT_FALSE(decode(std::span(bytes).first(size), why)) << size;
    bytes.push_back(0);
    EXPECT_FALSE(decode(bytes, why));
}

TEST(Message, SentAnewIsAnother) {
    Message first = sample(), again = sample();
    again.nonce++;
    encode(first);
    encode(again);
    EXPECT_NE(first.digest, again.digest);
}

} // namespace
} // namespace ckpt::workload
