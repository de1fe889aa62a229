// SPDX-License-Identifier: GPL-2.0-only
#include "libckpt/store/gc.hh"

#include <algorithm>
#include <cstring>
#include <limits>

#include "libckpt/store/block.hh"
#include "libckpt/store/compaction.hh"

namespace ckpt {

Result<GuestCollector> GuestCollector::begin(const GcContext &context,
                                             std::shared_ptr<Lineage> lineage) {
    GuestCollector collector(context, std::move(lineage));
    Lineage &l = *collector.lineage_;
    std::lock_guard lock(l.mutex);
    std::uint32_t below = std::numeric_limits<std::uint32_t>::max();
    std::set<std::uint32_t> in_use;
    for (const Lineage::Use &use : l.uses) {
        below = std::min(below, use.from_id);
        in_use.insert(use.segment);
    }
    if (l.writer && !l.part_open)
        in_use.insert(l.writer->current_id());
    collector.candidates_ = CKPT_TRY(l.files.list());
    std::erase_if(collector.candidates_, [&](const GuestFiles::File &file) {
        return file.id >= below || in_use.contains(file.id);
    });
    return collector;
}

void GuestCollector::keep(std::vector<ImageRef> own, std::vector<ImageRef> foreign,
                          bool dry_run) {
    own_ = std::move(own);
    foreign_ = std::move(foreign);
    Lineage &l = *lineage_;
    std::lock_guard lock(l.mutex);
    // On what the next increment builds stays while a part is being written,
    // even if its checkpoint goes; else it goes with its checkpoint.
    const Sn sn = l.committed.sn;
    if (l.committed.exists &&
        std::ranges::none_of(own_, [sn](const ImageRef &image) { return image.sn == sn; })) {
        if (!l.uses.empty())
            own_.push_back({0, TLCKPT_PFN_LIMIT, {{}, l.committed.runs}});
        else if (!dry_run)
            l.tip = l.committed = Lineage::Tip();
    }
    // Nothing of the guest is left: the next collection may take the segment.
    if (l.uses.empty() && own_.empty() && !dry_run)
        l.writer.reset();
}

Result<bool> GuestCollector::collect(bool dry_run, GcReport &report) {
    CKPT_CHECK(survey());
    if (dry_run) {
        plan(report);
        return false;
    }
    // What is dead already makes room for what moves.
    if (!CKPT_TRY(free_space(report)) || sparse_.empty())
        return false;
    return compact(report);
}

void GuestCollector::plan(GcReport &report) const {
    const auto add = [&](const GuestFiles::File &file, std::uint64_t kept) {
        report.bytes_freed += file.allocated > kept ? file.allocated - kept : 0;
    };
    for (const GuestFiles::File &file : dead_)
        add(file, 0);
    for (const GuestFiles::File &file : tails_)
        add(file, std::uint64_t{live_.end(file.id)} * TLCKPT_BLOCK);
    for (const GuestFiles::File &file : sparse_) {
        add(file, live_bytes(file));
        report.bytes_moved += live_bytes(file);
    }
}

Status GuestCollector::survey() {
    std::vector<ImageRef> images = own_;
    images.insert(images.end(), foreign_.begin(), foreign_.end());
    live_ = CKPT_TRY(LiveMap::of(lineage_->files, images));
    dead_.clear();
    tails_.clear();
    sparse_.clear();
    std::set<std::uint32_t> runs;
    for (const ImageRef &image : images)
        for (const tlckpt_item_run &run : image.storage.runs)
            runs.insert(run.id);
    for (const GuestFiles::File &file : candidates_) {
        const bool segment = file.kind == GuestFiles::Kind::segment;
        const bool live = segment ? live_.has_segment(file.id) : runs.contains(file.id);
        if ((live && !segment) || !is_ours(file))
            continue;
        // What a segment of these pages alone would take.
        const std::uint64_t pages = live_.nr_blocks(file.id);
        const std::uint64_t needed = 1 + pages + (pages + 255) / TLCKPT_RECORD_CAPACITY;
        const std::uint32_t end = live_.end(file.id);
        if (!live)
            dead_.push_back(file);
        else if (foreign_.empty() && static_cast<double>(needed) < kMinLive * end)
            sparse_.push_back(file); // others' manifests are not ours to change
        else if (file.size > std::uint64_t{end} * TLCKPT_BLOCK)
            tails_.push_back(file);
    }
    std::ranges::sort(sparse_, {}, [this](const auto &file) { return live_bytes(file); });
    return {};
}

std::uint64_t GuestCollector::live_bytes(const GuestFiles::File &file) const {
    return live_.nr_blocks(file.id) * TLCKPT_BLOCK;
}

// A file whose header can't be read was cut short by a crash, of whom nobody
// knows: in a shared store it is left alone.
bool GuestCollector::is_ours(const GuestFiles::File &file) const {
    if (context_.only_node)
        return true;
    const bool segment = file.kind == GuestFiles::Kind::segment;
    std::vector<std::byte> block(TLCKPT_BLOCK);
    auto fd = lineage_->files.disk().open_read(lineage_->files.path(file.kind, file.id));
    if (!fd.has_value() || !read_at(fd->get(), "", 0, block).has_value() ||
        !check_block(block, segment ? TLCKPT_MAGIC_SEGMENT : TLCKPT_MAGIC_RUN, "").has_value())
        return false;
    char node[sizeof tlckpt_segment::node];
    const std::size_t at = segment ? offsetof(tlckpt_segment, node) : offsetof(tlckpt_run, node);
    std::memcpy(node, block.data() + at, sizeof node);
    return get_text(node) == lineage_->producer.node;
}

// Removes what is dead, and cuts off what is behind the last live block of
// others: by crashes, or of checkpoints that were dropped. False: put off, for
// somebody reads.
Result<bool> GuestCollector::free_space(GcReport &report) {
    const GuestFiles &files = lineage_->files;
    const auto lock = CKPT_TRY(files.try_lock_for_removal());
    if (!lock) {
        if (context_.logger)
            context_.logger->info("guest {}: is being read, its garbage stays until the next "
                                  "collection",
                                  files.guest().to_string());
        return false;
    }
    for (const GuestFiles::File &file : tails_) {
        const std::uint64_t end = std::uint64_t{live_.end(file.id)} * TLCKPT_BLOCK;
        const std::string path = files.segment(file.id);
        Fd fd = CKPT_TRY(files.disk().open_write(path));
        CKPT_CHECK(files.disk().truncate(fd.get(), path, end));
        report.bytes_freed += file.allocated > end ? file.allocated - end : 0;
    }
    tails_.clear();
    for (const GuestFiles::File &file : dead_) {
        CKPT_CHECK(files.disk().remove(files.path(file.kind, file.id)));
        report.bytes_freed += file.allocated;
        std::erase_if(candidates_, [&](const auto &other) { return other.id == file.id; });
    }
    dead_.clear();
    CKPT_CHECK(files.disk().sync_dir(files.folder()));
    return true;
}

// So many that their live pages fill one new segment: moving them takes no more
// room than that, and frees at least as much.
std::set<std::uint32_t> GuestCollector::next_group() const {
    std::set<std::uint32_t> segments;
    std::uint64_t bytes = 0;
    for (const GuestFiles::File &file : sparse_) {
        bytes += live_bytes(file);
        if (!segments.empty() && (one_by_one_ || bytes > lineage_->segment_bytes))
            break;
        segments.insert(file.id);
    }
    return segments;
}

Result<bool> GuestCollector::compact(GcReport &report) {
    const std::set<std::uint32_t> segments = next_group();
    Compaction compaction(*lineage_, context_.catalog, context_.commit, context_.io, live_,
                          segments);
    auto dead = compaction.run(own_, report.bytes_moved);
    if (!dead.has_value() && dead.error().is(ENOSPC) && segments.size() > 1) {
        one_by_one_ = true;
        return true;
    }
    const std::set<std::uint32_t> ids = CKPT_TRY(std::move(dead));
    std::ranges::copy_if(candidates_, std::back_inserter(dead_),
                         [&](const auto &file) { return ids.contains(file.id); });
    const bool more = sparse_.size() > segments.size() && !ids.empty();
    return CKPT_TRY(free_space(report)) && more;
}

} // namespace ckpt
