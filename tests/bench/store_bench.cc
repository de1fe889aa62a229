// SPDX-License-Identifier: GPL-2.0-only
// Throughput of the whole write path: pages copied into batches, checksums,
// io_uring, flush, commit. Prints one line of JSON.
//
//   store-bench DIRECTORY MIB
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <random>

#include "libckpt/store/page_store.hh"

namespace {

using namespace ckpt;

constexpr unsigned kBatches = 32;
constexpr std::size_t kSourcePages = 8192; // pages are copied out of these

double cpu_seconds(clockid_t clock) {
    timespec time{};
    ::clock_gettime(clock, &time);
    return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_nsec) / 1e9;
}

double since(SteadyTime start) {
    return std::chrono::duration<double>(steady_now() - start).count();
}

Status run(const std::string &directory, std::uint64_t nr_pages) {
    std::vector<std::uint64_t> source(kSourcePages * kPageSize / 8);
    std::mt19937_64 random(1);
    for (std::uint64_t &word : source)
        word = random();
    auto arena = CKPT_TRY(PageArena::create(kBatches));
    StoreOptions options;
    options.directory = directory;
    options.node = "bench";
    options.incarnation = 1;
    options.arena = arena.get();
    options.create = true;
    auto store = CKPT_TRY(PageStore::open(options));
    std::vector<std::unique_ptr<GuestWriter>> parts;
    parts.push_back(CKPT_TRY(store->begin_guest(Uuid())));

    const auto start = steady_now();
    const double own_before = cpu_seconds(CLOCK_THREAD_CPUTIME_ID);
    const double all_before = cpu_seconds(CLOCK_PROCESS_CPUTIME_ID);
    for (Pfn pfn = 0; pfn < nr_pages;) {
        PageBatch batch = arena->get();
        for (; pfn < nr_pages && !batch.full(); pfn++)
            std::memcpy(batch.add(pfn, PageType::normal),
                        source.data() + pfn % kSourcePages * (kPageSize / 8), kPageSize);
        CKPT_CHECK(parts[0]->write(std::move(batch)));
    }
    const double queued = since(start);
    GuestEntry entry;
    entry.full = true;
    entry.pfn_limit = nr_pages;
    CKPT_CHECK(parts[0]->seal({}, entry));
    const double sealed = since(start);
    Manifest manifest;
    manifest.sn = 1;
    CKPT_CHECK(store->commit(manifest, parts));
    const double total = since(start);
    const double all = cpu_seconds(CLOCK_PROCESS_CPUTIME_ID) - all_before;
    const double own = cpu_seconds(CLOCK_THREAD_CPUTIME_ID) - own_before;
    const auto pages = static_cast<double>(nr_pages);
    std::printf("{\"mb_per_s\": %.1f, \"queued_s\": %.3f, \"seal_s\": %.3f, \"commit_s\": %.3f, "
                "\"copy_ns_per_page\": %.0f, \"io_ns_per_page\": %.0f}\n",
                pages * static_cast<double>(kPageSize) / total / 1e6, queued, sealed - queued,
                total - sealed, own / pages * 1e9, (all - own) / pages * 1e9);
    return {};
}

} // namespace

int main(int argc, char **argv) {
    if (argc != 3) {
        std::fprintf(stderr, "usage: store-bench DIRECTORY MIB\n");
        return 2;
    }
    const Status status = run(argv[1], std::strtoull(argv[2], nullptr, 10) << 8);
    if (!status.has_value())
        std::fprintf(stderr, "store-bench: %s\n", status.error().message().c_str());
    return status.has_value() ? 0 : 1;
}
