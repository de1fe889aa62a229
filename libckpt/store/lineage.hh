// SPDX-License-Identifier: GPL-2.0-only
// One guest's life in the store, as the writing process knows it: its open
// segment and on what the next increment builds.
#pragma once

#include <cstdint>
#include <list>
#include <memory>
#include <mutex>

#include "libckpt/base/uuid.hh"
#include "libckpt/store/guest_files.hh"
#include "libckpt/store/index_run.hh"
#include "libckpt/store/page_store.hh"
#include "libckpt/store/segment_writer.hh"

namespace ckpt {

class Lineage {
  public:
    // A state of the guest's image. `part` is the number of the part that made
    // it, 0 for what was committed when the store was opened.
    struct Tip {
        std::uint64_t part = 0;
        bool exists = false; // false: nothing yet, the first part must be full
        Sn sn = 0;           // if committed
        RunList runs;
    };

    Lineage(const Disk &disk, const Uuid &guest, Producer who, std::uint64_t segment_size)
        : files(disk, guest), producer(std::move(who)), segment_bytes(segment_size) {}

    GuestFiles files;
    const Producer producer;
    const std::uint64_t segment_bytes;

    // Files that an uncommitted part uses: the segment that it began in, and
    // whatever was made from then on. Garbage collection leaves them alone.
    struct Use {
        std::uint32_t from_id;
        std::uint32_t segment;
    };

    std::mutex mutex; // protects all below; taken after the store's commit lock

    // What parts write with; null: begin a new segment. While a part is open
    // it is that part's alone.
    std::unique_ptr<SegmentWriter> writer;
    bool part_open = false;
    std::uint64_t last_part = 0;
    Tip tip;       // of the newest sealed part, committed or not
    Tip committed; // of the newest committed one
    std::list<Use> uses;
};

} // namespace ckpt
