// SPDX-License-Identifier: GPL-2.0-only
// Disks of a guest through the store: what is stored, what is read back, what a
// failure leaves.
#include "libckpt/disk/guest_disks.hh"

#include <fstream>
#include <sstream>

#include <fcntl.h>
#include <gmock/gmock.h>

#include "libckpt/restore/disk_image.hh"
#include "tests/unit/disk/disk_checkpoint.hh"
#include "tests/unit/disk/memory_disks.hh"

namespace ckpt {
namespace {

using testing::HasSubstr;

constexpr std::uint64_t kBytes = 3 * 1024 * 1024 + 512; // its last block is cut short
DiskInfo disk_info(const char *name, const char *target, std::uint32_t number,
                   bool read_only = false) {
    DiskInfo disk;
    disk.name = name;
    disk.target = target;
    disk.number = number;
    disk.read_only = read_only;
    return disk;
}
const DiskInfo kData = disk_info("xvda", "data", 51712), kRoot = disk_info("xvdb", "root", 51728, true),
               kScratch = disk_info("xvdc", "scratch", 51744);

struct GuestDisksTest : testing::Test {
    TempDir dir{TempDir::Where::memory};
    StoreRig rig{dir.path("s")};
    MemoryDisks provider;
    GuestInfo guest;
    std::unique_ptr<GuestDisks> disks;
    std::map<Sn, std::string> expected;

