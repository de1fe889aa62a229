// SPDX-License-Identifier: GPL-2.0-only
#include "libckpt/cache/dirty_cache.hh"

#include <map>
#include <random>

#include <gtest/gtest.h>

namespace ckpt {
namespace {

PageSet pages(Pfn limit, std::initializer_list<Pfn> members) {
    PageSet set(limit);
    for (Pfn pfn : members)
        set.insert(pfn);
    return set;
}

DirtyCache make_cache(Pfn limit, const DirtyCacheLimits &limits) {
    return DirtyCache(limit, limits, make_clock_policy(limit));
}

TEST(DirtyCache, KeepsEverythingUpToTheTarget) {
    DirtyCache cache = make_cache(1000, {.target_pages = 4, .max_pages = 8, .idle_rounds = 1});
    PageSet replaced(1000);
    cache.round(pages(1000, {1, 2}), replaced);
    for (int i = 0; i < 10; i++)
        cache.round(pages(1000, {998, 999}), replaced);
    EXPECT_EQ(cache.size(), 4u);
    EXPECT_TRUE(replaced.empty());
}

TEST(DirtyCache, ReplacesTheIdleOnesOnlyAboveTheTarget) {
    DirtyCache cache = make_cache(1000, {.target_pages = 4, .max_pages = 100, .idle_rounds = 2});
    PageSet replaced(1000);
    cache.round(pages(1000, {1, 2, 3, 4}), replaced);
    cache.round(pages(1000, {3, 10, 11}), replaced); // 1, 2, 4 idle for one round: too young
    EXPECT_EQ(cache.size(), 6u);
    EXPECT_TRUE(replaced.empty());
    cache.round(pages(1000, {10, 11}), replaced); // now two rounds
    EXPECT_EQ(cache.size(), 4u);
    EXPECT_EQ(replaced.count(), 2u);
    EXPECT_FALSE(replaced.contains(3) || replaced.contains(10) || replaced.contains(11));
}

TEST(DirtyCache, ShrinkTakesTheLongestIdleFirst) {
    DirtyCache cache = make_cache(1000, {.target_pages = 100, .max_pages = 100, .idle_rounds = 2});
    PageSet replaced(1000);
    for (Pfn pfn : {500, 400, 300, 200, 100})
        cache.round(pages(1000, {pfn}), replaced);
    cache.shrink(2, replaced);
    EXPECT_TRUE(cache.pages().contains(100) && cache.pages().contains(200));
    cache.shrink(0, replaced);
    EXPECT_EQ(cache.size(), 0u);
    EXPECT_EQ(replaced.count(), 5u);
}

TEST(DirtyCache, ShrinkIdleSparesWhatTheLatestRoundFound) {
    DirtyCache cache = make_cache(1000, {.target_pages = 100, .max_pages = 100, .idle_rounds = 2});
    PageSet replaced(1000);
    cache.round(pages(1000, {1, 2, 3, 4}), replaced);
    cache.round(pages(1000, {3, 10, 11}), replaced);
    cache.shrink_idle(5, replaced);
    EXPECT_EQ(cache.size(), 5u);
    EXPECT_EQ(replaced.count(), 1u);
    cache.shrink_idle(0, replaced);
    EXPECT_EQ(cache.size(), 3u);
    EXPECT_EQ(replaced.count(), 3u);
    EXPECT_FALSE(replaced.contains(3) || replaced.contains(10) || replaced.contains(11));
}

TEST(DirtyCache, ARoundAboveTheMaximumIsCutDown) {
    DirtyCache cache = make_cache(4096, {.target_pages = 10, .max_pages = 100, .idle_rounds = 3});
    PageSet all(4096), replaced(4096);
    for (Pfn pfn = 0; pfn < 4096; pfn++)
        all.insert(pfn);
    cache.round(all, replaced);
    EXPECT_EQ(cache.size(), 100u);
    EXPECT_EQ(replaced.count(), 4096u - 100u);
}

// A loop over twice the target: capacity alone would write every page at every
// turn (50 times in 50 turns), the idle-age rule writes none of them.
TEST(DirtyCache, AHotLoopAboveTheTargetDoesNotThrash) {
    DirtyCache cache =
        make_cache(20'000, {.target_pages = 10'000, .max_pages = 20'000, .idle_rounds = 2});
    PageSet replaced(20'000);
    for (unsigned turn = 0; turn < 100; turn++) {
        PageSet half(20'000);
        for (Pfn pfn = 0; pfn < 10'000; pfn++)
            half.insert(turn % 2 * 10'000 + pfn);
        cache.round(half, replaced);
    }
    EXPECT_TRUE(replaced.empty());
    EXPECT_EQ(cache.size(), 20'000u);
}

// Against plain counting: nothing is lost or doubled, the bounds and the age
// rule hold, whatever comes.
TEST(DirtyCache, RandomRoundsKeepTheRules) {
    for (unsigned seed = 1; seed <= 200; seed++) {
        std::mt19937 random(seed);
        auto below = [&](unsigned n) { return static_cast<unsigned>(random() % n); };
        Pfn limit = 1 + below(500);
        DirtyCacheLimits limits{.target_pages = below(60), .idle_rounds = 1 + below(4)};
        limits.max_pages = limits.target_pages + below(100);
        DirtyCache cache = make_cache(limit, limits);
        std::map<Pfn, unsigned> model; // page -> round it was last dirtied in
        for (unsigned round = 1; round <= 50; round++) {
            PageSet dirtied(limit), replaced(limit);
            for (unsigned i = below(80); i > 0; i--) {
                Pfn pfn = below(static_cast<unsigned>(limit));
                dirtied.insert(pfn);
                model[pfn] = round;
            }
            std::uint64_t before = model.size();
            cache.round(dirtied, replaced);
            std::uint64_t idle_left = 0;
            bool forced = false;
            replaced.for_each([&](Pfn pfn) {
                ASSERT_EQ(model.count(pfn), 1u) << "seed " << seed;
                forced |= round - model[pfn] < limits.idle_rounds;
                model.erase(pfn);
            });
            for (auto [pfn, last] : model) {
                ASSERT_TRUE(cache.pages().contains(pfn)) << "seed " << seed;
                idle_left += round - last >= limits.idle_rounds;
            }
            ASSERT_EQ(cache.size(), model.size()) << "seed " << seed;
            ASSERT_EQ(cache.size(), cache.pages().count());
            ASSERT_LE(cache.size(), limits.max_pages);
            ASSERT_TRUE(cache.size() <= limits.target_pages || idle_left == 0) << "seed " << seed;
            ASSERT_TRUE(!forced || (before > limits.max_pages && idle_left == 0))
                << "seed " << seed;
            ASSERT_TRUE(replaced.empty() || cache.size() >= limits.target_pages);
        }
    }
}

} // namespace
} // namespace ckpt
