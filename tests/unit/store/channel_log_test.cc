// SPDX-License-Identifier: GPL-2.0-only
#include "libckpt/store/channel_log.hh"

#include <filesystem>
#include <fstream>

#include <gtest/gtest.h>

namespace ckpt {
namespace {

class ChannelLogTest : public testing::Test {
  protected:
    void SetUp() override {
        char name[] = "/tmp/tlckpt-channel.XXXXXX";
        folder_ = ::mkdtemp(name);
        std::filesystem::create_directories(folder_ + "/nodes/n1");
    }
    void TearDown() override { std::filesystem::remove_all(folder_); }
    std::string file(std::uint64_t sn) { return folder_ + "/" + channel_path("n1", sn); }

    std::string folder_;
    const std::vector<ChannelFrame> some_{{3, 5, 4, 1, 2, std::string("\0frame", 6)},
                                          {4, 5, 0, 0, 0, ""},
                                          {4, 6, 5, 1, 9, std::string(1500, 'x')}};
};

TEST_F(ChannelLogTest, WhatIsAppendedIsReadInOrder) {
    EXPECT_TRUE(read_channel(folder_, "n1", 5)->empty());
    ASSERT_TRUE(append_channel(folder_, "n1", 5, std::span(some_).first(1)));
    ASSERT_TRUE(append_channel(folder_, "n1", 5, std::span(some_).subspan(1)));
    EXPECT_EQ(some_, *read_channel(folder_, "n1", 5));
    EXPECT_TRUE(read_channel(folder_, "n1", 6)->empty());
}

TEST_F(ChannelLogTest, ATornEndIsIgnoredWhereverItIsTorn) {
    ASSERT_TRUE(append_channel(folder_, "n1", 5, std::span(some_).first(2)));
    const auto whole = std::filesystem::file_size(file(5));
    ASSERT_TRUE(append_channel(folder_, "n1", 5, std::span(some_).subspan(2)));
    const auto end = std::filesystem::file_size(file(5));
    for (auto size = end - 1; size > whole; size -= 97 < size - whole ? 97 : 1) {
        std::filesystem::resize_file(file(5), size);
        auto read = read_channel(folder_, "n1", 5);
        ASSERT_TRUE(read);
        EXPECT_EQ(2u, read->size()) << size;
    }
}

TEST_F(ChannelLogTest, ADamagedFrameAndWhatFollowsIsNotRead) {
    ASSERT_TRUE(append_channel(folder_, "n1", 5, some_));
    std::fstream stream(file(5), std::ios::in | std::ios::out | std::ios::binary);
    stream.seekp(58); // in the first frame's octets
    stream.put('!');
    stream.close();
    EXPECT_TRUE(read_channel(folder_, "n1", 5)->empty());
}

} // namespace
} // namespace ckpt
