// SPDX-License-Identifier: GPL-2.0-only
#include "tests/unit/store/store_rig.hh"

#include <gmock/gmock.h>

namespace ckpt {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

struct StoreGc : testing::Test {
    TempDir dir{TempDir::Where::memory};
    StoreRig rig{dir.path("s")};
    void SetUp() override {
        rig.options.segment_bytes = 256 * kPageSize;
        ASSERT_EQ(message(rig.open()), "no error");
    }
    void checkpoint(Sn sn, unsigned guest, const ModelImage &pages, bool full) {
        ASSERT_EQ(message(rig.checkpoint(sn, guest, pages, full)), "no error");
    }
    GcReport collect(Sn keep_from, bool dry_run = false) {
        auto report = rig.store().collect_garbage(keep_from, dry_run);
        EXPECT_TRUE(report.has_value()) << report.error().message();
        return report.has_value() ? *report : GcReport();
    }
    std::uint64_t used() { return rig.store().usage().value().bytes; }
    void expect_sound() {
        const VerifyReport report = rig.store().verify({}).value();
        for (const Damage &damage : report.damages)
            ADD_FAILURE() << damage.file << " at " << damage.offset << ": " << damage.what;
    }
};

TEST_F(StoreGc, DropsOldCheckpointsAndFreesWhatOnlyTheyUsed) {
    for (Sn sn = 1; sn <= 6; sn++)
        checkpoint(sn, 1, pages_from(0, 1000, sn), true);
    const std::uint64_t before = used();
    const GcReport planned = collect(4, true);
    EXPECT_EQ(rig.store().list().value().size(), 6u);
    EXPECT_EQ(used(), before);
    const GcReport done = collect(4);
    EXPECT_THAT(done.dropped, ElementsAre(1, 2, 3));
    EXPECT_THAT(planned.dropped, ElementsAre(1, 2, 3));
    EXPECT_GT(done.bytes_freed, before * 4 / 10);
    EXPECT_NEAR(static_cast<double>(planned.bytes_freed), static_cast<double>(done.bytes_freed),
                static_cast<double>(before) / 10);
    EXPECT_LE(used(), before - done.bytes_freed + 4 * kPageSize);
    for (Sn sn = 4; sn <= 6; sn++)
        EXPECT_EQ(read_image(rig.store(), sn, 1).value(), pages_from(0, 1000, sn));
    EXPECT_TRUE(rig.store().manifest(3).error().is(ENOENT));
    expect_sound();
}

TEST_F(StoreGc, SpaceStaysBoundedHoweverLongItRuns) {
    ModelImage image = pages_from(0, 1000, 1);
    checkpoint(1, 1, image, true);
    std::uint64_t moved = 0;
    for (Sn sn = 2; sn <= 150; sn++) {
        const ModelImage change = pages_from((sn * 61) % 900, 100, sn);
        image = overlay(image, change);
        checkpoint(sn, 1, change, false);
        moved += collect(sn > 3 ? sn - 3 : 1).bytes_moved;
        if (sn % 10 == 0) {
            ASSERT_EQ(read_image(rig.store(), sn, 1).value(), image) << sn;
        }
    }
    EXPECT_GT(moved, 0u); // segments were rewritten, not only dropped whole
    // 1000 live pages and up to 300 of the kept increments: twice that, and
    // the open segment.
    EXPECT_LT(used(), (2 * 1300 + 256 + 50) * kPageSize);
    collect(150);
    EXPECT_EQ(collect(150).bytes_moved, 0u); // it settles
    expect_sound();
    ASSERT_EQ(message(rig.open()), "no error");
    EXPECT_EQ(read_image(rig.store(), 150, 1).value(), image);
    const ModelImage change = pages_from(5, 5, 151);
    checkpoint(151, 1, change, false);
    EXPECT_EQ(read_image(rig.store(), 151, 1).value(), overlay(image, change));
}

TEST_F(StoreGc, AReaderKeepsItsFiles) {
    checkpoint(1, 1, pages_from(0, 600, 1), true);
    checkpoint(2, 1, pages_from(0, 600, 2), true);
    StoreRig other(dir.path("s"));
    other.options.read_only = true;
    ASSERT_EQ(message(other.open()), "no error");
    {
        auto reader = other.store().open_image(1, guest_id(1)).value();
        EXPECT_EQ(collect(2).bytes_freed, 0u);
        std::size_t pages = 0;
        ASSERT_EQ(message(reader->for_each([&](auto group) -> Status {
            for (const auto &page : group)
                EXPECT_EQ(seed_of(page.data), pages_from(0, 600, 1)[page.pfn].seed);
            pages += group.size();
            return {};
        })),
                  "no error");
        EXPECT_EQ(pages, 600u);
    }
    EXPECT_GT(collect(2).bytes_freed, 500 * kPageSize);
}

TEST_F(StoreGc, WhatAnOpenPartBuildsOnStays) {
    checkpoint(1, 1, pages_from(0, 600, 1), true);
    checkpoint(2, 2, pages_from(0, 10, 2), true); // without guest 1
    auto part = rig.store().begin_guest(guest_id(1)).value();
    ASSERT_EQ(message(rig.write(*part, pages_from(0, 300, 3))), "no error");
    collect(2); // drops the only checkpoint of guest 1
    ASSERT_EQ(message(rig.write(*part, pages_from(300, 5, 3))), "no error");
    ASSERT_EQ(message(part->seal(state_of(1), entry_of(1, false))), "no error");
    collect(2);
    std::vector<std::unique_ptr<GuestWriter>> parts;
    parts.push_back(std::move(part));
    ASSERT_EQ(message(rig.store().commit(manifest_of(3), parts)), "no error");
    parts.clear();
    EXPECT_EQ(read_image(rig.store(), 3, 1).value(),
              overlay(overlay(pages_from(0, 600, 1), pages_from(0, 300, 3)),
                      pages_from(300, 5, 3)));
    collect(3);
    EXPECT_EQ(rig.store().list().value().size(), 1u);
    expect_sound();
}

TEST_F(StoreGc, AGuestThatIsGoneLeavesNothing) {
    checkpoint(1, 1, pages_from(0, 600, 1), true);
    checkpoint(2, 2, pages_from(0, 10, 2), true);
    collect(2);
    collect(2); // now its open segment too
    EXPECT_FALSE(std::filesystem::exists(dir.path("s/guests/" + guest_id(1).to_string())));
    // It may come back, from the start.
    EXPECT_THAT(message(rig.checkpoint(3, 1, pages_from(0, 5, 3), false)),
                HasSubstr("must be a full one"));
    checkpoint(3, 1, pages_from(0, 5, 3), true);
    EXPECT_EQ(read_image(rig.store(), 3, 1).value(), pages_from(0, 5, 3));
}

TEST_F(StoreGc, NeverDropsAllAndNeverGuesses) {
    checkpoint(1, 1, pages_from(0, 60, 1), true);
    checkpoint(2, 1, pages_from(0, 60, 2), false);
    auto all = rig.store().collect_garbage(3, false);
    ASSERT_FALSE(all.has_value());
    EXPECT_TRUE(all.error().is(EINVAL)) << all.error().message();
    EXPECT_EQ(rig.store().list().value().size(), 2u);
    const auto manifest = dir.path("s/nodes/n1/00000000000000000001.manifest");
    std::filesystem::resize_file(manifest, 100);
    auto guess = rig.store().collect_garbage(1, false);
    ASSERT_FALSE(guess.has_value());
    EXPECT_TRUE(guess.error().is(EBADMSG));
    EXPECT_THAT(guess.error().message(), HasSubstr(manifest));
    EXPECT_THAT(rig.store().list().value()[0].damage, HasSubstr("length"));
    EXPECT_THAT(collect(2).dropped, ElementsAre(1)); // dropping a damaged one is fine
    EXPECT_EQ(read_image(rig.store(), 2, 1).value(), pages_from(0, 60, 2));
}

TEST_F(StoreGc, OtherNodesCheckpointsAreLeftAlone) {
    StoreRig other(dir.path("s"));
    other.options.node = "n2";
    other.options.segment_bytes = 256 * kPageSize;
    ASSERT_EQ(message(other.open()), "no error");
    ASSERT_EQ(message(other.checkpoint(1, 1, pages_from(0, 300, 7), true)), "no error");
    ASSERT_EQ(message(other.checkpoint(2, 1, pages_from(0, 300, 8), true)), "no error");
    for (Sn sn = 1; sn <= 3; sn++)
        checkpoint(sn, 1, pages_from(0, 300, sn), true); // the guest moved here
    collect(3);
    EXPECT_EQ(read_image(rig.store(), 3, 1).value(), pages_from(0, 300, 3));
    for (Sn sn : {1, 2})
        EXPECT_EQ(read_image(other.store(), sn, 1).value(), pages_from(0, 300, 6 + sn));
    auto report = other.store().collect_garbage(2, false);
    ASSERT_TRUE(report.has_value());
    EXPECT_GT(report->bytes_freed, 200 * kPageSize);
    EXPECT_EQ(read_image(other.store(), 2, 1).value(), pages_from(0, 300, 8));
    EXPECT_EQ(read_image(rig.store(), 3, 1).value(), pages_from(0, 300, 3));
}

} // namespace
} // namespace ckpt
