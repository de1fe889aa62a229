// SPDX-License-Identifier: GPL-2.0-only
#include "libckpt/store/index_run.hh"

#include <algorithm>
#include <cstring>

#include "libckpt/base/clock.hh"
#include "libckpt/store/block.hh"
#include "libckpt/store/record.hh"

namespace ckpt {

namespace {

bool by_pfn(const tlckpt_run_entry &a, const tlckpt_run_entry &b) {
    return key_pfn(a.key) < key_pfn(b.key);
}

std::uint64_t blocks_for(std::uint64_t nr_entries) {
    return (nr_entries + TLCKPT_RUN_BLOCK_ENTRIES - 1) / TLCKPT_RUN_BLOCK_ENTRIES;
}

std::vector<std::byte> encode(const GuestFiles &files, const Producer &producer, std::uint32_t id,
                              std::span<const tlckpt_run_entry> entries) {
    tlckpt_run header{};
    std::memcpy(header.guest, files.guest().bytes.data(), sizeof header.guest);
    header.id = id;
    header.incarnation = producer.incarnation;
    header.nr_entries = entries.size();
    header.created_ns = wall_clock_ns();
    put_text(header.node, producer.node);
    seal_block(header, TLCKPT_MAGIC_RUN);
    std::vector<std::byte> bytes(sizeof header + blocks_for(entries.size()) * TLCKPT_BLOCK);
    std::memcpy(bytes.data(), &header, sizeof header);
    tlckpt_run_block block;
    for (std::uint64_t number = 0; !entries.empty(); number++) {
        const auto part = entries.first(
            std::min<std::size_t>(entries.size(), TLCKPT_RUN_BLOCK_ENTRIES));
        block = {};
        block.run = id;
        block.nr_entries = static_cast<std::uint32_t>(part.size());
        block.number = number;
        std::ranges::copy(part, block.entries);
        seal_block(block, TLCKPT_MAGIC_RUN_BLOCK);
        std::memcpy(bytes.data() + sizeof header + number * TLCKPT_BLOCK, &block, sizeof block);
        entries = entries.subspan(part.size());
    }
    return bytes;
}

// Appends a block's entries, which go on where `entries` ends.
Status decode_block(std::span<const std::byte> bytes, std::string_view where, std::uint32_t id,
                    std::uint64_t number, std::uint32_t nr_expected, RunEntries &entries) {
    tlckpt_run_block block;
    std::memcpy(&block, bytes.data(), sizeof block);
    CKPT_CHECK(check_block(block, TLCKPT_MAGIC_RUN_BLOCK, where));
    if (block.run != id || block.number != number || block.nr_entries != nr_expected)
        return fail(EBADMSG, "{}: belongs elsewhere", where);
    for (std::uint32_t i = 0; i < block.nr_entries; i++) {
        if (!entries.empty() && !by_pfn(entries.back(), block.entries[i]))
            return fail(EBADMSG, "{}: entries out of order", where);
        entries.push_back(block.entries[i]);
    }
    return {};
}

} // namespace

void sort_entries(RunEntries &entries) {
    if (!std::ranges::is_sorted(entries, by_pfn))
        std::ranges::stable_sort(entries, by_pfn);
    std::size_t kept = 0;
    for (std::size_t i = 0; i < entries.size(); i++)
        if (i + 1 == entries.size() || by_pfn(entries[i], entries[i + 1]))
            entries[kept++] = entries[i];
    entries.resize(kept);
}

Result<tlckpt_item_run> write_run(GuestFiles &files, const Producer &producer,
                                  std::span<const tlckpt_run_entry> entries) {
    std::uint32_t id = 0;
    Fd fd = CKPT_TRY(files.create(GuestFiles::Kind::run, id));
    const std::string path = files.run(id);
    Status status = files.disk().write(fd.get(), path, 0, encode(files, producer, id, entries));
    if (status.has_value())
        status = files.disk().sync(fd.get(), path);
    if (!status.has_value()) {
        (void)files.disk().remove(path);
        return tl::unexpected(std::move(status).error());
    }
    return tlckpt_item_run{id, 0, entries.size()};
}

Result<RunEntries> read_run(const GuestFiles &files, const tlckpt_item_run &run,
                            std::uint64_t *bad_at) {
    std::uint64_t offset = 0;
    std::uint64_t &at = bad_at ? *bad_at : offset;
    at = 0;
    const std::string path = files.run(run.id);
    const std::string name = files.disk().full_path(path);
    const auto bytes = CKPT_TRY(files.disk().read(path));
    tlckpt_run header;
    const std::uint64_t nr_blocks = blocks_for(run.nr_entries);
    if (bytes.size() / TLCKPT_BLOCK < 1 + nr_blocks)
        return fail(EBADMSG, "{}: has {} bytes, {} entries need {}", name, bytes.size(),
                    run.nr_entries, (1 + nr_blocks) * TLCKPT_BLOCK);
    std::memcpy(&header, bytes.data(), sizeof header);
    CKPT_CHECK(check_block(header, TLCKPT_MAGIC_RUN, name + ": at 0"));
    if (header.id != run.id || header.nr_entries != run.nr_entries ||
        std::memcmp(header.guest, files.guest().bytes.data(), sizeof header.guest) != 0)
        return fail(EBADMSG, "{}: at 0: belongs elsewhere", name);
    RunEntries entries;
    entries.reserve(run.nr_entries);
    for (std::uint64_t number = 0; number < nr_blocks; number++) {
        at = (1 + number) * TLCKPT_BLOCK;
        const auto expected = static_cast<std::uint32_t>(
            std::min<std::uint64_t>(run.nr_entries - entries.size(), TLCKPT_RUN_BLOCK_ENTRIES));
        CKPT_CHECK(decode_block(std::span(bytes).subspan(at, TLCKPT_BLOCK),
                                fmt::format("{}: at {}", name, at), run.id, number, expected,
                                entries));
    }
    return entries;
}

RunEntries merge_runs(std::span<const std::shared_ptr<const RunEntries>> runs, Pfn pfn_limit) {
    struct Cursor {
        const tlckpt_run_entry *at, *end;
    };
    std::vector<Cursor> cursors;
    std::size_t most = 0;
    for (const auto &run : runs) {
        most += run->size();
        cursors.push_back({run->data(), run->data() + run->size()});
    }
    RunEntries merged;
    merged.reserve(most);
    for (;;) {
        // Few runs, sharply growing: looking at each beats a heap.
        Pfn next = pfn_limit;
        const tlckpt_run_entry *winner = nullptr;
        for (const Cursor &cursor : cursors)
            if (cursor.at != cursor.end && key_pfn(cursor.at->key) < next) {
                winner = cursor.at;
                next = key_pfn(winner->key);
            }
        if (!winner)
            return merged;
        merged.push_back(*winner);
        for (Cursor &cursor : cursors)
            if (cursor.at != cursor.end && key_pfn(cursor.at->key) == next)
                cursor.at++;
    }
}

Result<RunList> extend_runs(GuestFiles &files, const Producer &producer, const RunList &base,
                            RunEntries entries, Pfn pfn_limit, std::uint64_t &bytes) {
    std::size_t merged = 0;
    if (!entries.empty()) {
        // How far the merge goes is known from the lengths alone, so that it is
        // one merge and one write.
        std::vector<std::shared_ptr<const RunEntries>> sources;
        std::uint64_t length = entries.size();
        sources.push_back(std::make_shared<RunEntries>(std::move(entries)));
        for (; merged < base.size() && base[merged].nr_entries <= 2 * length; merged++) {
            length += base[merged].nr_entries;
            sources.push_back(
                std::make_shared<RunEntries>(CKPT_TRY(read_run(files, base[merged]))));
        }
        entries = merge_runs(sources, pfn_limit);
    }
    RunList list;
    if (!entries.empty()) {
        list.push_back(CKPT_TRY(write_run(files, producer, entries)));
        bytes += (1 + blocks_for(entries.size())) * TLCKPT_BLOCK;
    }
    list.insert(list.end(), base.begin() + static_cast<std::ptrdiff_t>(merged), base.end());
    return list;
}

Result<std::shared_ptr<const RunEntries>> RunCache::get(const tlckpt_item_run &run) {
    for (const Loaded &loaded : loaded_)
        if (loaded.id == run.id)
            return loaded.entries;
    auto entries = std::make_shared<const RunEntries>(CKPT_TRY(read_run(files_, run)));
    loaded_.push_back({run.id, entries});
    return entries;
}

Result<RunEntries> RunCache::image(const RunList &runs, Pfn pfn_limit) {
    std::erase_if(loaded_, [&](const Loaded &loaded) {
        return std::ranges::none_of(runs, [&](auto &run) { return run.id == loaded.id; });
    });
    std::vector<std::shared_ptr<const RunEntries>> sources;
    for (const tlckpt_item_run &run : runs)
        sources.push_back(CKPT_TRY(get(run)));
    return merge_runs(sources, pfn_limit);
}

} // namespace ckpt
