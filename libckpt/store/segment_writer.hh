// SPDX-License-Identifier: GPL-2.0-only
// Appends to a guest's segments: says where the next record goes, makes room
// ahead of it, begins a new segment when one is full.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "libckpt/base/fd.hh"
#include "libckpt/base/result.hh"
#include "libckpt/store/guest_files.hh"

namespace ckpt {

// Who writes: goes into the header of each file made.
struct Producer {
    std::string node;
    std::uint32_t incarnation = 0;
};

// An open segment. Writes under way share it.
struct Segment {
    Fd fd;
    std::uint32_t id = 0;
    std::string path;
};

// Used by one thread at a time.
class SegmentWriter {
  public:
    struct Place {
        std::shared_ptr<Segment> segment;
        std::uint32_t block;
    };

    SegmentWriter(GuestFiles &files, Producer producer, std::uint64_t segment_bytes);

    // Room for a record of `nr_blocks`, back to back in one segment, allocated
    // on storage where the file system can. ENOSPC.
    Result<Place> reserve(std::uint32_t nr_blocks);

    // Starts a part: what follows belongs together until the next begin().
    void begin();
    // Everything since begin() is on stable storage when this returns well; no
    // write is under way. After an error this object must not be used again.
    Status flush();
    // Takes back what was written since begin(), flushed or not, as far as it
    // can; no write is under way, and nothing refers to it.
    void undo();

    // The segment that the next record goes to; 0: a new one.
    std::uint32_t current_id() const { return current_ ? current_->id : 0; }

  private:
    // Room is made in such steps: few calls, little held too much.
    static constexpr std::uint64_t kAhead = std::uint64_t{32} << 20;

    Status open_next();
    Status make_room(std::uint64_t end);
    Status cut(Segment &segment, std::uint64_t size);

    GuestFiles &files_;
    Producer producer_;
    std::uint64_t segment_bytes_;
    std::shared_ptr<Segment> current_;
    std::uint64_t end_ = 0;       // of what was reserved in the current segment
    std::uint64_t allocated_ = 0; // how far the current segment has room
    bool can_allocate_ = true;
    bool direct_ = true;
    // Of the part: its segments, finished ones first, with their sizes; where
    // it began in the first.
    std::vector<std::pair<std::shared_ptr<Segment>, std::uint64_t>> finished_;
    std::shared_ptr<Segment> first_;
    std::uint64_t begin_ = 0;
};

} // namespace ckpt
