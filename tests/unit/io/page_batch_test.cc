// SPDX-License-Identifier: GPL-2.0-only
#include "libckpt/io/page_batch.hh"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>
#include <set>
#include <thread>

#include "libckpt/base/clock.hh"

namespace ckpt {
namespace {

std::unique_ptr<PageArena> arena_of(unsigned nr_slots) {
    auto arena = PageArena::create(nr_slots);
    EXPECT_TRUE(arena.has_value());
    return std::move(*arena);
}

TEST(PageArena, RefusesNothing) {
    auto arena = PageArena::create(0);
    ASSERT_FALSE(arena.has_value());
    EXPECT_TRUE(arena.error().is(EINVAL));
}

TEST(PageArena, SlotsAreAlignedDistinctAndComeBack) {
    auto arena = arena_of(3);
    EXPECT_EQ(arena->slots().size(), 3u);
    std::set<std::byte *> seen;
    {
        PageBatch a = arena->get(), b = arena->get(), c = arena->try_get();
        for (PageBatch *batch : {&a, &b, &c}) {
            ASSERT_TRUE(batch->valid());
            EXPECT_EQ(reinterpret_cast<std::uintptr_t>(batch->header().data()) % kPageSize, 0u);
            EXPECT_EQ(batch->header().data(), arena->slots()[batch->slot_index()].data());
            seen.insert(batch->header().data());
        }
        EXPECT_EQ(seen.size(), 3u);
        EXPECT_EQ(arena->nr_free(), 0u);
        EXPECT_FALSE(arena->try_get().valid());
    }
    EXPECT_EQ(arena->nr_free(), 3u);
}

TEST(PageArena, GetWaitsForAFreeBatch) {
    auto arena = arena_of(1);
    PageBatch held = arena->get();
    std::thread giver([&] {
        std::this_thread::sleep_for(std::chrono::milliseconds(20));
        PageBatch gone = std::move(held);
    });
    const auto start = steady_now();
    EXPECT_TRUE(arena->get().valid());
    EXPECT_GE(steady_now() - start, std::chrono::milliseconds(10));
    giver.join();
}

TEST(PageBatch, ContentsLieBackToBackBehindTheHeader) {
    auto arena = arena_of(1);
    PageBatch batch = arena->get();
    std::memset(batch.add(7, PageType::normal), 0x11, kPageSize);
    batch.add_empty(8, PageType::hole);
    std::memset(batch.add(5, static_cast<PageType>(0x9)), 0x22, kPageSize);
    EXPECT_EQ(batch.size(), 3u);
    EXPECT_EQ(batch.nr_contents(), 2u);
    EXPECT_EQ(batch.pfn(1), 8u);
    EXPECT_EQ(batch.type(2), static_cast<PageType>(0x9));
    EXPECT_EQ(batch.data(1), nullptr);
    EXPECT_EQ(batch.header().data() + kPageSize, batch.contents().data());
    EXPECT_EQ(batch.contents().size(), 2 * kPageSize);
    EXPECT_EQ(batch.data(2), batch.contents().data() + kPageSize);
    EXPECT_EQ(*batch.data(0), std::byte{0x11});
    EXPECT_EQ(*batch.data(2), std::byte{0x22});
}

TEST(PageBatch, MovesWithItsPages) {
    auto arena = arena_of(2);
    PageBatch first = arena->get();
    for (Pfn pfn = 0; !first.full(); pfn++)
        if (pfn % 3)
            std::memset(first.add(pfn, PageType::normal), static_cast<int>(pfn), kPageSize);
        else
            first.add_empty(pfn, PageType::allocated_only);
    PageBatch second = std::move(first);
    EXPECT_FALSE(first.valid());
    EXPECT_EQ(first.size(), 0u);
    ASSERT_TRUE(second.full());
    for (std::size_t i = 0; i < second.size(); i++) {
        EXPECT_EQ(second.pfn(i), i);
        ASSERT_EQ(second.data(i) == nullptr, i % 3 == 0);
        if (second.data(i)) {
            EXPECT_EQ(second.data(i)[100], static_cast<std::byte>(i));
        }
    }
    second = arena->get(); // gives its first slot back
    EXPECT_EQ(second.size(), 0u);
    EXPECT_EQ(arena->nr_free(), 1u);
}

TEST(PageBatch, DroppedContentsLeaveNoGap) {
    auto arena = arena_of(1);
    PageBatch batch = arena->get();
    for (Pfn pfn = 0; pfn < 5; pfn++)
        std::memset(batch.add(pfn, PageType::normal), static_cast<int>(pfn), kPageSize);
    batch.drop_contents(4); // the last one
    batch.drop_contents(1);
    EXPECT_EQ(batch.size(), 5u);
    EXPECT_EQ(batch.nr_contents(), 3u);
    std::set<std::size_t> places;
    for (std::size_t i : {0u, 2u, 3u}) {
        ASSERT_NE(batch.data(i), nullptr);
        EXPECT_EQ(batch.data(i)[kPageSize - 1], static_cast<std::byte>(i));
        places.insert(static_cast<std::size_t>(batch.data(i) - batch.contents().data()));
    }
    EXPECT_EQ(places, (std::set<std::size_t>{0, kPageSize, 2 * kPageSize}));
    EXPECT_EQ(batch.data(1), nullptr);
    EXPECT_EQ(batch.data(4), nullptr);
}

TEST(PageBatchDeathTest, FullAndMistypedAreRefused) {
    auto arena = arena_of(1);
    PageBatch batch = arena->get();
    EXPECT_DEATH(batch.add(1, PageType::hole), "assertion failed");
    EXPECT_DEATH(batch.add_empty(1, PageType::normal), "assertion failed");
    while (!batch.full())
        batch.add_empty(1, PageType::hole);
    EXPECT_DEATH(batch.add_empty(2, PageType::hole), "assertion failed");
}

} // namespace
} // namespace ckpt
