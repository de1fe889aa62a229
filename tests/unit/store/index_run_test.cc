// SPDX-License-Identifier: GPL-2.0-only
#include "libckpt/store/index_run.hh"

#include <cmath>

#include "libckpt/base/crc32c.hh"
#include "libckpt/store/record.hh"
#include "tests/unit/store/store_rig.hh"

namespace ckpt {
namespace {

tlckpt_run_entry entry(Pfn pfn, std::uint32_t block) {
    return {page_key(pfn, PageType::normal), 1, block, 0, 0};
}

TEST(Crc32c, KnownValueAndPieces) {
    const auto bytes = std::as_bytes(std::span("123456789", 9));
    EXPECT_EQ(crc32c(bytes), 0xe3069283u);
    EXPECT_EQ(crc32c(bytes.subspan(4), crc32c(bytes.first(4))), 0xe3069283u);
    EXPECT_EQ(crc32c({}), 0u);
}

TEST(IndexRun, SortKeepsTheLastOfEachPage) {
    RunEntries entries{entry(5, 1), entry(2, 2), entry(5, 3), entry(9, 4), entry(2, 5)};
    sort_entries(entries);
    ASSERT_EQ(entries.size(), 3u);
    EXPECT_EQ(key_pfn(entries[0].key), 2u);
    EXPECT_EQ(entries[0].block, 5u);
    EXPECT_EQ(entries[1].block, 3u);
    EXPECT_EQ(entries[2].block, 4u);
}

TEST(IndexRun, MergeTakesTheFirstRunAndKeepsBelowTheLimit) {
    auto newer = std::make_shared<RunEntries>(RunEntries{entry(1, 10), entry(3, 10)});
    auto older = std::make_shared<RunEntries>(
        RunEntries{entry(0, 20), entry(1, 20), entry(4, 20), entry(8, 20)});
    const RunEntries merged =
        merge_runs(std::vector<std::shared_ptr<const RunEntries>>{newer, older}, 8);
    ASSERT_EQ(merged.size(), 4u);
    EXPECT_EQ(merged[1].block, 10u);
    EXPECT_EQ(key_pfn(merged[3].key), 4u);
    EXPECT_TRUE(merge_runs({}, 8).empty());
}

TEST(IndexRun, ListsStayShortAndRewritingCheap) {
    TempDir dir(TempDir::Where::memory);
    const Disk disk = Disk::open(dir.path()).value();
    ASSERT_TRUE(disk.make_dir("guests").has_value());
    GuestFiles files(disk, guest_id(1));
    ASSERT_TRUE(files.prepare().has_value());
    constexpr Pfn kPages = 20000;
    RunEntries all;
    for (Pfn pfn = 0; pfn < kPages; pfn++)
        all.push_back(entry(pfn, 1));
    std::uint64_t bytes = 0;
    RunList list = extend_runs(files, {"n", 1}, {}, all, kPages, bytes).value();
    bytes = 0;
    constexpr unsigned kRounds = 200, kEach = 169;
    for (std::uint32_t round = 0; round < kRounds; round++) {
        RunEntries entries;
        for (Pfn i = 0; i < kEach; i++)
            entries.push_back(entry((round * 977 + i * 31) % kPages, round + 2));
        sort_entries(entries);
        list = extend_runs(files, {"n", 1}, list, entries, kPages, bytes).value();
        ASSERT_LE(list.size(), 8u); // log2(20000 / 169) + 1
        for (std::size_t i = 1; i < list.size(); i++)
            ASSERT_GT(list[i].nr_entries, 2 * list[i - 1].nr_entries);
    }
    // An entry is written about log2(n) times in its life at most.
    const double times = static_cast<double>(bytes) / (kRounds * kEach * sizeof(tlckpt_run_entry));
    EXPECT_LT(times, 14);
    RunCache cache(files);
    const RunEntries image = cache.image(list, kPages).value();
    ASSERT_EQ(image.size(), kPages);
    std::vector<std::uint32_t> newest(kPages, 1);
    for (std::uint32_t round = 0; round < kRounds; round++)
        for (Pfn i = 0; i < kEach; i++)
            newest[(round * 977 + i * 31) % kPages] = round + 2;
    for (Pfn pfn = 0; pfn < kPages; pfn++)
        ASSERT_EQ(image[pfn].block, newest[pfn]) << pfn;
}

} // namespace
} // namespace ckpt
