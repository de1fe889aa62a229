// SPDX-License-Identifier: GPL-2.0-only
// Cost of the dirty-page cache per page visit, 1 M pages of guest memory. A
// visit is a page of a round taken in, or a page the hand looks at. And what
// the idle-age rule does to workloads: writes per distinct page, pages left.
#include "libckpt/cache/dirty_cache.hh"

#include <algorithm>
#include <random>
#include <vector>

#include <benchmark/benchmark.h>

namespace ckpt {
namespace {

constexpr Pfn kPages = 1 << 20;

PageSet random_pages(std::uint64_t count, unsigned seed) {
    std::mt19937_64 random(seed);
    PageSet set(kPages);
    while (count > 0) {
        Pfn pfn = random() % kPages;
        if (!set.contains(pfn)) {
            set.insert(pfn);
            count--;
        }
    }
    return set;
}

void per_page(benchmark::State &state, std::uint64_t visits_per_iteration) {
    state.counters["ns_per_page"] = benchmark::Counter(
        static_cast<double>(visits_per_iteration) * 1e-9,
        benchmark::Counter::kIsIterationInvariantRate | benchmark::Counter::kInvert);
}

// Rounds of `range` pages out of 1 M, scattered, into a cache that holds all.
void BM_TakeIn(benchmark::State &state) {
    auto count = static_cast<std::uint64_t>(state.range(0));
    DirtyCache cache(kPages, {kPages, kPages, 2}, make_clock_policy(kPages));
    PageSet replaced(kPages), rounds[] = {random_pages(count, 1), random_pages(count, 2)};
    for (unsigned i = 0; auto _ : state)
        cache.round(rounds[i++ % 2], replaced);
    per_page(state, count);
}
BENCHMARK(BM_TakeIn)->Arg(10'000)->Arg(100'000)->Arg(1 << 20)->Unit(benchmark::kMillisecond);

// 1 M pages cached, all too young: the hand looks at every one and takes none.
void BM_HandFindsNothing(benchmark::State &state) {
    auto policy = make_clock_policy(kPages);
    PageSet cached(kPages), replaced(kPages);
    std::fill(cached.words().begin(), cached.words().end(), ~std::uint64_t{0});
    policy->note_round(cached);
    for (auto _ : state)
        benchmark::DoNotOptimize(policy->replace(cached, kPages, 1, replaced));
    per_page(state, kPages);
}
BENCHMARK(BM_HandFindsNothing)->Unit(benchmark::kMillisecond);

// 1 M pages cached, every second one idle and replaced.
void BM_HandReplacesHalf(benchmark::State &state) {
    auto policy = make_clock_policy(kPages);
    PageSet all(kPages), half(kPages), replaced(kPages);
    std::fill(all.words().begin(), all.words().end(), ~std::uint64_t{0});
    std::fill(half.words().begin(), half.words().end(), 0x5555555555555555u);
    policy->note_round(all);
    policy->note_round(half);
    for (auto _ : state) {
        PageSet cached = all;
        benchmark::DoNotOptimize(policy->replace(cached, kPages, 1, replaced));
    }
    per_page(state, kPages);
}
BENCHMARK(BM_HandReplacesHalf)->Unit(benchmark::kMillisecond);

enum Workload { zipf, hot_and_sweep, phases, cyclic };

// Page i-th written by the workload; `skewed` is a table of zipf draws.
Pfn page_of(Workload workload, std::uint64_t i, std::mt19937_64 &random,
            const std::vector<Pfn> &skewed) {
    switch (workload) {
    case zipf:
        return skewed[random() % skewed.size()];
    case hot_and_sweep: // 95 % in 2 k hot pages, the rest goes through memory
        return random() % 20 ? random() % 2048 : 2048 + i / 20;
    case phases: // 4 k pages, another 4 k after each tenth
        return i / 100'000 * 4096 + random() % 4096;
    case cyclic:
        return i % 20'000;
    }
    return 0;
}

std::vector<Pfn> zipf_table() {
    std::vector<Pfn> table;
    for (Pfn rank = 1; table.size() < 1'000'000; rank++)
        table.insert(table.end(),
                     static_cast<std::size_t>(80'000.0 / static_cast<double>(rank)) + 1, rank - 1);
    return table;
}

// One interval of 1 M page writes, a round every 10 000: field figures to read
// beside those of other policies. k = range(1); the cache has room enough.
void BM_Interval(benchmark::State &state) {
    auto workload = static_cast<Workload>(state.range(0));
    static const std::vector<Pfn> skewed = zipf_table();
    double writes_per_page = 0, left = 0;
    for (auto _ : state) {
        std::mt19937_64 random(1);
        DirtyCache cache(kPages, {0, kPages, static_cast<unsigned>(state.range(1))},
                         make_clock_policy(kPages));
        PageSet distinct(kPages), round(kPages), replaced(kPages);
        std::uint64_t early = 0;
        for (std::uint64_t i = 0; i < 1'000'000; i++) {
            round.insert(page_of(workload, i, random, skewed));
            if (i % 10'000 != 9'999)
                continue;
            cache.round(round, replaced);
            distinct.merge(round);
            early += replaced.count();
            round.clear();
            replaced.clear();
        }
        left = static_cast<double>(cache.size());
        writes_per_page =
            (static_cast<double>(early) + left) / static_cast<double>(distinct.count());
    }
    state.counters["writes_per_page"] = writes_per_page;
    state.counters["left_to_pause"] = left;
}
BENCHMARK(BM_Interval)
    ->ArgNames({"workload", "k"})
    ->ArgsProduct({{zipf, hot_and_sweep, phases, cyclic}, {1, 2, 4}})
    ->Iterations(1)
    ->Unit(benchmark::kMillisecond);

} // namespace
} // namespace ckpt

BENCHMARK_MAIN();
