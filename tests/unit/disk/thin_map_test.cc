// SPDX-License-Identifier: GPL-2.0-only
// Maps of thin devices: what thin-provisioning-tools themselves write.
#include "libckpt/disk/thin_map.hh"

#include <fstream>

#include <gtest/gtest.h>

#include "libckpt/disk/snapshot_ledger.hh"
#include "libckpt/disk/tool.hh"
#include "tests/unit/store/store_rig.hh"

namespace ckpt {
namespace {

using Kind = DiskExtent::Kind;
constexpr std::uint64_t kBlock = 64 * 1024;

// Device 1 was snapped as 2 and written to; device 3 is that.
constexpr const char *kPool = R"(<superblock uuid="" time="1" transaction="1" data_block_size="128" nr_data_blocks="64">
  <device dev_id="2" mapped_blocks="4" transaction="0" creation_time="0" snap_time="1">
    <range_mapping origin_begin="0" data_begin="0" length="3" time="0"/>
    <single_mapping origin_block="9" data_block="3" time="0"/>
  </device>
  <device dev_id="3" mapped_blocks="5" transaction="0" creation_time="1" snap_time="1">
    <single_mapping origin_block="0" data_block="0" time="0"/>
    <range_mapping origin_begin="1" data_begin="10" length="2" time="1"/>
    <range_mapping origin_begin="4" data_begin="20" length="2" time="1"/>
  </device>
</superblock>
)";

struct ThinMap : testing::Test {
    TempDir dir{TempDir::Where::memory};
    std::string metadata = dir.path("metadata");

    void SetUp() override {
        std::ofstream(dir.path("xml")) << kPool;
        std::ofstream(metadata) << "";
        std::filesystem::resize_file(metadata, 4 << 20);
        auto made = run_tool({"thin_restore", "-i", dir.path("xml"), "-o", metadata});
        if (!made && made.error().is(ENOENT))
            GTEST_SKIP() << "no thin-provisioning-tools here";
        ASSERT_TRUE(made.has_value()) << made.error().message();
    }
};

TEST_F(ThinMap, WhatDiffers) {
    auto xml = run_tool({"thin_delta", "--snap1", "2", "--snap2", "3", metadata});
    ASSERT_TRUE(xml.has_value()) << xml.error().message();
    auto extents = parse_thin_delta(*xml, 100 * kBlock);
    ASSERT_TRUE(extents.has_value()) << extents.error().message();
    EXPECT_EQ(*extents, (DiskExtents{{kBlock, 2 * kBlock, Kind::changed},
                                     {4 * kBlock, 2 * kBlock, Kind::fresh},
                                     {9 * kBlock, kBlock, Kind::discarded}}));
    // Nothing is beyond the disk's end.
    extents = parse_thin_delta(*xml, 5 * kBlock - 512);
    EXPECT_EQ(*extents, (DiskExtents{{kBlock, 2 * kBlock, Kind::changed},
                                     {4 * kBlock, kBlock - 512, Kind::fresh}}));
}

TEST_F(ThinMap, WhatThereIs) {
    auto xml = run_tool({"thin_dump", "--dev-id", "3", metadata});
    ASSERT_TRUE(xml.has_value()) << xml.error().message();
    auto extents = parse_thin_dump(*xml, 100 * kBlock);
    ASSERT_TRUE(extents.has_value()) << extents.error().message();
    EXPECT_EQ(*extents, (DiskExtents{{0, 3 * kBlock, Kind::fresh},
                                     {4 * kBlock, 2 * kBlock, Kind::fresh}}));
}

TEST_F(ThinMap, NotThat) {
    auto xml = *run_tool({"thin_delta", "--snap1", "2", "--snap2", "3", metadata});
    EXPECT_TRUE(parse_thin_delta(xml.substr(0, xml.size() / 2), kBlock).error().is(EBADMSG));
    EXPECT_TRUE(parse_thin_delta("", kBlock).error().is(EBADMSG));
    EXPECT_TRUE(parse_thin_dump(xml, kBlock).error().is(EBADMSG));
    auto failed = run_tool({"thin_delta", "--snap1", "2", "--snap2", "77", metadata});
    EXPECT_TRUE(failed.error().is(EIO));
}

TEST(SnapshotLedger, RemembersAcrossRuns) {
    TempDir dir{TempDir::Where::memory};
    const Uuid image = guest_id(7);
    std::uint32_t first = 0, second = 0;
    {
        auto ledger = SnapshotLedger::load(dir.path());
        ASSERT_TRUE(ledger.has_value());
        first = *ledger->reserve({.pool = "vg-pool-tpool", .image = image});
        second = *ledger->reserve({.pool = "vg-pool-tpool", .image = image, .volume = "tlckpt-g1"});
        EXPECT_EQ(first, 0x800001u);
        EXPECT_NE(first, second);
        ASSERT_TRUE(ledger->set(first, {5, 1234}, 2048).has_value());
    }
    auto ledger = SnapshotLedger::load(dir.path());
    ASSERT_TRUE(ledger.has_value());
    EXPECT_EQ(ledger->items().size(), 2u);
    EXPECT_EQ(ledger->items()[1].volume, "tlckpt-g1");
    EXPECT_EQ(ledger->held("vg-pool-tpool", image, {5, 1234})->sectors, 2048u);
    EXPECT_FALSE(ledger->held("vg-pool-tpool", image, {5, 1235})); // of another incarnation
    EXPECT_FALSE(ledger->held("other", image, {5, 1234}));
    ASSERT_TRUE(ledger->erase(first).has_value());
    EXPECT_GT(*ledger->reserve({.pool = "p", .image = image}), second);
    std::ofstream(dir.path("snapshots")) << "nonsense\n";
    EXPECT_TRUE(SnapshotLedger::load(dir.path()).error().is(EBADMSG));
}

} // namespace
} // namespace ckpt
