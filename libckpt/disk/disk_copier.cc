// SPDX-License-Identifier: GPL-2.0-only
#include "libckpt/disk/disk_copier.hh"

#include <algorithm>
#include <array>
#include <cstring>

#include "libckpt/io/ring.hh"
#include "libckpt/store/record.hh"

namespace ckpt {

namespace {

constexpr std::uint64_t kChunk = 256 * 1024;
constexpr unsigned kDepth = 8; // chunks read at a time
alignas(kPageSize) constexpr std::byte kZeroes[kPageSize]{};

// Pages of the part, gathered into batches.
class Sink {
  public:
    Sink(PageArena &arena, GuestWriter &part) : arena_(arena), part_(part) {}

    Status add(Pfn block, std::span<const std::byte> data) {
        CKPT_CHECK(make_room());
        std::byte *to = batch_.add(block, PageType::normal);
        std::memcpy(to, data.data(), data.size());
        std::memset(to + data.size(), 0, kPageSize - data.size()); // at the disk's end
        return {};
    }
    Status add_hole(Pfn block) {
        CKPT_CHECK(make_room());
        batch_.add_empty(block, PageType::hole);
        return {};
    }
    Status flush() {
        return batch_.valid() && batch_.size() ? part_.write(std::exchange(batch_, PageBatch()))
                                               : Status();
    }

  private:
    Status make_room() {
        if (batch_.valid() && batch_.full())
            CKPT_CHECK(flush());
        if (!batch_.valid())
            batch_ = arena_.get();
        return {};
    }
    PageArena &arena_;
    GuestWriter &part_;
    PageBatch batch_;
};

// Reads extents chunk by chunk, several at a time.
class Reader {
  public:
    Reader(const DiskDelta &delta, Ring &ring, Sink &sink)
        : delta_(delta), ring_(ring), sink_(sink),
          buffer_(std::size_t{kDepth} * 2 * kChunk) {}

    Status run() {
        for (;;) {
            while (nr_busy_ < kDepth && begin_chunk())
                ;
            if (!nr_busy_)
                return {};
            if (Status step = take_completions(); !step)
                return drain(step);
        }
    }

  private:
    struct Slot {
        std::uint64_t begin = 0, length = 0;
        bool with_base = false;
        bool whole = false; // all of it is to be stored
        unsigned waiting = 0;
        int error = 0;
    };

    std::span<std::byte> memory(unsigned slot, bool base) {
        return buffer_.span().subspan((slot * 2 + (base ? 1 : 0)) * kChunk, kChunk);
    }

    // False: all of them are under way.
    bool begin_chunk() {
        while (at_ < delta_.extents.size() &&
               (delta_.extents[at_].kind == DiskExtent::Kind::discarded ||
                done_ == delta_.extents[at_].length)) {
            at_++;
            done_ = 0;
        }
        if (at_ == delta_.extents.size())
            return false;
        const DiskExtent &extent = delta_.extents[at_];
        const auto free = static_cast<unsigned>(
            std::ranges::find(slots_, 0u, &Slot::waiting) - slots_.begin());
        Slot &slot = slots_[free];
        const bool changed = !delta_.full && extent.kind == DiskExtent::Kind::changed;
        slot = {extent.begin + done_, std::min(kChunk, extent.length - done_),
                changed && delta_.base, changed && !delta_.base, 0, 0};
        read(free, false);
        if (slot.with_base)
            read(free, true);
        done_ += slot.length;
        nr_busy_++;
        return true;
    }

    void read(unsigned index, bool base) {
        Slot &slot = slots_[index];
        slot.waiting++;
        ring_.read((base ? delta_.base : delta_.now)->fd(), slot.begin,
                   memory(index, base).first(slot.length), index);
    }

    Status take_completions() {
        completions_.clear();
        CKPT_CHECK(ring_.submit(true, completions_));
        Status status;
        for (const Ring::Completion &completion : completions_) {
            Slot &slot = slots_[completion.tag];
            if (completion.result != static_cast<int>(slot.length))
                slot.error = completion.result < 0 ? -completion.result : EIO;
            if (--slot.waiting)
                continue;
            nr_busy_--;
            if (status)
                status = slot.error ? fail(slot.error, "reading the snapshot at {}", slot.begin)
                                    : store(static_cast<unsigned>(completion.tag));
        }
        return status;
    }

    // Nothing may be read into memory that is gone.
    Status drain(Status why) {
        while (nr_busy_) {
            completions_.clear();
            if (!ring_.submit(true, completions_))
                break;
            for (const Ring::Completion &completion : completions_)
                if (--slots_[completion.tag].waiting == 0)
                    nr_busy_--;
        }
        return why;
    }

    Status store(unsigned index) {
        const Slot &slot = slots_[index];
        const std::span<const std::byte> now = memory(index, false), base = memory(index, true);
        for (std::uint64_t at = 0; at < slot.length; at += kPageSize) {
            const std::size_t size = std::min<std::uint64_t>(kPageSize, slot.length - at);
            const std::byte *was = slot.with_base ? base.data() + at : kZeroes;
            if (slot.whole || std::memcmp(now.data() + at, was, size) != 0)
                CKPT_CHECK(sink_.add((slot.begin + at) / kPageSize, now.subspan(at, size)));
        }
        return {};
    }

    const DiskDelta &delta_;
    Ring &ring_;
    Sink &sink_;
    AlignedBuffer buffer_;
    std::array<Slot, kDepth> slots_{};
    std::vector<Ring::Completion> completions_;
    std::size_t at_ = 0;     // extent that is being read
    std::uint64_t done_ = 0; // of it
    unsigned nr_busy_ = 0;
};

Status store_discarded(const DiskDelta &delta, Sink &sink, DiskEntry &entry) {
    for (const DiskExtent &extent : delta.extents) {
        entry.bytes_changed += extent.length;
        if (extent.kind != DiskExtent::Kind::discarded)
            continue;
        for (std::uint64_t at = 0; at < extent.length; at += kPageSize, entry.nr_discarded++)
            CKPT_CHECK(sink.add_hole((extent.begin + at) / kPageSize));
    }
    return {};
}

} // namespace

Status copy_disk(GuestDisk &disk, DiskEntry &entry, PageArena &arena, GuestWriter &part) {
    const DiskDelta delta = CKPT_TRY(disk.delta());
    auto ring = CKPT_TRY(Ring::create(2 * kDepth, {}));
    entry.full = delta.full;
    entry.bytes = disk.bytes();
    entry.nr_discarded = entry.bytes_changed = 0;
    Sink sink(arena, part);
    CKPT_CHECK(Reader(delta, *ring, sink).run());
    CKPT_CHECK(store_discarded(delta, sink, entry));
    CKPT_CHECK(sink.flush());
    return part.seal_disk(entry);
}

} // namespace ckpt
