// SPDX-License-Identifier: GPL-2.0-only
#include "daemon/node_state.hh"

#include <filesystem>
#include <fstream>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace ckpt {
namespace {

class NodeStateTest : public testing::Test {
  protected:
    void TearDown() override { std::filesystem::remove_all(directory_); }

    std::string directory_ = testing::TempDir() + "node_state_test";
    const Uuid one_ = *Uuid::parse("01234567-89ab-cdef-0011-223344556677");
    const Uuid two_ = *Uuid::parse("11234567-89ab-cdef-0011-223344556677");
};

TEST_F(NodeStateTest, NewNode) {
    auto state = NodeState::load(directory_);
    ASSERT_TRUE(state) << state.error().message();
    EXPECT_EQ(state->used_sn(), 0u);
    EXPECT_TRUE(state->guests().empty());
}

TEST_F(NodeStateTest, OutlivesTheProgram) {
    {
        auto state = NodeState::load(directory_);
        ASSERT_TRUE(state);
        ASSERT_TRUE(state->use_sn(7));
        ASSERT_TRUE(state->set_guests({one_, two_}));
        ASSERT_TRUE(state->use_sn(8));
    }
    auto state = NodeState::load(directory_);
    ASSERT_TRUE(state);
    EXPECT_EQ(state->used_sn(), 8u);
    EXPECT_EQ(state->guests(), (std::vector<Uuid>{one_, two_}));
}

TEST_F(NodeStateTest, ADamagedFileIsNamed) {
    std::filesystem::create_directory(directory_);
    for (const char *text : {"", "something\n", "tlckpt-node-state 1\nsn seven\n",
                             "tlckpt-node-state 1\nsn 7\nguest x\n", "tlckpt-node-state 2\n"}) {
        std::ofstream(directory_ + "/node-state") << text;
        auto state = NodeState::load(directory_);
        ASSERT_FALSE(state) << text;
        EXPECT_TRUE(state.error().is(EBADMSG));
        EXPECT_THAT(state.error().message(), testing::HasSubstr("node-state"));
    }
}

TEST_F(NodeStateTest, AFailedSaveChangesNothing) {
    auto state = NodeState::load(directory_);
    ASSERT_TRUE(state);
    ASSERT_TRUE(state->use_sn(3));
    std::filesystem::remove_all(directory_);
    EXPECT_FALSE(state->use_sn(4));
    EXPECT_EQ(state->used_sn(), 3u);
}

} // namespace
} // namespace ckpt