    void SetUp() override {
        ASSERT_EQ(message(rig.open()), "no error");
        provider.add("data", kBytes);
        guest.uuid = guest_id(1);
        guest.name = "g1";
        guest.disks = {kData, kRoot, kScratch};
    }
    DiskSettings settings() {
        return {&provider, [](const GuestInfo &, const DiskInfo &d) { return d.name == "xvdc"; }};
    }
    void open() {
        disks = std::make_unique<GuestDisks>(guest, settings(), rig.store(), rig.arena());
        ASSERT_EQ(message(disks->open()), "no error");
    }
    Status checkpoint(Sn sn) {
        return disk_checkpoint(*disks, rig, sn, [&]() -> Status {
            expected[sn] = provider.bytes("data");
            write(4096 * 7, "after the cut");
            return {};
        });
    }
    void write(std::uint64_t at, const std::string &data) { provider.write("data", at, data); }
    DiskEntry entry(Sn sn) {
        auto manifest = rig.store().manifest(sn);
        EXPECT_TRUE(manifest.has_value());
        EXPECT_EQ(manifest->disks.size(), 3u);
        return manifest->disks[0];
    }
    void expect_disk(Sn sn, std::uint64_t zero_bytes = 0) {
        SCOPED_TRACE(sn);
        auto image = rig.store().open_image(sn, disk_uuid(guest.uuid, kData.number));
        ASSERT_TRUE(image.has_value()) << image.error().message();
        const std::string file = dir.path("volume");
        std::ofstream(file) << std::string(zero_bytes ? kBytes : 0, '?');
        std::filesystem::resize_file(file, kBytes);
        Fd fd(::open(file.c_str(), O_WRONLY | O_CLOEXEC));
        auto written = write_disk_image(**image, kBytes, zero_bytes, fd.get(), {});
        ASSERT_TRUE(written.has_value()) << written.error().message();
        std::ostringstream text;
        text << std::ifstream(file, std::ios::binary).rdbuf();
        if (!zero_bytes) {
            EXPECT_TRUE(text.str() == expected[sn]);
        } else { // blocks that were not touched keep what they had
            const std::string found = text.str();
            for (std::uint64_t at = 0; at < kBytes; at += zero_bytes) {
                const std::string part = found.substr(at, zero_bytes);
                EXPECT_TRUE(part == expected[sn].substr(at, zero_bytes) ||
                            part == std::string(part.size(), '?'));
            }
        }
    }
};

TEST_F(GuestDisksTest, FullThenIncrementsAtEveryIndex) {
    open();
    write(0, "boot");
    write(1024 * 1024, std::string(10000, 'a'));
    write(kBytes - 3, "end");
    ASSERT_EQ(message(checkpoint(1)), "no error");
    EXPECT_TRUE(entry(1).full);
    EXPECT_EQ(entry(1).nr_new, 1u + 3 + 1); // of five blocks with something in them
    EXPECT_EQ(entry(1).bytes, kBytes);
    EXPECT_EQ(provider.nr_held(), 1);
    for (Sn sn = 2; sn <= 12; sn++) {
        write(sn * 100000, std::string(5000, static_cast<char>('a' + sn)));
        if (sn == 5)
            provider.discard("data", 16); // the 'a's
        if (sn == 7)
            write(0, std::string(4096, '\0'));
        ASSERT_EQ(message(checkpoint(sn)), "no error");
        EXPECT_FALSE(entry(sn).full);
        EXPECT_EQ(provider.nr_held(), 1);
    }
    EXPECT_EQ(entry(5).nr_discarded, 16u);
    EXPECT_EQ(entry(7).nr_zero, 1u);
    for (const auto &[sn, bytes] : expected)
        expect_disk(sn);
    expect_disk(6, MemoryDisks::kBlock);
    auto report = rig.store().verify({});
    ASSERT_TRUE(report.has_value());
    EXPECT_TRUE(report->damages.empty());
    ASSERT_TRUE(rig.store().collect_garbage(9, false).has_value());
    ASSERT_EQ(message(rig.open()), "no error");
    for (Sn sn = 9; sn <= 12; sn++)
        expect_disk(sn);
}

TEST_F(GuestDisksTest, StoresBlocksThatChangedNotThePools) {
    open();
    write(0, std::string(1024 * 1024, 'x'));
    ASSERT_EQ(message(checkpoint(1)), "no error");
    provider.write("data", 4096 * 7, std::string(4096, 'x')); // back to what it was
    write(4096 * 3, "changed");
    ASSERT_EQ(message(checkpoint(2)), "no error");
    EXPECT_EQ(entry(2).nr_new, 1u);
    EXPECT_EQ(entry(2).bytes_changed, MemoryDisks::kBlock);
    expect_disk(2);
}

TEST_F(GuestDisksTest, WhatIsLeftAlone) {
    open();
    ASSERT_EQ(message(checkpoint(1)), "no error");
    auto manifest = rig.store().manifest(1);
    EXPECT_EQ(manifest->disks[1].name, "xvdb");
    EXPECT_EQ(manifest->disks[1].kind, DiskKind::read_only);
    EXPECT_EQ(manifest->disks[1].target, "root");
    EXPECT_EQ(manifest->disks[2].kind, DiskKind::excluded);
    EXPECT_EQ(manifest->disks[0].source, "memory");
    EXPECT_TRUE(rig.store().open_image(1, manifest->disks[1].uuid).error().is(ENOENT));
}

TEST_F(GuestDisksTest, RefusedWithAReason) {
    GuestDisks refused(guest, {&provider, {}}, rig.store(), rig.arena());
    auto opened = refused.open();
    ASSERT_FALSE(opened);
    EXPECT_TRUE(opened.error().is(EOPNOTSUPP));
    EXPECT_THAT(opened.error().message(), HasSubstr("disk xvdc (scratch): it is not in memory"));
}

TEST_F(GuestDisksTest, AFailureLeavesTheBase) {
    open();
    write(0, "one");
    ASSERT_EQ(message(checkpoint(1)), "no error");
    for (const char *call : {"prepare", "snapshot", "delta"}) {
        write(200000, call);
        provider.decide = [&](const std::string &now) { return now == call ? EIO : 0; };
        EXPECT_FALSE(checkpoint(2)) << call;
        provider.decide = [](auto &) { return 0; };
        EXPECT_EQ(provider.nr_held(), 1) << call;
    }
    EXPECT_EQ(rig.store().list()->size(), 1u);
    ASSERT_EQ(message(checkpoint(2)), "no error");
    EXPECT_FALSE(entry(2).full);
    expect_disk(1);
    expect_disk(2);
}

TEST_F(GuestDisksTest, FullAgainAfterARestart) {
    open();
    write(0, "one");
    ASSERT_EQ(message(checkpoint(1)), "no error");
    open();
    provider.discard("data", 0);
    write(300000, "two");
    ASSERT_EQ(message(checkpoint(2)), "no error");
    EXPECT_TRUE(entry(2).full);
    expect_disk(2);
}

TEST(DiskUuid, OfItsOwn) {
    const Uuid guest = guest_id(1);
    EXPECT_NE(disk_uuid(guest, 51712), disk_uuid(guest, 51728));
    EXPECT_NE(disk_uuid(guest, 0), guest);
    EXPECT_EQ(disk_uuid(guest, 51712).to_string()[14], '8');
}

} // namespace
} // namespace ckpt
