// SPDX-License-Identifier: GPL-2.0-only
#include "libckpt/store/guest_part.hh"

#include "libckpt/base/assert.hh"
#include "libckpt/store/record.hh"

namespace ckpt {

Result<BatchSink::Place> PartSink::place(PageBatch &batch) {
    {
        std::lock_guard lock(mutex_);
        if (error_)
            return tl::unexpected(*error_);
    }
    drop_zero_pages(batch);
    auto place = CKPT_TRY(segments_.reserve(static_cast<std::uint32_t>(1 + batch.nr_contents())));
    const auto bytes =
        fill_page_record(batch, {guest_, place.segment->id, place.block}, entries_);
    const std::uint64_t offset = std::uint64_t{place.block} * kPageSize;
    const int fd = place.segment->fd.get();
    CKPT_CHECK(disk_.announce({.kind = DiskStep::Kind::write, .path = place.segment->path,
                               .offset = offset, .data = bytes}));
    if (held_.empty() || held_.back() != place.segment)
        held_.push_back(std::move(place.segment));
    std::lock_guard lock(mutex_);
    bytes_written_ += bytes.size();
    return Place{fd, offset, bytes};
}

void PartSink::written(Status status) {
    if (!status.has_value())
        finish(wrap(fmt::format("guest {}: segment", guest_.to_string()),
                    std::move(status).error()));
    else
        finish({});
}

void PartSink::refused(Error error) { finish(tl::unexpected(std::move(error))); }

void PartSink::finish(Status status) {
    std::lock_guard lock(mutex_);
    if (!status.has_value() && !error_)
        error_ = std::move(status).error();
    // Under the lock: the waiter may destroy this object once it has it.
    if (--under_way_ == 0)
        idle_.notify_all();
}

Status PartSink::expect() {
    std::lock_guard lock(mutex_);
    if (error_)
        return tl::unexpected(*error_);
    under_way_++;
    return {};
}

Status PartSink::drain() {
    std::unique_lock lock(mutex_);
    idle_.wait(lock, [this] { return under_way_ == 0; });
    held_.clear();
    return error_ ? Status(tl::unexpected(*error_)) : Status();
}

std::uint64_t PartSink::bytes_written() const {
    std::lock_guard lock(mutex_);
    return bytes_written_;
}

Result<std::unique_ptr<GuestPart>> GuestPart::begin(std::shared_ptr<Lineage> lineage,
                                                    IoThread &io) {
    std::lock_guard lock(lineage->mutex);
    if (lineage->part_open)
        return fail(EBUSY, "guest {}: a part of its next checkpoint is already open",
                    lineage->files.guest().to_string());
    return std::unique_ptr<GuestPart>(new GuestPart(std::move(lineage), io));
}

GuestPart::GuestPart(std::shared_ptr<Lineage> lineage, IoThread &io)
    : lineage_(std::move(lineage)), io_(io) {
    if (!lineage_->writer)
        lineage_->writer = std::make_unique<SegmentWriter>(lineage_->files, lineage_->producer,
                                                           lineage_->segment_bytes);
    lineage_->writer->begin();
    lineage_->part_open = true;
    number_ = ++lineage_->last_part;
    base_ = lineage_->tip.part;
    use_ = lineage_->uses.insert(lineage_->uses.end(), {lineage_->files.next_id(),
                                                        lineage_->writer->current_id()});
    sink_ = std::make_shared<PartSink>(lineage_->files.disk(), guest(), *lineage_->writer);
}

GuestPart::~GuestPart() {
    if (state_ == State::committed)
        return;
    const bool written = sink_->drain().has_value();
    give_up(!written || state_ == State::failed);
}

// Gives the space back where nobody has written behind it; what stays is
// garbage for the collection.
void GuestPart::give_up(bool damaged) {
    std::lock_guard lock(lineage_->mutex);
    lineage_->uses.erase(use_);
    if (lineage_->tip.part == number_)
        lineage_->tip = lineage_->committed;
    if (lineage_->last_part != number_)
        return;
    lineage_->part_open = false;
    if (!may_be_listed_)
        lineage_->writer->undo();
    // After an error nobody knows what the file holds: not to be gone on with.
    if (damaged || may_be_listed_)
        lineage_->writer.reset();
}

Status GuestPart::write(PageBatch batch) {
    CKPT_ASSERT(state_ == State::open || state_ == State::failed);
    if (batch.size() == 0)
        return {};
    CKPT_CHECK(sink_->expect());
    io_.post(sink_, std::move(batch));
    return {};
}

Status GuestPart::seal(const StateRecords &state, GuestEntry entry) {
    CKPT_ASSERT(state_ == State::open);
    entry_ = std::move(entry);
    entry_.uuid = guest();
    state_ = State::failed; // until all is well
    CKPT_CHECK(store_pages_and_state(state));
    CKPT_CHECK(store_index());
    entry_.bytes_written = bytes_written();
    state_ = State::sealed;
    return {};
}

Status GuestPart::seal_disk(DiskEntry entry) {
    GuestEntry image;
    image.name = entry.name;
    image.full = entry.full;
    image.pfn_limit = disk_blocks(entry.bytes);
    CKPT_CHECK(seal({}, std::move(image)));
    disk_ = std::move(entry);
    disk_->uuid = guest();
    disk_->kind = DiskKind::captured;
    disk_->nr_new = entry_.nr_new;
    disk_->nr_zero = entry_.nr_zero;
    disk_->bytes_written = entry_.bytes_written;
    return {};
}

Status GuestPart::store_pages_and_state(const StateRecords &state) {
    CKPT_CHECK(sink_->drain());
    SegmentWriter &segments = *lineage_->writer;
    const std::uint32_t nr_blocks = CKPT_TRY(state_record_blocks(state));
    const auto place = CKPT_TRY(segments.reserve(nr_blocks));
    const AlignedBuffer record = state_record(state, {guest(), place.segment->id, place.block});
    CKPT_CHECK(lineage_->files.disk().write(place.segment->fd.get(), place.segment->path,
                                            std::uint64_t{place.block} * kPageSize,
                                            record.span()));
    extra_bytes_ += record.span().size();
    storage_.state = {place.segment->id, place.block, nr_blocks, 0};
    return segments.flush();
}

Status GuestPart::store_index() {
    RunEntries &entries = sink_->entries();
    sort_entries(entries);
    if (!entries.empty() && key_pfn(entries.back().key) >= entry_.pfn_limit)
        return fail(EINVAL, "guest {}: page {:#x} written, its limit is {:#x}", guest().to_string(),
                    key_pfn(entries.back().key), entry_.pfn_limit);
    entry_.nr_new = entries.size();
    entry_.nr_zero = 0;
    for (const tlckpt_run_entry &one : entries)
        entry_.nr_zero += (one.key & TLCKPT_KEY_ZERO) != 0;
    std::lock_guard lock(lineage_->mutex);
    if (!entry_.full && !lineage_->tip.exists)
        return fail(EINVAL, "guest {}: the first checkpoint must be a full one",
                    guest().to_string());
    storage_.runs = CKPT_TRY(extend_runs(lineage_->files, lineage_->producer,
                                         entry_.full ? RunList() : lineage_->tip.runs,
                                         std::move(entries), entry_.pfn_limit, extra_bytes_));
    CKPT_CHECK(lineage_->files.disk().sync_dir(lineage_->files.folder()));
    lineage_->tip = {number_, true, 0, storage_.runs};
    lineage_->part_open = false;
    return {};
}

Status GuestPart::check_commit() const {
    if (state_ != State::sealed)
        return fail(EINVAL, "guest {}: its part is not sealed", guest().to_string());
    std::lock_guard lock(lineage_->mutex);
    if (!entry_.full && base_ != lineage_->committed.part)
        return fail(ESTALE,
                    "guest {}: its increment builds on a checkpoint that was not committed; "
                    "a full one is needed",
                    guest().to_string());
    return {};
}

void GuestPart::committed(Sn sn) {
    std::lock_guard lock(lineage_->mutex);
    state_ = State::committed;
    lineage_->committed = {number_, true, sn, storage_.runs};
    lineage_->uses.erase(use_);
}

} // namespace ckpt
