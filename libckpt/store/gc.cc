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

Status GuestCollector::collect(bool dry_run, GcReport &report) {
    CKPT_CHECK(survey());
    CKPT_CHECK(cut_tails(dry_run, report));
    if (dry_run) {
        for (const GuestFiles::File &file : dead_)
            report.bytes_freed += file.allocated;
        for (const GuestFiles::File &file : sparse_) {
            const std::uint64_t live = live_.nr_blocks(file.id) * kPageSize;
            report.bytes_moved += live;
            report.bytes_freed += file.allocated > live ? file.allocated - live : 0;
        }
        return {};
    }
    // What is dead already makes room for what moves.
    CKPT_CHECK(remove_dead(report));
    if (sparse_.empty())
        return {};
    std::set<std::uint32_t> segments;
    for (const GuestFiles::File &file : sparse_)
        segments.insert(file.id);
    Compaction compaction(*lineage_, context_.catalog, context_.commit, context_.io, live_,
                          std::move(segments));
    const auto dead = CKPT_TRY(compaction.run(own_, report.bytes_moved));
    std::ranges::copy_if(candidates_, std::back_inserter(dead_),
                         [&](const auto &file) { return dead.contains(file.id); });
    return remove_dead(report);
}

Status GuestCollector::survey() {
    std::vector<ImageRef> images = own_;
    images.insert(images.end(), foreign_.begin(), foreign_.end());
    live_ = CKPT_TRY(LiveMap::of(lineage_->files, images));
    std::set<std::uint32_t> runs;
    for (const ImageRef &image : images)
        for (const tlckpt_item_run &run : image.storage.runs)
            runs.insert(run.id);
    for (const GuestFiles::File &file : candidates_) {
        const bool segment = file.kind == GuestFiles::Kind::segment;
        if (!(segment ? live_.has_segment(file.id) : runs.contains(file.id))) {
            if (is_ours(file))
                dead_.push_back(file);
            continue;
        }
        // What a segment of these pages alone would take; blocks behind the
        // last live one are cut_tails()' business.
        const std::uint64_t live = live_.nr_blocks(file.id);
        const std::uint64_t needed = 1 + live + (live + 255) / TLCKPT_RECORD_CAPACITY;
        if (segment && foreign_.empty() && // others' manifests are not ours to change
            static_cast<double>(needed) < kMinLive * live_.end(file.id) && is_ours(file))
            sparse_.push_back(file);
    }
    return {};
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

// What a crash left behind the last committed record.
Status GuestCollector::cut_tails(bool dry_run, GcReport &report) {
    const Disk &disk = lineage_->files.disk();
    for (const GuestFiles::File &file : candidates_) {
        const std::uint64_t end = std::uint64_t{live_.end(file.id)} * TLCKPT_BLOCK;
        if (file.kind != GuestFiles::Kind::segment || end == 0 || file.size <= end ||
            !is_ours(file))
            continue;
        report.bytes_freed += file.allocated > end ? file.allocated - end : 0;
        if (dry_run)
            continue;
        const std::string path = lineage_->files.segment(file.id);
        Fd fd = CKPT_TRY(disk.open_write(path));
        CKPT_CHECK(disk.truncate(fd.get(), path, end));
    }
    return {};
}

Status GuestCollector::remove_dead(GcReport &report) {
    if (dead_.empty())
        return {};
    const GuestFiles &files = lineage_->files;
    const auto lock = CKPT_TRY(files.try_lock_for_removal());
    if (!lock) {
        if (context_.logger)
            context_.logger->info("guest {}: is being read, its garbage stays until the next "
                                  "collection",
                                  files.guest().to_string());
        return {};
    }
    for (const GuestFiles::File &file : dead_) {
        CKPT_CHECK(files.disk().remove(files.path(file.kind, file.id)));
        report.bytes_freed += file.allocated;
    }
    dead_.clear();
    return files.disk().sync_dir(files.folder());
}

} // namespace ckpt
