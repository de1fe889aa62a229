// SPDX-License-Identifier: GPL-2.0-only
// Which provider takes which disk, checkpoint's disk and volume.
#include "libckpt/disk/disk_providers.hh"

#include <gtest/gtest.h>

#include "tests/unit/disk/memory_disks.hh"

namespace ckpt {
namespace {

struct Named : MemoryDisks {
    Named(std::string volume, std::string &heard) : volume_(std::move(volume)), heard_(heard) {
        add(volume_, 4096);
    }
    Result<Volume> make_volume(const DiskEntry &, const Cut &, const std::string &) override {
        return Volume{.path = volume_};
    }
    Status finish_volume(const Volume &) override {
        heard_ += volume_ + " finished;";
        return {};
    }
    void drop_volume(const Volume &) override { heard_ += volume_ + " dropped;"; }

  private:
    const std::string volume_;
    std::string &heard_;
};

TEST(DiskProviders, ByFormatSourceAndPath) {
    std::string heard;
    auto all = join_providers(std::make_unique<Named>("/dev/mapper/v", heard),
                              std::make_unique<Named>("/srv/v.qcow2", heard));
    DiskInfo disk;
    disk.target = "/dev/mapper/v";
    EXPECT_EQ(all->refusal(disk), "");
    disk.format = "qcow2";
    EXPECT_NE(all->refusal(disk), "");
    disk.target = "/srv/v.qcow2";
    EXPECT_EQ(all->refusal(disk), "");
    EXPECT_TRUE(all->open(Uuid(), disk).has_value());
    DiskEntry entry;
    entry.source = "vg-pool-tpool";
    auto thin = all->make_volume(entry, {}, "v");
    entry.source = "/srv";
    auto qcow2 = all->make_volume(entry, {}, "v");
    EXPECT_EQ(thin->path, "/dev/mapper/v");
    EXPECT_EQ(qcow2->path, "/srv/v.qcow2");
    EXPECT_TRUE(all->finish_volume(*qcow2).has_value());
    all->drop_volume(*thin);
    EXPECT_EQ(heard, "/srv/v.qcow2 finished;/dev/mapper/v dropped;");
}

} // namespace
} // namespace ckpt
