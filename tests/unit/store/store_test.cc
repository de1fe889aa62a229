// SPDX-License-Identifier: GPL-2.0-only
#include "tests/unit/store/store_rig.hh"

#include <gmock/gmock.h>

#include <latch>
#include <thread>

namespace ckpt {
namespace {

using testing::HasSubstr;

struct Store : testing::Test {
    TempDir dir;
    StoreRig rig{dir.path("s")};
    void SetUp() override { ASSERT_EQ(message(rig.open()), "no error"); }
    std::size_t nr_listed() {
        auto list = rig.store().list();
        return list.has_value() ? list->size() : 999;
    }
};

TEST_F(Store, FullAndIncrementsReadBackAtEveryIndex) {
    std::map<Sn, ModelImage> images;
    images[1] = pages_from(0, 1000, 1);
    images[1][2000] = {PageType::hole, 0};
    images[1][2001] = {static_cast<PageType>(0x9), 77}; // a pinned page table
    images[1][2002] = {PageType::normal, 0};            // zeroes
    ASSERT_EQ(message(rig.checkpoint(1, 1, images[1], true)), "no error");
    for (Sn sn = 2; sn < 20; sn++) {
        ModelImage change = pages_from(sn * 17, sn * 3, sn);
        change[sn] = {PageType::hole, 0};
        change[2000] = {PageType::normal, sn % 2};
        images[sn] = overlay(images[sn - 1], change);
        ASSERT_EQ(message(rig.checkpoint(sn, 1, change, false)), "no error");
    }
    for (bool reopened : {false, true}) {
        for (const auto &[sn, image] : images)
            EXPECT_EQ(read_image(rig.store(), sn, 1).value(), image) << sn << reopened;
        ASSERT_EQ(message(rig.open()), "no error");
    }
    auto reader = rig.store().open_image(7, guest_id(1));
    ASSERT_TRUE(reader.has_value());
    EXPECT_EQ((*reader)->state().head, state_of(7).head);
    EXPECT_EQ((*reader)->state().config, state_of(7).config);
    EXPECT_EQ((*reader)->state().tail, state_of(7).tail);
    EXPECT_EQ((*reader)->entry().name, "guest1");
    EXPECT_EQ((*reader)->entry().nr_new, 7 * 3 + 2u);
}

TEST_F(Store, AFullCheckpointStartsAnew) {
    ASSERT_EQ(message(rig.checkpoint(1, 1, pages_from(0, 100, 1), true)), "no error");
    ASSERT_EQ(message(rig.checkpoint(2, 1, pages_from(50, 10, 2), true)), "no error");
    EXPECT_EQ(read_image(rig.store(), 2, 1).value(), pages_from(50, 10, 2));
    EXPECT_EQ(read_image(rig.store(), 1, 1).value(), pages_from(0, 100, 1));
}

TEST_F(Store, ManifestSaysWhatTheCheckpointIs) {
    Manifest manifest = manifest_of(5);
    manifest.prev = 3;
    manifest.kind = CheckpointKind::forced;
    manifest.platform = "xen 4.17.7";
    manifest.groups = {1, 0x10002};
    manifest.times.stopped = 1234;
    manifest.suspend_skew = 99;
    std::vector<std::unique_ptr<GuestWriter>> parts;
    for (unsigned guest : {1u, 2u})
        parts.push_back(rig.part(guest, pages_from(0, 10 * guest, guest), true).value());
    ASSERT_EQ(message(rig.store().commit(manifest, parts)), "no error");
    ASSERT_EQ(message(rig.open()), "no error");
    const Manifest back = rig.store().manifest(5).value();
    EXPECT_EQ(back.node, "n1");
    EXPECT_EQ(back.sn, 5u);
    EXPECT_EQ(back.prev, 3u);
    EXPECT_EQ(back.incarnation, 1u);
    EXPECT_EQ(back.kind, CheckpointKind::forced);
    EXPECT_EQ(back.platform, "xen 4.17.7");
    EXPECT_EQ(back.groups, (std::vector<std::uint32_t>{1, 0x10002}));
    EXPECT_EQ(back.producer, "store test");
    EXPECT_EQ(back.times.stopped, 1234u);
    EXPECT_EQ(back.suspend_skew, 99u);
    EXPECT_GT(back.durable_ns, 0u);
    ASSERT_EQ(back.guests.size(), 2u);
    EXPECT_EQ(back.guests[1].uuid, guest_id(2));
    EXPECT_EQ(back.guests[1].nr_new, 20u);
    EXPECT_GT(back.guests[1].bytes_written, 20 * kPageSize);
    EXPECT_EQ(rig.store().list().value().size(), 1u);
}

TEST_F(Store, ZeroPagesAreCountedAndNotStored) {
    ModelImage image = pages_from(0, 100, 1);
    for (Pfn pfn = 1000; pfn < 3000; pfn++)
        image[pfn] = {PageType::normal, 0};
    ASSERT_EQ(message(rig.checkpoint(1, 1, image, true)), "no error");
    const Manifest manifest = rig.store().manifest(1).value();
    EXPECT_EQ(manifest.guests[0].nr_zero, 2000u);
    EXPECT_EQ(manifest.guests[0].nr_new, 2100u);
    EXPECT_LT(manifest.guests[0].bytes_written, 200 * kPageSize);
    EXPECT_EQ(read_image(rig.store(), 1, 1).value(), image);
}

TEST_F(Store, ThePageWrittenLastCounts) {
    auto part = rig.store().begin_guest(guest_id(1)).value();
    ModelImage image;
    for (std::uint64_t round = 1; round < 6; round++) {
        image = overlay(image, pages_from(round * 10, 100, round));
        ASSERT_EQ(message(rig.write(*part, pages_from(round * 10, 100, round), 7)), "no error");
    }
    ASSERT_EQ(message(part->seal(state_of(1), entry_of(1, true))), "no error");
    std::vector<std::unique_ptr<GuestWriter>> parts;
    parts.push_back(std::move(part));
    ASSERT_EQ(message(rig.store().commit(manifest_of(1), parts)), "no error");
    EXPECT_EQ(read_image(rig.store(), 1, 1).value(), image);
}

TEST_F(Store, SegmentsRollOverAndAnImageSpansThem) {
    rig.options.segment_bytes = 64 * kPageSize; // smaller than a batch
    ASSERT_EQ(message(rig.open()), "no error");
    ModelImage image = pages_from(0, 1500, 9);
    ASSERT_EQ(message(rig.checkpoint(1, 1, image, true)), "no error");
    EXPECT_EQ(read_image(rig.store(), 1, 1).value(), image);
}

TEST_F(Store, AnAbortedPartLeavesNothingAndGivesItsSpaceBack) {
    ASSERT_EQ(message(rig.checkpoint(1, 1, pages_from(0, 100, 1), true)), "no error");
    const auto before = rig.store().usage().value().bytes;
    {
        auto part = rig.store().begin_guest(guest_id(1)).value();
        ASSERT_EQ(message(rig.write(*part, pages_from(0, 2000, 2))), "no error");
    }
    {
        auto part = rig.part(1, pages_from(0, 50, 3), false).value(); // sealed, not committed
    }
    EXPECT_LE(rig.store().usage().value().bytes, before + 16 * kPageSize);
    EXPECT_EQ(nr_listed(), 1u);
    ASSERT_EQ(message(rig.checkpoint(2, 1, pages_from(10, 5, 4), false)), "no error");
    EXPECT_EQ(read_image(rig.store(), 2, 1).value(),
              overlay(pages_from(0, 100, 1), pages_from(10, 5, 4)));
    EXPECT_EQ(read_image(rig.store(), 1, 1).value(), pages_from(0, 100, 1));
}

TEST_F(Store, TheNextPartMayBeginOnceTheFirstIsSealed) {
    ModelImage first = pages_from(0, 300, 1), second = pages_from(20, 30, 2);
    std::vector<std::unique_ptr<GuestWriter>> one, two;
    one.push_back(rig.store().begin_guest(guest_id(1)).value());
    auto refused = rig.store().begin_guest(guest_id(1));
    ASSERT_FALSE(refused.has_value());
    EXPECT_TRUE(refused.error().is(EBUSY)) << refused.error().message();
    ASSERT_EQ(message(rig.write(*one[0], first)), "no error");
    ASSERT_EQ(message(one[0]->seal(state_of(1), entry_of(1, true))), "no error");
    two.push_back(rig.store().begin_guest(guest_id(1)).value());
    ASSERT_EQ(message(rig.write(*two[0], second)), "no error");
    ASSERT_EQ(message(rig.store().commit(manifest_of(1), one)), "no error");
    one.clear();
    ASSERT_EQ(message(two[0]->seal(state_of(2), entry_of(1, false))), "no error");
    ASSERT_EQ(message(rig.store().commit(manifest_of(2), two)), "no error");
    EXPECT_EQ(read_image(rig.store(), 1, 1).value(), first);
    EXPECT_EQ(read_image(rig.store(), 2, 1).value(), overlay(first, second));
}

TEST_F(Store, AnIncrementOnALostPartIsRefused) {
    ASSERT_EQ(message(rig.checkpoint(1, 1, pages_from(0, 300, 1), true)), "no error");
    auto lost = rig.part(1, pages_from(0, 5, 2), false).value();
    std::vector<std::unique_ptr<GuestWriter>> next;
    next.push_back(rig.part(1, pages_from(5, 5, 3), false).value());
    lost.reset(); // never committed
    auto status = rig.store().commit(manifest_of(3), next);
    ASSERT_FALSE(status.has_value());
    EXPECT_TRUE(status.error().is(ESTALE)) << message(status);
    EXPECT_EQ(nr_listed(), 1u);
    next.clear();
    // What follows builds on what is committed.
    ASSERT_EQ(message(rig.checkpoint(3, 1, pages_from(5, 5, 4), false)), "no error");
    EXPECT_EQ(read_image(rig.store(), 3, 1).value(),
              overlay(pages_from(0, 300, 1), pages_from(5, 5, 4)));
}

TEST_F(Store, IndexesAndPartsAreChecked) {
    auto first = rig.part(1, pages_from(0, 10, 1), false);
    ASSERT_FALSE(first.has_value());
    EXPECT_THAT(first.error().message(), HasSubstr("must be a full one"));
    ASSERT_EQ(message(rig.checkpoint(5, 1, pages_from(0, 10, 1), true)), "no error");
    auto again = rig.checkpoint(5, 1, pages_from(0, 10, 1), false);
    ASSERT_FALSE(again.has_value());
    EXPECT_TRUE(again.error().is(EEXIST)) << message(again);
    EXPECT_THAT(message(rig.checkpoint(4, 1, {}, false)), HasSubstr("not above 5"));
    auto beyond = rig.part(1, pages_from(kTestPfns - 1, 2, 1), false);
    ASSERT_FALSE(beyond.has_value());
    EXPECT_THAT(beyond.error().message(), HasSubstr("page 0x1000 written, its limit is 0x1000"));
    EXPECT_TRUE(rig.store().manifest(4).error().is(ENOENT));
    EXPECT_TRUE(rig.store().open_image(4, guest_id(1)).error().is(ENOENT));
    auto no_guest = rig.store().open_image(5, guest_id(9));
    ASSERT_FALSE(no_guest.has_value());
    EXPECT_THAT(no_guest.error().message(), HasSubstr("has no guest"));
    EXPECT_EQ(nr_listed(), 1u);
    // Nothing changed: fine, and the image is the one before.
    ASSERT_EQ(message(rig.checkpoint(6, 1, {}, false)), "no error");
    EXPECT_EQ(read_image(rig.store(), 6, 1).value(), pages_from(0, 10, 1));
}

TEST_F(Store, OneWriterAndItsIncarnationCounts) {
    StoreRig second(dir.path("s"));
    auto busy = second.open();
    ASSERT_FALSE(busy.has_value());
    EXPECT_TRUE(busy.error().is(EBUSY));
    EXPECT_THAT(message(busy), HasSubstr(fmt::format("process {} on host", ::getpid())));
    second.options.read_only = true;
    ASSERT_EQ(message(rig.checkpoint(1, 1, pages_from(0, 10, 1), true)), "no error");
    ASSERT_EQ(message(second.open()), "no error");
    EXPECT_EQ(read_image(second.store(), 1, 1).value(), pages_from(0, 10, 1));
    EXPECT_TRUE(second.store().begin_guest(guest_id(1)).error().is(EROFS));
    EXPECT_TRUE(second.store().collect_garbage(1, false).error().is(EROFS));
    second.options.read_only = false;
    second.options.node = "n2"; // another node's part of the same store
    ASSERT_EQ(message(second.open()), "no error");
    EXPECT_TRUE(second.store().list().value().empty());

    rig.close();
    rig.options.incarnation = 7;
    ASSERT_EQ(message(rig.open()), "no error");
    rig.close();
    rig.options.incarnation = 6;
    auto stale = rig.open();
    ASSERT_FALSE(stale.has_value());
    EXPECT_TRUE(stale.error().is(ESTALE)) << message(stale);
    EXPECT_THAT(message(stale), HasSubstr("incarnation 7"));
}

TEST(StoreOpen, EachMistakeHasItsError) {
    TempDir dir;
    StoreRig rig(dir.path("absent"));
    rig.options.create = false;
    auto status = rig.open();
    EXPECT_TRUE(status.error().is(ENOENT)) << message(status);
    rig.options.directory = dir.path();
    status = rig.open();
    EXPECT_TRUE(status.error().is(ENOENT)) << message(status);
    EXPECT_THAT(message(status), HasSubstr("no store here"));
    rig.options.create = true;
    std::filesystem::create_directory(dir.path("holiday-pictures"));
    status = rig.open();
    EXPECT_TRUE(status.error().is(ENOTEMPTY)) << message(status);
    EXPECT_THAT(message(status), HasSubstr("holiday-pictures"));
    rig.options.directory = dir.path("s");
    rig.options.node = "../n1";
    EXPECT_TRUE(rig.open().error().is(EINVAL));
    rig.options.node = "n1";
    EXPECT_EQ(message(rig.open()), "no error");
    rig.close();
    // A lost superblock does not turn a full store into a new one.
    ASSERT_EQ(message(rig.open()), "no error");
    ASSERT_EQ(message(rig.checkpoint(1, 1, pages_from(0, 10, 1), true)), "no error");
    rig.close();
    std::filesystem::remove(dir.path("s/superblock"));
    status = rig.open();
    EXPECT_TRUE(status.error().is(ENOTEMPTY)) << message(status);
}

// A new cluster's nodes start together, on a store that is not there yet.
TEST(StoreOpen, SeveralNodesMakeItAtTheSameTime) {
    for (int round = 0; round < 30; round++) {
        TempDir dir;
        std::vector<std::string> answers(4);
        std::latch together(4);
        std::vector<std::thread> nodes;
        for (int node = 0; node < 4; node++)
            nodes.emplace_back([&, node] {
                StoreRig rig(dir.path("s"));
                rig.options.node = fmt::format("n{}", node);
                together.arrive_and_wait();
                answers[static_cast<size_t>(node)] = message(rig.open());
            });
        for (std::thread &node : nodes)
            node.join();
        EXPECT_THAT(answers, testing::Each("no error"));
    }
}

TEST_F(Store, ManyIncrementsKeepFewRuns) {
    ASSERT_EQ(message(rig.checkpoint(1, 1, pages_from(0, 2000, 1), true)), "no error");
    ModelImage image = pages_from(0, 2000, 1);
    for (Sn sn = 2; sn <= 80; sn++) {
        const ModelImage change = pages_from((sn * 37) % 1900, 8, sn);
        image = overlay(image, change);
        ASSERT_EQ(message(rig.checkpoint(sn, 1, change, false)), "no error");
    }
    EXPECT_EQ(read_image(rig.store(), 80, 1).value(), image);
    // A manifest's size tells its number of runs: 16 bytes each, 2000 pages.
    const auto size = [&](Sn sn) {
        return std::filesystem::file_size(dir.path(fmt::format("s/nodes/n1/{:020}.manifest", sn)));
    };
    for (Sn sn = 2; sn <= 80; sn++)
        EXPECT_LE(size(sn), size(1) + 16 * 10) << sn;
}

} // namespace
} // namespace ckpt
