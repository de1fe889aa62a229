// SPDX-License-Identifier: GPL-2.0-only
// Moves the live pages out of a guest's mostly dead segments. Nothing is
// overwritten: moved pages get new index runs, these get into the manifests one
// by one and atomically, and only then may the old files go. Cut short at any
// point, it leaves garbage and no harm.
#pragma once

#include <cstdint>
#include <map>
#include <mutex>
#include <set>
#include <utility>
#include <vector>

#include "libckpt/io/io_thread.hh"
#include "libckpt/store/lineage.hh"
#include "libckpt/store/live_map.hh"
#include "libckpt/store/manifest.hh"

namespace ckpt {

class Compaction {
  public:
    // Of the closed `segments`, of which nothing but what `live` says is
    // needed; no other node refers to them. `commit` is the store's lock under
    // which manifests change.
    Compaction(Lineage &lineage, const Catalog &catalog, std::mutex &commit, IoThread &io,
               const LiveMap &live, std::set<std::uint32_t> segments);

    // `images`: the guest's in the kept checkpoints. Returns the files that
    // nothing refers to any more; none: put off, a part is about to be
    // committed. EBADMSG: a page is damaged; all stays as it was.
    Result<std::set<std::uint32_t>> run(const std::vector<ImageRef> &images,
                                        std::uint64_t &bytes_moved);

  private:
    using Block = std::pair<std::uint32_t, std::uint32_t>; // segment, block

    Result<RunEntries> entries_to_move(const std::vector<ImageRef> &images);
    Status copy_pages(const RunEntries &entries, SegmentWriter &segments);
    Status copy_states(const std::vector<ImageRef> &images, SegmentWriter &segments);
    Result<bool> switch_over();
    Result<RunList> relocated(const RunList &runs);
    Result<tlckpt_item_run> relocated_run(const tlckpt_item_run &run);

    Lineage &lineage_;
    const Catalog &catalog_;
    std::mutex &commit_;
    IoThread &io_;
    const LiveMap &live_;
    std::set<std::uint32_t> segments_;
    // Where what was moved is now.
    std::map<Block, tlckpt_run_entry> pages_;
    std::map<Block, tlckpt_item_state> states_;
    std::map<std::uint32_t, tlckpt_item_run> runs_; // by old id; no entries: gone
    bool switching_ = false; // manifests may refer to the new files
};

} // namespace ckpt
