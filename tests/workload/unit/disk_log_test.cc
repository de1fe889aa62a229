// SPDX-License-Identifier: GPL-2.0-only
#include "tests/workload/disk_log.hh"

#include <cstdlib>
#include <filesystem>
#include <thread>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace ckpt::workload {
namespace {
using testing::HasSubstr;

constexpr std::uint64_t kRun = 42;
constexpr std::uint32_t kSlots = 8;

// One directory per test; `memory` appends records that follow from their number alone, so that
// two logs of one run are two moments of one history.
class DiskLogTest : public testing::Test {
  protected:
    void SetUp() override {
        char name[] = "/tmp/disk-log-XXXXXX";
        where_ = mkdtemp(name);
    }
    void TearDown() override { std::filesystem::remove_all(where_); }

    std::unique_ptr<DiskLog> log(const std::string &name, unsigned records) {
        auto log = DiskLog::open(path(name), kSlots, kRun);
        EXPECT_TRUE(log.has_value());
        append(**log, records);
        return std::move(*log);
    }
    static void append(DiskLog &log, unsigned records) {
        const std::uint64_t goal = log.state().done + records;
        while (log.state().done < goal) {
            Snapshot state;
            state.disk = log.state();
            state.step = state.disk.issued * 10;
            if (state.disk.issued < goal)
                log.append(state);
            std::this_thread::yield();
        }
    }
    static std::string verdict(DiskLog &log) {
        const std::uint64_t checks = log.state().checks;
        log.ask_check();
        while (log.state().checks == checks)
            std::this_thread::yield();
        return log.state().verdict;
    }
    std::string path(const std::string &name) const { return where_ + "/" + name; }
    // The disk now has the content that another one has.
    void swap_disk(const std::string &from, const std::string &to) const {
        // In place: the log keeps its file open.
        std::string command = "dd status=none conv=notrunc if=" + path(from) + " of=" + path(to);
        ASSERT_EQ(system(command.c_str()), 0);
    }

    std::string where_;
};

TEST_F(DiskLogTest, MemoryAndDiskOfOneInstantAgree) {
    for (const unsigned records : {0U, 1U, 5U, 8U, 9U, 30U}) {
        auto memory = log("disk", records);
        EXPECT_EQ(verdict(*memory), "ok") << records;
        append(*memory, 3);
        EXPECT_EQ(verdict(*memory), "ok") << "goes on after " << records;
    }
}

TEST_F(DiskLogTest, DiskOfLaterIsSeen) {
    for (const unsigned records : {1U, 5U, 20U}) {
        auto later = log("later", records + 1);
        auto memory = log("disk", records);
        swap_disk("later", "disk");
        EXPECT_THAT(verdict(*memory), HasSubstr("ahead of memory")) << records;
    }
}

TEST_F(DiskLogTest, DiskOfEarlierIsSeen) {
    auto earlier = log("earlier", 20);
    auto memory = log("disk", 21);
    swap_disk("earlier", "disk");
    EXPECT_THAT(verdict(*memory), HasSubstr("behind memory"));
    auto little = log("little", 2);
    auto more = log("more", 4);
    swap_disk("little", "more");
    EXPECT_THAT(verdict(*more), HasSubstr("missing"));
}

TEST_F(DiskLogTest, TornAndForeignRecordsAreSeen) {
    auto memory = log("disk", 5);
    const std::string at = path("disk");
    ASSERT_EQ(system(("printf x | dd status=none conv=notrunc bs=1 seek=9000 of=" + at).c_str()), 0);
    EXPECT_THAT(verdict(*memory), HasSubstr("torn"));
    auto other = DiskLog::open(path("other"), kSlots, kRun + 1);
    append(**other, 5);
    auto again = log("disk", 5);
    swap_disk("other", "disk");
    EXPECT_THAT(verdict(*again), HasSubstr("missing"));
}

TEST_F(DiskLogTest, IsDescribedFromOutside) {
    auto memory = log("disk", 20);
    const auto text = DiskLog::describe(path("disk"));
    ASSERT_TRUE(text.has_value());
    EXPECT_THAT(*text, HasSubstr("\"records\":8,\"torn\":0,\"slots\":8"));
    EXPECT_THAT(*text, HasSubstr("\"sequence\":20,\"step\":190"));
    EXPECT_FALSE(DiskLog::describe(path("none")).has_value());
}

TEST_F(DiskLogTest, AnEarlierRunLeavesNoTrace) {
    log("disk", 20);
    auto fresh = DiskLog::open(path("disk"), kSlots, kRun + 1);
    append(**fresh, 1);
    const auto text = DiskLog::describe(path("disk"));
    ASSERT_TRUE(text.has_value());
    EXPECT_THAT(*text, HasSubstr("\"records\":1,"));
    EXPECT_THAT(*text, HasSubstr("\"sequence\":1,"));
}

} // namespace
} // namespace ckpt::workload
