// SPDX-License-Identifier: GPL-2.0-only
#include "libckpt/store/compaction.hh"

#include <algorithm>
#include <cstring>

#include "libckpt/base/assert.hh"
#include "libckpt/store/guest_part.hh"
#include "libckpt/store/page_reader.hh"
#include "libckpt/store/record.hh"

namespace ckpt {

namespace {
constexpr unsigned kBatches = 4; // its own: checkpoints do not wait for it
} // namespace

Compaction::Compaction(Lineage &lineage, const Catalog &catalog, std::mutex &commit, IoThread &io,
                       const LiveMap &live, std::set<std::uint32_t> segments)
    : lineage_(lineage), catalog_(catalog), commit_(commit), io_(io), live_(live),
      segments_(std::move(segments)) {}

Result<std::set<std::uint32_t>> Compaction::run(const std::vector<ImageRef> &images,
                                                std::uint64_t &bytes_moved) {
    const RunEntries entries = CKPT_TRY(entries_to_move(images));
    SegmentWriter writer(lineage_.files, lineage_.producer, lineage_.segment_bytes);
    writer.begin();
    auto move = [&]() -> Result<bool> {
        CKPT_CHECK(copy_pages(entries, writer));
        CKPT_CHECK(copy_states(images, writer));
        CKPT_CHECK(writer.flush());
        return switch_over();
    };
    auto switched = move();
    if (!switching_)
        writer.undo();
    std::set<std::uint32_t> dead;
    if (!CKPT_TRY(std::move(switched)))
        return dead;
    bytes_moved += entries.size() * kPageSize;
    dead = segments_;
    for (const auto &[old_id, run] : runs_)
        if (run.id != old_id)
            dead.insert(old_id);
    return dead;
}

Result<RunEntries> Compaction::entries_to_move(const std::vector<ImageRef> &images) {
    RunEntries entries;
    std::set<std::uint32_t> seen;
    for (const ImageRef &image : images)
        for (const tlckpt_item_run &run : image.storage.runs) {
            if (!seen.insert(run.id).second)
                continue;
            for (const tlckpt_run_entry &entry : CKPT_TRY(read_run(lineage_.files, run)))
                if (key_stored(entry.key) && segments_.contains(entry.segment) &&
                    live_.contains(entry.segment, entry.block))
                    entries.push_back(entry);
        }
    sort_by_place(entries);
    const auto same = std::ranges::unique(entries, [](const auto &a, const auto &b) {
        return a.segment == b.segment && a.block == b.block;
    });
    entries.erase(same.begin(), same.end());
    return entries;
}

Status Compaction::copy_pages(const RunEntries &entries, SegmentWriter &segments) {
    auto arena = CKPT_TRY(PageArena::create(kBatches));
    auto sink =
        std::make_shared<PartSink>(lineage_.files.disk(), lineage_.files.guest(), segments);
    PageBatch batch;
    auto post = [&]() -> Status {
        CKPT_CHECK(sink->expect());
        io_.post(sink, std::move(batch));
        return {};
    };
    Status copied = read_pages(lineage_.files, entries, [&](auto group, auto contents) -> Status {
        for (std::size_t i = 0; i < group.size(); i++) {
            if (!batch.valid())
                batch = arena->get();
            std::memcpy(batch.add(key_pfn(group[i].key), key_type(group[i].key)), contents[i],
                        kPageSize);
            if (batch.full())
                CKPT_CHECK(post());
        }
        return {};
    });
    if (copied.has_value() && batch.valid())
        copied = post();
    batch = PageBatch();
    const Status drained = sink->drain();
    CKPT_CHECK(std::move(copied));
    CKPT_CHECK(std::move(drained));
    // One entry came out per page that went in, in the same order.
    const RunEntries &now = sink->entries();
    CKPT_ASSERT(now.size() == entries.size());
    for (std::size_t i = 0; i < now.size(); i++) {
        CKPT_ASSERT(!key_stored(now[i].key) || now[i].crc == entries[i].crc);
        pages_.emplace_hint(pages_.end(), Block(entries[i].segment, entries[i].block), now[i]);
    }
    return {};
}

Status Compaction::copy_states(const std::vector<ImageRef> &images, SegmentWriter &segments) {
    const GuestFiles &files = lineage_.files;
    for (const ImageRef &image : images) {
        const tlckpt_item_state &old = image.storage.state;
        if (!segments_.contains(old.segment))
            continue;
        const std::string path = files.segment(old.segment);
        Fd fd = CKPT_TRY(files.disk().open_read(path));
        const StateRecords state =
            CKPT_TRY(read_state_record(fd.get(), files.disk().full_path(path),
                                       {files.guest(), old.segment, old.block}));
        const auto place = CKPT_TRY(segments.reserve(old.nr_blocks));
        const AlignedBuffer record =
            state_record(state, {files.guest(), place.segment->id, place.block});
        CKPT_CHECK(files.disk().write(place.segment->fd.get(), place.segment->path,
                                      std::uint64_t{place.block} * kPageSize, record.span()));
        states_[{old.segment, old.block}] = {place.segment->id, place.block, old.nr_blocks, 0};
    }
    return {};
}

// Makes the manifests refer to the new places. Checkpoints committed since the
// survey refer to the old ones through older runs at most: their own pages are
// in segments that were not touched.
Result<bool> Compaction::switch_over() {
    std::lock_guard commit(commit_);
    std::lock_guard lock(lineage_.mutex);
    if (lineage_.tip.part != lineage_.committed.part)
        return false;
    std::vector<StoredManifest> changed;
    for (Sn sn : CKPT_TRY(catalog_.indexes())) {
        StoredManifest stored = CKPT_TRY(catalog_.read(sn));
        const int place = stored.find(lineage_.files.guest());
        if (place < 0)
            continue;
        GuestStorage &storage = stored.storage[static_cast<std::size_t>(place)];
        const GuestStorage before = storage;
        storage.runs = CKPT_TRY(relocated(before.runs));
        if (auto moved = states_.find({before.state.segment, before.state.block});
            moved != states_.end())
            storage.state = moved->second;
        const auto same_run = [](const auto &a, const auto &b) { return a.id == b.id; };
        if (storage.state.segment != before.state.segment ||
            !std::ranges::equal(storage.runs, before.runs, same_run))
            changed.push_back(std::move(stored));
    }
    RunList newest = CKPT_TRY(relocated(lineage_.committed.runs));
    CKPT_CHECK(lineage_.files.disk().sync_dir(lineage_.files.folder()));
    switching_ = true;
    // The next increment builds on what surely stays, whatever happens here.
    lineage_.tip.runs = lineage_.committed.runs = std::move(newest);
    for (const StoredManifest &stored : changed)
        CKPT_CHECK(catalog_.put(stored));
    return true;
}

Result<RunList> Compaction::relocated(const RunList &runs) {
    RunList list;
    for (const tlckpt_item_run &run : runs) {
        auto known = runs_.find(run.id);
        if (known == runs_.end())
            known = runs_.emplace(run.id, CKPT_TRY(relocated_run(run))).first;
        if (known->second.nr_entries > 0)
            list.push_back(known->second);
    }
    return list;
}

Result<tlckpt_item_run> Compaction::relocated_run(const tlckpt_item_run &run) {
    RunEntries entries = CKPT_TRY(read_run(lineage_.files, run));
    const auto moves = [this](const tlckpt_run_entry &entry) {
        return key_stored(entry.key) && segments_.contains(entry.segment);
    };
    if (std::ranges::none_of(entries, moves))
        return run;
    std::size_t kept = 0;
    for (const tlckpt_run_entry &entry : entries) {
        if (!moves(entry)) {
            entries[kept++] = entry;
            continue;
        }
        // One that was not moved is superseded in every kept image.
        if (auto moved = pages_.find({entry.segment, entry.block}); moved != pages_.end())
            entries[kept++] = moved->second;
    }
    entries.resize(kept);
    if (entries.empty())
        return tlckpt_item_run{0, 0, 0};
    return write_run(lineage_.files, lineage_.producer, entries);
}

} // namespace ckpt
