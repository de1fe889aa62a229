// SPDX-License-Identifier: GPL-2.0-only
// Damaged stores: what is damaged is named, what is not goes on to restore.
#include "tests/unit/store/store_rig.hh"

#include <fstream>
#include <random>

#include <gmock/gmock.h>

#include "libckpt/base/crc32c.hh"
#include "tlckpt/format.h"

namespace ckpt {
namespace {

using testing::HasSubstr;
namespace fs = std::filesystem;

struct StoreDamage : testing::Test {
    TempDir dir{TempDir::Where::memory};
    StoreRig rig{dir.path("s")};
    std::map<Sn, ModelImage> images;
    std::vector<fs::path> files;

    // Four checkpoints in several segments and runs, and a copy to go back to.
    void SetUp() override {
        rig.options.segment_bytes = 200 * kPageSize;
        ASSERT_EQ(message(rig.open()), "no error");
        images[1] = pages_from(0, 300, 1);
        images[1][400] = {PageType::hole, 0};
        for (Sn sn = 2; sn <= 4; sn++)
            images[sn] = overlay(images[sn - 1], change(sn));
        for (Sn sn = 1; sn <= 4; sn++)
            ASSERT_EQ(message(rig.checkpoint(sn, 1, sn == 1 ? images[1] : change(sn), sn == 1)),
                      "no error");
        rig.close();
        rig.options.read_only = true;
        fs::copy(dir.path("s"), dir.path("sound"), fs::copy_options::recursive);
        for (const auto &entry : fs::recursive_directory_iterator(dir.path("s")))
            if (entry.is_regular_file() && entry.file_size() > 0)
                files.push_back(entry.path());
    }
    static ModelImage change(Sn sn) { return pages_from(sn * 20, 30, sn); }
    void repair() {
        rig.close();
        fs::remove_all(dir.path("s"));
        fs::copy(dir.path("sound"), dir.path("s"), fs::copy_options::recursive);
    }

    static void flip(const fs::path &file, std::uint64_t bit) {
        std::fstream stream(file, std::ios::in | std::ios::out | std::ios::binary);
        stream.seekg(static_cast<std::streamoff>(bit / 8));
        char byte = 0;
        stream.get(byte);
        byte = static_cast<char>(byte ^ (1 << bit % 8));
        stream.seekp(static_cast<std::streamoff>(bit / 8));
        stream.put(byte);
    }

    // Every checkpoint that no damage names restores, every one that is named
    // does not, and damage is named where `file` is damaged.
    void check(const std::string &file, const std::string &what) {
        SCOPED_TRACE(what);
        auto report = rig.store().verify({});
        ASSERT_TRUE(report.has_value()) << report.error().message();
        std::set<Sn> unusable;
        bool named = false;
        for (const Damage &damage : report->damages) {
            unusable.insert(damage.checkpoints.begin(), damage.checkpoints.end());
            named = named || file.ends_with(damage.file);
        }
        EXPECT_TRUE(named);
        for (const auto &[sn, image] : images) {
            auto read = read_image(rig.store(), sn, 1);
            if (unusable.contains(sn)) {
                EXPECT_FALSE(read.has_value() && *read == image) << sn << " named, yet it reads";
                EXPECT_FALSE(read.has_value()) << sn;
            } else {
                ASSERT_TRUE(read.has_value()) << sn << ": " << read.error().message();
                EXPECT_TRUE(*read == image) << sn;
            }
        }
    }

