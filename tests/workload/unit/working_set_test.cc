// SPDX-License-Identifier: GPL-2.0-only
#include "tests/workload/working_set.hh"

#include <set>

#include <gtest/gtest.h>

namespace ckpt::workload {
namespace {

WorkingSet make(std::uint64_t seed = 7) {
    WorkingSetOptions options;
    options.seed = seed;
    options.pages = 100;
    auto set = WorkingSet::create(options);
    EXPECT_TRUE(set.has_value());
    return std::move(*set);
}

TEST(WorkingSet, IsGoodAfterAnyNumberOfWrites) {
    WorkingSet set = make();
    for (int i = 0; i < 5000; i++)
        set.write_one();
    set.verify_all();
    EXPECT_TRUE(set.good());
    EXPECT_EQ(set.step(), 5000U);
    EXPECT_EQ(set.verified(), 100U);
}

TEST(WorkingSet, DigestFollowsFromSeedAndStepAlone) {
    WorkingSet a = make(), b = make(), other = make(8);
    std::set<std::uint64_t> digests;
    for (int i = 0; i < 200; i++) {
        a.write_one();
        b.write_one();
        other.write_one();
        digests.insert(a.digest());
        EXPECT_EQ(a.digest(), b.digest());
        EXPECT_NE(a.digest(), other.digest());
    }
    EXPECT_EQ(digests.size(), 200U);
}

struct Damage {
    const char *asked;
    const char *found;
};

TEST(WorkingSet, NamesEachKindOfDamage) {
    for (const Damage damage : {Damage{"torn", "torn"}, Damage{"stale", "stale"},
                                Damage{"foreign", "foreign"}}) {
        WorkingSet set = make();
        for (int i = 0; i < 300; i++)
            set.write_one();
        ASSERT_TRUE(set.damage(3, damage.asked));
        set.verify_all();
        EXPECT_FALSE(set.good());
        ASSERT_EQ(set.nr_bad(), 1U) << damage.asked;
        EXPECT_EQ(set.bad()[0].page, 3U);
        EXPECT_STREQ(set.bad()[0].kind, damage.found);
    }
}

// A page and its entry in the table both of an earlier state agree with each other, not with
// the digest.
TEST(WorkingSet, DigestShowsWhatPagesCannot) {
    WorkingSet set = make();
    set.write_one();
    set.damage(3, "stale");
    set.verify_all();
    EXPECT_FALSE(set.digest_matches());
}

TEST(WorkingSet, VerifiesInSlices) {
    WorkingSet set = make();
    set.damage(99, "torn");
    set.verify_some(99);
    EXPECT_TRUE(set.good());
    set.verify_some(1);
    EXPECT_FALSE(set.good());
    set.verify_some(100);
    EXPECT_EQ(set.nr_bad(), 2U) << "the slices go round";
}

TEST(WorkingSet, RefusesNonsense) {
    WorkingSetOptions options;
    options.pages = 1;
    EXPECT_FALSE(WorkingSet::create(options).has_value());
    options.pages = 10;
    options.hot_writes = 101;
    EXPECT_FALSE(WorkingSet::create(options).has_value());
    WorkingSet set = make();
    EXPECT_FALSE(set.damage(100, "torn"));
    EXPECT_FALSE(set.damage(0, "bent"));
}

} // namespace
} // namespace ckpt::workload
