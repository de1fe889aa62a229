// SPDX-License-Identifier: GPL-2.0-only
// Index runs: sorted tables of which page is where. A checkpoint of a guest is
// a short list of runs, newest first; a page is where the first run that has
// it says. Runs are merged as checkpoints are added so that each is more than
// twice as long as all before it: an image of n pages never has more than about
// log2(n) of them, and an entry is rewritten about log2(n) times in its life.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <vector>

#include "libckpt/base/page.hh"
#include "libckpt/base/result.hh"
#include "libckpt/store/guest_files.hh"
#include "libckpt/store/segment_writer.hh"
#include "tlckpt/format.h"

namespace ckpt {

using RunEntries = std::vector<tlckpt_run_entry>; // ascending pfn, each once
using RunList = std::vector<tlckpt_item_run>;     // newest first

// Sorts by pfn; of several entries of one pfn the last added stays.
void sort_entries(RunEntries &entries);

// Writes a new run and makes its contents durable (its name is not yet).
Result<tlckpt_item_run> write_run(GuestFiles &files, const Producer &producer,
                                  std::span<const tlckpt_run_entry> entries);
// Reads and checks a run. EBADMSG names file and offset, which also goes into
// `bad_at`.
Result<RunEntries> read_run(const GuestFiles &files, const tlckpt_item_run &run,
                            std::uint64_t *bad_at = nullptr);

// The union of the runs, the earlier in `runs` first; entries at or above
// `pfn_limit` are left out.
RunEntries merge_runs(std::span<const std::shared_ptr<const RunEntries>> runs, Pfn pfn_limit);

// Adds a checkpoint's entries to the list `base`: merges with the newest runs
// as the rule above wants, writes one run. `bytes`: how much was written.
Result<RunList> extend_runs(GuestFiles &files, const Producer &producer, const RunList &base,
                            RunEntries entries, Pfn pfn_limit, std::uint64_t &bytes);

// Keeps the runs last used in memory: neighbouring checkpoints share most.
class RunCache {
  public:
    explicit RunCache(const GuestFiles &files) : files_(files) {}
    // The image that `runs` make; forgets runs that are not among them.
    Result<RunEntries> image(const RunList &runs, Pfn pfn_limit);
    Result<std::shared_ptr<const RunEntries>> get(const tlckpt_item_run &run);

  private:
    struct Loaded {
        std::uint32_t id;
        std::shared_ptr<const RunEntries> entries;
    };
    const GuestFiles &files_;
    std::vector<Loaded> loaded_;
};

} // namespace ckpt