    // The structure at `offset` with another version, sound otherwise.
    static void set_version(const fs::path &file, std::uint64_t offset, std::uint32_t version) {
        std::fstream stream(file, std::ios::in | std::ios::out | std::ios::binary);
        tlckpt_head head;
        stream.seekg(static_cast<std::streamoff>(offset));
        stream.read(reinterpret_cast<char *>(&head), sizeof head);
        std::vector<char> bytes(head.length);
        stream.seekg(static_cast<std::streamoff>(offset));
        stream.read(bytes.data(), head.length);
        head.version = version;
        head.crc = 0;
        std::memcpy(bytes.data(), &head, sizeof head);
        head.crc = crc32c(std::as_bytes(std::span(bytes)));
        std::memcpy(bytes.data(), &head, sizeof head);
        stream.seekp(static_cast<std::streamoff>(offset));
        stream.write(bytes.data(), head.length);
    }
    fs::path manifest(Sn sn) { return dir.path(fmt::format("s/nodes/n1/{:020}.manifest", sn)); }
};

TEST_F(StoreDamage, ASoundStoreHasNone) {
    ASSERT_EQ(message(rig.open()), "no error");
    const VerifyReport report = rig.store().verify({}).value();
    EXPECT_TRUE(report.damages.empty());
    EXPECT_EQ(report.checkpoints, 4u);
    EXPECT_GT(report.bytes, 390 * kPageSize);
    EXPECT_GT(report.records, 8u);
}

TEST_F(StoreDamage, EveryFlippedBitIsFoundAndNamed) {
    std::mt19937_64 random(20);
    for (int round = 0; round < 150; round++) {
        const fs::path &file = files[random() % files.size()];
        const std::uint64_t bit = random() % (fs::file_size(file) * 8);
        const std::string what = fmt::format("{} bit {}", file.string(), bit);
        flip(file, bit);
        const bool for_opening = file.filename() == "superblock" || file.filename() == "owner";
        rig.options.read_only = file.filename() != "owner";
        auto opened = rig.open();
        EXPECT_EQ(opened.has_value(), !for_opening) << what << ": " << message(opened);
        if (opened.has_value())
            check(file.string(), what);
        else
            EXPECT_TRUE(opened.error().is(EBADMSG) &&
                        message(opened).find(file.string()) != std::string::npos)
                << message(opened);
        rig.close();
        flip(file, bit);
    }
}

TEST_F(StoreDamage, TruncatedAndMissingFilesAreNamed) {
    for (const fs::path &file : files) {
        if (file.filename() == "superblock" || file.filename() == "owner")
            continue;
        for (const std::uint64_t size : {fs::file_size(file) / 2, std::uint64_t{0}}) {
            fs::resize_file(file, size);
            ASSERT_EQ(message(rig.open()), "no error");
            check(file.string(), fmt::format("{} cut to {}", file.string(), size));
            repair();
        }
        if (file.extension() == ".manifest")
            continue; // without it there is no such checkpoint
        fs::remove(file);
        ASSERT_EQ(message(rig.open()), "no error");
        check(file.string(), file.string() + " removed");
        repair();
    }
}

TEST_F(StoreDamage, TheErrorOfARestoreNamesFileAndPlace) {
    const fs::path segment = dir.path("s/guests/" + guest_id(1).to_string() + "/00000001.segment");
    flip(segment, (5 * kPageSize + 100) * 8);
    ASSERT_EQ(message(rig.open()), "no error");
    auto read = read_image(rig.store(), 1, 1);
    ASSERT_FALSE(read.has_value());
    EXPECT_TRUE(read.error().is(EBADMSG));
    EXPECT_THAT(read.error().message(), HasSubstr(segment.string() + ": page 0x3 at 20480"));
}

TEST_F(StoreDamage, UnknownVersionsAreNamedNotCalledDamage) {
    set_version(manifest(3), 0, 2);
    ASSERT_EQ(message(rig.open()), "no error");
    auto newer = rig.store().manifest(3);
    ASSERT_FALSE(newer.has_value());
    EXPECT_TRUE(newer.error().is(EPROTONOSUPPORT));
    EXPECT_THAT(newer.error().message(),
                HasSubstr("format version 2 found, this program knows version 1"));
    EXPECT_THAT(rig.store().list().value()[2].damage, HasSubstr("format version 2"));
    EXPECT_EQ(read_image(rig.store(), 4, 1).value(), images[4]);
    repair();
    set_version(dir.path("s/superblock"), 0, 9);
    auto opened = rig.open();
    ASSERT_FALSE(opened.has_value());
    EXPECT_TRUE(opened.error().is(EPROTONOSUPPORT));
    EXPECT_THAT(message(opened), HasSubstr("format version 9 found, this program knows version 1"));
}

TEST_F(StoreDamage, MisplacedBlocksAreFound) {
    // A record of another place, sound in itself: what a disk does that
    // writes to the wrong sector.
    const fs::path segment = dir.path("s/guests/" + guest_id(1).to_string() + "/00000001.segment");
    std::fstream stream(segment, std::ios::in | std::ios::out | std::ios::binary);
    std::vector<char> block(kPageSize);
    stream.seekg(static_cast<std::streamoff>(6 * kPageSize));
    stream.read(block.data(), kPageSize);
    stream.seekp(static_cast<std::streamoff>(5 * kPageSize));
    stream.write(block.data(), kPageSize);
    stream.close();
    ASSERT_EQ(message(rig.open()), "no error");
    check(segment.string(), "misplaced page");
}

TEST_F(StoreDamage, VerificationCanBeStopped) {
    ASSERT_EQ(message(rig.open()), "no error");
    std::uint64_t last = 0, total = 0;
    auto stopped = rig.store().verify([&](std::uint64_t done, std::uint64_t all) {
        EXPECT_GE(done, last);
        last = done;
        total = all;
        return done < all / 2;
    });
    ASSERT_FALSE(stopped.has_value());
    EXPECT_TRUE(stopped.error().is(ECANCELED));
    EXPECT_LT(last, total);
}

TEST_F(StoreDamage, ADamagedBaseStopsTheIncrementThatMergesIt) {
    rig.options.read_only = false;
    const fs::path folder = dir.path("s/guests/" + guest_id(1).to_string());
    for (const auto &entry : fs::directory_iterator(folder))
        if (entry.path().extension() == ".run")
            flip(entry.path(), (kPageSize + 200) * 8);
    ASSERT_EQ(message(rig.open()), "no error");
    auto status = rig.checkpoint(5, 1, pages_from(0, 300, 5), false);
    ASSERT_FALSE(status.has_value());
    EXPECT_TRUE(status.error().is(EBADMSG)) << message(status);
    EXPECT_EQ(message(rig.checkpoint(5, 1, pages_from(0, 300, 5), true)), "no error");
    EXPECT_EQ(read_image(rig.store(), 5, 1).value(), pages_from(0, 300, 5));
}

} // namespace
} // namespace ckpt
