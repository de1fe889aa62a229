// SPDX-License-Identifier: GPL-2.0-only
#include "libckpt/store/verify.hh"

#include <algorithm>
#include <cstring>
#include <optional>

#include "libckpt/base/crc32c.hh"
#include "libckpt/store/block.hh"
#include "libckpt/store/page_reader.hh"
#include "libckpt/store/record.hh"

namespace ckpt {

Status GuestVerifier::verify() {
    check_runs();
    live_ = CKPT_TRY(LiveMap::of(files_, readable_));
    const std::vector<std::uint32_t> segments = live_.segments();
    for (std::size_t at = 0; at < segments.size(); at += kWindow)
        CKPT_CHECK(check_segments({segments.begin() + static_cast<std::ptrdiff_t>(at),
                                   segments.begin() + static_cast<std::ptrdiff_t>(std::min(
                                                          at + kWindow, segments.size()))}));
    check_states();
    return name_checkpoints();
}

std::size_t GuestVerifier::add_damage(std::string file, std::uint64_t offset, std::string what,
                                      std::set<Sn> checkpoints) {
    const std::size_t number = report_.damages.size();
    report_.damages.push_back({std::move(file), offset, std::move(what), {}});
    unusable_[number] = std::move(checkpoints);
    return number;
}

void GuestVerifier::add_bad_block(std::uint32_t segment, std::uint32_t block, std::size_t damage) {
    bad_blocks_.emplace(Block(segment, block), damage);
}

void GuestVerifier::check_runs() {
    std::map<std::uint32_t, std::set<Sn>> users;
    for (const ImageRef &image : images_)
        for (const tlckpt_item_run &run : image.storage.runs) {
            runs_[run.id] = run;
            users[run.id].insert(image.sn);
        }
    for (const auto &[id, sns] : users) {
        std::uint64_t bad_at = 0;
        auto entries = read_run(files_, runs_[id], &bad_at);
        if (entries.has_value()) {
            report_.bytes += entries->size() * sizeof(tlckpt_run_entry);
            report_.records++;
            continue;
        }
        add_damage(files_.run(id), bad_at, entries.error().message(), sns);
        runs_.erase(id);
    }
    for (const ImageRef &image : images_)
        if (std::ranges::all_of(image.storage.runs,
                                [this](const auto &run) { return runs_.contains(run.id); }))
            readable_.push_back(image);
}

Status GuestVerifier::check_segments(const std::vector<std::uint32_t> &segments) {
    RunEntries entries;
    for (const auto &[id, run] : runs_)
        for (const tlckpt_run_entry &entry : CKPT_TRY(read_run(files_, run)))
            if (key_stored(entry.key) && std::ranges::binary_search(segments, entry.segment) &&
                live_.contains(entry.segment, entry.block))
                entries.push_back(entry);
    sort_by_place(entries);
    std::span<const tlckpt_run_entry> rest = entries;
    for (std::uint32_t id : segments) {
        const auto end = std::ranges::find_if(
            rest, [id](const tlckpt_run_entry &entry) { return entry.segment != id; });
        const auto count = static_cast<std::size_t>(end - rest.begin());
        CKPT_CHECK(check_segment(id, rest.first(count)));
        rest = rest.subspan(count);
    }
    return {};
}

// Walks from record to record. Where no sound record begins, goes on block by
// block until one does, and checks what is live in between by the index alone.
Status GuestVerifier::check_segment(std::uint32_t id, std::span<const tlckpt_run_entry> entries) {
    const std::string path = files_.segment(id);
    const std::uint32_t end = live_.end(id);
    auto fd = files_.disk().open_read(path);
    std::vector<std::byte> room((1 + TLCKPT_RECORD_CAPACITY) * TLCKPT_BLOCK);
    std::uint32_t block = 1, uncovered = 1;
    std::optional<std::uint32_t> missing_from;
    auto read = [&](std::uint32_t from, std::uint32_t n) -> std::span<const std::byte> {
        const std::span part = std::span(room).first(std::size_t{n} * TLCKPT_BLOCK);
        if (!fd.has_value() ||
            !read_at(fd->get(), path, std::uint64_t{from} * TLCKPT_BLOCK, part).has_value())
            return {};
        return part;
    };
    if (const std::span head = read(0, 1); head.empty())
        missing_from = 0;
    else if (auto status = check_block(head, TLCKPT_MAGIC_SEGMENT, path + ": at 0");
             !status.has_value())
        add_damage(path, 0, status.error().message() + " (its pages are found by the index)");
    while (block < end && !missing_from) {
        const std::span head = read(block, 1);
        if (head.empty()) {
            missing_from = block;
            break;
        }
        tlckpt_record record;
        std::memcpy(&record, head.data(), sizeof record);
        if (!ckpt::check_record(record, {files_.guest(), id, block}, path).has_value()) {
            block++;
            CKPT_CHECK(advance_(TLCKPT_BLOCK));
            continue;
        }
        CKPT_CHECK(check_uncovered(id, uncovered, block, entries));
        report_.records++;
        // Collection may have cut dead pages off at the segment's end.
        const std::uint32_t wanted =
            std::min(record.nr_blocks, end > block + 1 ? end - block - 1 : 0);
        if (record.type == TLCKPT_RECORD_PAGES) {
            const std::span contents = read(block + 1, wanted);
            if (contents.empty() && wanted > 0) {
                missing_from = block + 1;
                break;
            }
            CKPT_CHECK(check_record(id, block, record, contents, entries));
        }
        CKPT_CHECK(advance_((1 + std::uint64_t{wanted}) * TLCKPT_BLOCK));
        block += 1 + record.nr_blocks;
        uncovered = block;
    }
    if (!missing_from)
        return check_uncovered(id, uncovered, end, entries);
    CKPT_CHECK(check_uncovered(id, uncovered, *missing_from, entries));
    std::string what = fmt::format("segment ends before block {}, {} live blocks are missing", end,
                                   live_.between(id, *missing_from, end).size());
    if (!fd.has_value())
        what = fd.error().message();
    const std::size_t damage =
        add_damage(path, std::uint64_t{*missing_from} * TLCKPT_BLOCK, std::move(what));
    for (std::uint32_t bad : live_.between(id, *missing_from, end))
        add_bad_block(id, bad, damage);
    return {};
}

Status GuestVerifier::check_record(std::uint32_t id, std::uint32_t block,
                                   const tlckpt_record &record,
                                   std::span<const std::byte> contents,
                                   std::span<const tlckpt_run_entry> entries) {
    auto entry = std::ranges::lower_bound(entries, block, {}, &tlckpt_run_entry::block);
    for (std::uint32_t i = 0; i < contents.size() / TLCKPT_BLOCK; i++) {
        const std::uint32_t at = block + 1 + i;
        if (!live_.contains(id, at))
            continue;
        const std::uint64_t offset = std::uint64_t{at} * TLCKPT_BLOCK;
        const auto page = contents.subspan(std::size_t{i} * TLCKPT_BLOCK, TLCKPT_BLOCK);
        const Pfn pfn = key_pfn(record.keys[i]);
        if (crc32c(page) != record.crcs[i])
            add_bad_block(id, at, add_damage(files_.segment(id), offset,
                                             fmt::format("page {:#x}: checksum differs", pfn)));
        while (entry != entries.end() && entry->block < at)
            entry++;
        // Several runs may have the page; all must say the same.
        for (auto same = entry; same != entries.end() && same->block == at; same++)
            if (same->key != record.keys[i] || same->crc != record.crcs[i]) {
                add_bad_block(id, at,
                              add_damage(files_.segment(id), offset,
                                         fmt::format("page {:#x}: the index says page {:#x}, or "
                                                     "another checksum",
                                                     pfn, key_pfn(same->key))));
                break;
            }
    }
    return {};
}

// Live blocks that no sound record covers: the record's header is damaged. The
// pages may be sound all the same; the index knows their checksums.
Status GuestVerifier::check_uncovered(std::uint32_t id, std::uint32_t from, std::uint32_t to,
                                      std::span<const tlckpt_run_entry> entries) {
    const std::vector<std::uint32_t> blocks = live_.between(id, from, to);
    if (blocks.empty())
        return {};
    const std::string path = files_.segment(id);
    const std::uint64_t offset = std::uint64_t{from} * TLCKPT_BLOCK;
    if (std::ranges::none_of(images_, [&](const ImageRef &image) {
            return image.storage.state.segment == id && image.storage.state.block >= from &&
                   image.storage.state.block < to;
        }))
        add_damage(path, offset, "record header damaged (its pages are found by the index)");
    auto first = std::ranges::lower_bound(entries, from, {}, &tlckpt_run_entry::block);
    auto last = std::ranges::lower_bound(entries, to, {}, &tlckpt_run_entry::block);
    for (; first != last; first++) {
        const std::span one(&*first, 1);
        auto status = read_pages(files_, one, [](auto, auto) { return Status(); });
        if (!status.has_value() && !bad_blocks_.contains({id, first->block}))
            add_bad_block(id, first->block,
                          add_damage(path, std::uint64_t{first->block} * TLCKPT_BLOCK,
                                     status.error().message()));
    }
    return {};
}

void GuestVerifier::check_states() {
    for (const ImageRef &image : images_) {
        const tlckpt_item_state &state = image.storage.state;
        const std::string path = files_.segment(state.segment);
        auto check = [&]() -> Status {
            Fd fd = CKPT_TRY(files_.disk().open_read(path));
            CKPT_TRY(read_state_record(fd.get(), path,
                                       {files_.guest(), state.segment, state.block}));
            return {};
        };
        if (Status status = check(); !status.has_value())
            add_damage(path, std::uint64_t{state.block} * TLCKPT_BLOCK, status.error().message(),
                       {image.sn});
        else
            report_.records++;
    }
}

Status GuestVerifier::name_checkpoints() {
    RunCache runs(files_);
    for (const ImageRef &image : readable_) {
        if (bad_blocks_.empty())
            break;
        for (const tlckpt_run_entry &entry :
             CKPT_TRY(runs.image(image.storage.runs, image.pfn_limit))) {
            const auto bad = bad_blocks_.find({entry.segment, entry.block});
            if (bad != bad_blocks_.end())
                unusable_[bad->second].insert(image.sn);
        }
    }
    for (const auto &[damage, sns] : unusable_)
        report_.damages[damage].checkpoints.assign(sns.begin(), sns.end());
    return {};
}

} // namespace ckpt
