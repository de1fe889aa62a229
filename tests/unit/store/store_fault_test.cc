// SPDX-License-Identifier: GPL-2.0-only
// Steps that fail: each single one by injection, and real file systems that
// are full or read-only. Whatever fails, what was committed stays.
#include "tests/unit/store/store_rig.hh"

#include <sys/mount.h>

#include <atomic>
#include <fstream>

#include <gmock/gmock.h>

namespace ckpt {
namespace {

using testing::HasSubstr;

// Fails the `fail_at`th step from now.
class Injector : public DiskObserver {
  public:
    std::atomic<int> fail_at = -1;
    int error = EIO;
    std::atomic<bool> fired = false;
    Status before(const DiskStep &step) override {
        if (fail_at < 0 || fail_at-- > 0)
            return {};
        fired = true;
        return fail(error, "injected at {}", step.path);
    }
};

TEST(StoreFault, AnyStepOfACheckpointMayFail) {
    for (const int error : {EIO, ENOSPC}) {
        TempDir dir(TempDir::Where::memory);
        StoreRig rig(dir.path("s"));
        Injector injector;
        injector.error = error;
        rig.options.disk_observer = &injector;
        rig.options.segment_bytes = 100 * kPageSize;
        ASSERT_EQ(message(rig.open()), "no error");
        ModelImage image = pages_from(0, 300, 1);
        ASSERT_EQ(message(rig.checkpoint(1, 1, image, true)), "no error");
        Sn sn = 2;
        int nr_failed = 0;
        for (int at = 0;; at++) {
            const ModelImage change = pages_from(100, 150, sn * 1000 + static_cast<Sn>(at));
            injector.fired = false;
            injector.fail_at = at;
            Status status = rig.checkpoint(sn, 1, change, false);
            injector.fail_at = -1;
            if (!injector.fired) {
                EXPECT_EQ(message(status), "no error");
                EXPECT_EQ(read_image(rig.store(), sn, 1).value(), overlay(image, change));
                break;
            }
            // A step that failed and mattered not at all would be a step too many.
            ASSERT_FALSE(status.has_value()) << at;
            EXPECT_TRUE(status.error().is(error)) << message(status);
            nr_failed++;
            const auto list = rig.store().list().value();
            ASSERT_EQ(list.size(), sn - 1) << message(status);
            EXPECT_EQ(read_image(rig.store(), sn - 1, 1).value(), image) << at;
            // The caller puts the pages back and tries again.
            ASSERT_EQ(message(rig.checkpoint(sn, 1, change, false)), "no error") << at;
            image = overlay(image, change);
            ASSERT_EQ(read_image(rig.store(), sn, 1).value(), image) << at;
            sn++;
            if (at % 5 == 0) {
                ASSERT_EQ(message(rig.open()), "no error");
            }
        }
        EXPECT_GT(nr_failed, 10);
        EXPECT_TRUE(rig.store().verify({}).value().damages.empty());
    }
}

TEST(StoreFault, AnyStepOfACollectionMayFail) {
    for (int at = 0;; at++) {
        TempDir dir(TempDir::Where::memory);
        StoreRig rig(dir.path("s"));
        Injector injector;
        rig.options.disk_observer = &injector;
        rig.options.segment_bytes = 128 * kPageSize;
        ASSERT_EQ(message(rig.open()), "no error");
        ModelImage image = pages_from(0, 300, 1);
        std::map<Sn, ModelImage> images;
        ASSERT_EQ(message(rig.checkpoint(1, 1, image, true)), "no error");
        for (Sn sn = 2; sn <= 6; sn++) {
            const ModelImage change = pages_from((sn - 2) * 60, 50, sn);
            images[sn] = image = overlay(image, change);
            ASSERT_EQ(message(rig.checkpoint(sn, 1, change, false)), "no error");
        }
        injector.fail_at = at;
        auto report = rig.store().collect_garbage(5, false);
        injector.fail_at = -1;
        if (injector.fired) {
            EXPECT_TRUE(!report.has_value() || !report->problems.empty()) << at;
        }
        for (Sn sn = 5; sn <= 6; sn++)
            ASSERT_EQ(read_image(rig.store(), sn, 1).value(), images[sn]) << at;
        // Goes on from there, in this process and in the next.
        const ModelImage change = pages_from(33, 44, 7);
        ASSERT_EQ(message(rig.checkpoint(7, 1, change, false)), "no error");
        images[7] = overlay(image, change);
        ASSERT_EQ(message(rig.open()), "no error");
        ASSERT_TRUE(rig.store().collect_garbage(5, false).has_value());
        for (Sn sn = 5; sn <= 7; sn++)
            ASSERT_EQ(read_image(rig.store(), sn, 1).value(), images[sn]) << at;
        EXPECT_TRUE(rig.store().verify({}).value().damages.empty());
        if (!injector.fired) {
            EXPECT_GT(report->bytes_moved, 0u);
            EXPECT_GT(at, 10);
            break;
        }
    }
}

// A file system of its own, or the reason why there is none.
class Mounted {
  public:
    explicit Mounted(std::string where) : where_(std::move(where)) {
        std::filesystem::create_directory(where_);
    }
    ~Mounted() { ::umount2(where_.c_str(), MNT_DETACH); }
    std::string tmpfs(const char *size) {
        if (::mount("tmpfs", where_.c_str(), "tmpfs", 0, size) == 0)
            return {};
        return fmt::format("no tmpfs can be mounted: {}", std::strerror(errno));
    }
    std::string ext4(std::uint64_t bytes) {
        const std::string image = where_ + ".img";
        std::ofstream(image).close();
        std::filesystem::resize_file(image, bytes);
        if (std::system(("mkfs.ext4 -q -m 0 " + image + " 2>/dev/null").c_str()) != 0)
            return "no mkfs.ext4";
        if (std::system(("mount -o loop " + image + " " + where_ + " 2>/dev/null").c_str()) != 0)
            return "no file can be mounted (loop)";
        return {};
    }
    Status read_only() {
        if (::mount(nullptr, where_.c_str(), nullptr, MS_REMOUNT | MS_RDONLY, nullptr) == 0)
            return {};
        return fail(errno, "remounting {}", where_);
    }

