// SPDX-License-Identifier: GPL-2.0-only
#include "libckpt/disk/room.hh"

#include <gmock/gmock.h>

namespace ckpt {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

struct Lines : Logger {
    std::vector<std::string> lines;
    void write(LogLevel, std::string_view line) override { lines.emplace_back(line); }
};

struct RoomTest : testing::Test {
    Lines logger;
    Room room{{.warn_percent = 80, .refuse_percent = 95}, "extend it", logger};
};

TEST_F(RoomTest, WarnsOnceForEachHolderUntilItHasRoomAgain) {
    EXPECT_TRUE(room.check("pool a", 79));
    EXPECT_THAT(logger.lines, ElementsAre());
    EXPECT_TRUE(room.check("pool a", 80));
    EXPECT_TRUE(room.check("pool a", 94));
    EXPECT_TRUE(room.check("pool b", 90));
    EXPECT_THAT(logger.lines, ElementsAre(HasSubstr("pool a is 80 % full"), HasSubstr("pool b is 90 % full")));
    EXPECT_TRUE(room.check("pool a", 50));
    EXPECT_TRUE(room.check("pool a", 85));
    EXPECT_EQ(logger.lines.size(), 3u);
}

TEST_F(RoomTest, RefusesWithWhatToDo) {
    const Status refused = room.check("/images", 95, " with what changed");
    ASSERT_FALSE(refused);
    EXPECT_TRUE(refused.error().is(ENOSPC));
    EXPECT_THAT(refused.error().message(),
                HasSubstr("/images is 95 % full with what changed, and takes no snapshots from 95 % on "
                          "(disks.refuse_percent); extend it"));
    EXPECT_EQ(room.note("/images", 95).kind, NoteKind::refuse);
    EXPECT_EQ(room.note("/images", 80).kind, NoteKind::warn);
    EXPECT_EQ(room.note("/images", 79).kind, NoteKind::ok);
}

} // namespace
} // namespace ckpt
