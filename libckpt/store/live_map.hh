// SPDX-License-Identifier: GPL-2.0-only
// Which blocks of a guest's segments its checkpoints refer to.
#pragma once

#include <cstdint>
#include <map>
#include <vector>

#include "libckpt/base/result.hh"
#include "libckpt/store/index_run.hh"
#include "libckpt/store/manifest.hh"

namespace ckpt {

// One guest's image in one checkpoint.
struct ImageRef {
    Sn sn = 0;
    Pfn pfn_limit = 0;
    GuestStorage storage;
};

class LiveMap {
  public:
    // What the images refer to: pages that a newer run of the same image
    // supersedes do not count. Errors: of read_run().
    static Result<LiveMap> of(const GuestFiles &files, const std::vector<ImageRef> &images);

    void add_image(const RunEntries &image);
    void add_state(const tlckpt_item_state &state);

    std::vector<std::uint32_t> segments() const; // ascending
    bool has_segment(std::uint32_t id) const { return segments_.contains(id); }
    bool contains(std::uint32_t segment, std::uint32_t block) const;
    std::uint64_t nr_blocks(std::uint32_t segment) const;
    // The first block behind the last live one; 0: none live.
    std::uint32_t end(std::uint32_t segment) const;
    // Live blocks in [from, to).
    std::vector<std::uint32_t> between(std::uint32_t segment, std::uint32_t from,
                                       std::uint32_t to) const;

  private:
    void add(std::uint32_t segment, std::uint32_t block);
    std::map<std::uint32_t, std::vector<bool>> segments_;
};

} // namespace ckpt