  private:
    std::string where_;
};

// Increments until the file system is full; then room is made, and it goes on.
void fill_up(const std::string &directory) {
    StoreRig rig(directory);
    rig.options.segment_bytes = std::uint64_t{4} << 20;
    ASSERT_EQ(message(rig.open()), "no error");
    std::map<Sn, ModelImage> images;
    images[1] = pages_from(0, 1000, 1);
    ASSERT_EQ(message(rig.checkpoint(1, 1, images[1], true)), "no error");
    Sn sn = 1;
    Status status;
    while (status.has_value() && sn < 100) {
        const ModelImage change = pages_from(sn * 10, 500, sn + 1);
        status = rig.checkpoint(sn + 1, 1, change, false);
        if (status.has_value()) {
            sn++;
            images[sn] = overlay(images[sn - 1], change);
        }
    }
    ASSERT_FALSE(status.has_value());
    EXPECT_TRUE(status.error().is(ENOSPC)) << message(status);
    EXPECT_GT(sn, 2u);
    for (int reopened = 0; reopened < 2; reopened++) {
        ASSERT_EQ(rig.store().list().value().size(), sn);
        for (const auto &[at, image] : images)
            ASSERT_EQ(read_image(rig.store(), at, 1).value(), image) << at;
        EXPECT_TRUE(rig.store().verify({}).value().damages.empty());
        ASSERT_EQ(message(rig.open()), "no error");
    }
    auto collected = rig.store().collect_garbage(sn, false);
    ASSERT_TRUE(collected.has_value()) << collected.error().message();
    EXPECT_TRUE(collected->problems.empty()) << collected->problems[0];
    ASSERT_EQ(message(rig.checkpoint(sn + 1, 1, pages_from(7, 500, 99), false)), "no error");
    EXPECT_EQ(read_image(rig.store(), sn + 1, 1).value(),
              overlay(images[sn], pages_from(7, 500, 99)));
}

TEST(StoreFault, FullTmpfs) {
    TempDir dir;
    Mounted mounted(dir.path("m"));
    if (auto reason = mounted.tmpfs("size=16m"); !reason.empty())
        GTEST_SKIP() << reason;
    fill_up(dir.path("m/s"));
}

TEST(StoreFault, FullExt4) {
    TempDir dir;
    Mounted mounted(dir.path("m"));
    if (auto reason = mounted.ext4(std::uint64_t{24} << 20); !reason.empty())
        GTEST_SKIP() << reason;
    fill_up(dir.path("m/s"));
}

TEST(StoreFault, ReadOnlyFileSystem) {
    TempDir dir;
    Mounted mounted(dir.path("m"));
    if (auto reason = mounted.tmpfs("size=16m"); !reason.empty())
        GTEST_SKIP() << reason;
    StoreRig rig(dir.path("m/s"));
    ASSERT_EQ(message(rig.open()), "no error");
    ASSERT_EQ(message(rig.checkpoint(1, 1, pages_from(0, 100, 1), true)), "no error");
    rig.close();
    ASSERT_EQ(message(mounted.read_only()), "no error");
    auto status = rig.open();
    ASSERT_FALSE(status.has_value());
    EXPECT_TRUE(status.error().is(EROFS)) << message(status);
    EXPECT_THAT(message(status), HasSubstr(dir.path("m/s")));
    rig.options.read_only = true;
    ASSERT_EQ(message(rig.open()), "no error");
    EXPECT_EQ(read_image(rig.store(), 1, 1).value(), pages_from(0, 100, 1));
    EXPECT_TRUE(rig.store().verify({}).value().damages.empty());
}

} // namespace
} // namespace ckpt
