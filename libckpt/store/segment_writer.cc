// SPDX-License-Identifier: GPL-2.0-only
#include "libckpt/store/segment_writer.hh"

#include <fcntl.h>

#include <algorithm>
#include <cstring>

#include "libckpt/base/assert.hh"
#include "libckpt/base/clock.hh"
#include "libckpt/base/page.hh"
#include "libckpt/store/block.hh"
#include "libckpt/store/record.hh"

namespace ckpt {

SegmentWriter::SegmentWriter(GuestFiles &files, Producer producer, std::uint64_t segment_bytes)
    : files_(files), producer_(std::move(producer)), segment_bytes_(segment_bytes) {}

Status SegmentWriter::open_next() {
    auto segment = std::make_shared<Segment>();
    segment->fd = CKPT_TRY(files_.create(GuestFiles::Kind::segment, segment->id, &direct_));
    segment->path = files_.segment(segment->id);
    AlignedBuffer block(kPageSize);
    auto &header = *reinterpret_cast<tlckpt_segment *>(block.span().data());
    std::memcpy(header.guest, files_.guest().bytes.data(), sizeof header.guest);
    header.id = segment->id;
    header.incarnation = producer_.incarnation;
    header.created_ns = wall_clock_ns();
    put_text(header.node, producer_.node);
    seal_block(header, TLCKPT_MAGIC_SEGMENT);
    if (auto status = files_.disk().write(segment->fd.get(), segment->path, 0, block.span());
        !status.has_value()) {
        (void)files_.disk().remove(segment->path);
        return status;
    }
    if (current_)
        finished_.emplace_back(std::move(current_), end_);
    current_ = std::move(segment);
    end_ = allocated_ = kPageSize;
    return {};
}

// Writes into allocated room need no exclusive lock in the kernel, so that many
// are under way at once; and a full file system is found before, not in, them.
Status SegmentWriter::make_room(std::uint64_t end) {
    if (end <= allocated_ || !can_allocate_)
        return {};
    for (const std::uint64_t want : {std::min(std::max(end, allocated_ + kAhead),
                                              std::max(end, segment_bytes_)), end}) {
        if (::fallocate(current_->fd.get(), 0, static_cast<off_t>(allocated_),
                        static_cast<off_t>(want - allocated_)) == 0) {
            allocated_ = want;
            return {};
        }
        if (errno == EOPNOTSUPP || errno == ENOSYS) {
            can_allocate_ = false;
            return {};
        }
    }
    return fail(errno, "{}: making room for {} KiB", files_.disk().full_path(current_->path),
                (end - end_) / 1024);
}

Result<SegmentWriter::Place> SegmentWriter::reserve(std::uint32_t nr_blocks) {
    const std::uint64_t bytes = std::uint64_t{nr_blocks} * kPageSize;
    if (!current_ || (end_ + bytes > segment_bytes_ && end_ > kPageSize))
        CKPT_CHECK(open_next());
    CKPT_CHECK(make_room(end_ + bytes));
    const auto block = static_cast<std::uint32_t>(end_ / kPageSize);
    end_ += bytes;
    return Place{current_, block};
}

void SegmentWriter::begin() {
    finished_.clear();
    first_ = current_;
    begin_ = end_;
}

Status SegmentWriter::cut(Segment &segment, std::uint64_t size) {
    return files_.disk().truncate(segment.fd.get(), segment.path, size);
}

Status SegmentWriter::flush() {
    for (auto &[segment, end] : finished_) {
        CKPT_CHECK(cut(*segment, end));
        CKPT_CHECK(files_.disk().sync(segment->fd.get(), segment->path));
    }
    if (!current_ || (current_ == first_ && end_ == begin_))
        return {};
    CKPT_CHECK(cut(*current_, end_));
    allocated_ = end_;
    return files_.disk().sync(current_->fd.get(), current_->path);
}

void SegmentWriter::undo() {
    if (current_)
        finished_.emplace_back(std::move(current_), end_);
    for (auto &[segment, end] : finished_)
        (void)(segment == first_ ? cut(*segment, begin_) : files_.disk().remove(segment->path));
    finished_.clear();
    current_ = std::move(first_);
    end_ = allocated_ = begin_;
}

} // namespace ckpt
