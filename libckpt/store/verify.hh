// SPDX-License-Identifier: GPL-2.0-only
// Reads all that one guest's checkpoints refer to, checks every checksum, and
// compares index and records.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "libckpt/base/result.hh"
#include "libckpt/store/live_map.hh"
#include "libckpt/store/page_store.hh"

namespace ckpt {

class GuestVerifier {
  public:
    // `advance` is told the bytes read since it was last called; an error from
    // it ends the work.
    using Advance = std::function<Status(std::uint64_t bytes)>;

    GuestVerifier(const GuestFiles &files, std::vector<ImageRef> images, VerifyReport &report,
                  Advance advance)
        : files_(files), images_(std::move(images)), report_(report), advance_(std::move(advance)) {
    }

    // Adds to the report; an error only if the work could not be done.
    Status verify();

  private:
    // So much of the index is in memory at a time: bounds the verifier, not
    // the store. In segments of 256 MiB it is 100 MiB at most.
    static constexpr std::size_t kWindow = 64;

    using Block = std::pair<std::uint32_t, std::uint32_t>; // segment, block

    void check_runs();
    Status check_segments(const std::vector<std::uint32_t> &segments);
    Status check_segment(std::uint32_t id, std::span<const tlckpt_run_entry> entries);
    Status check_record(std::uint32_t id, std::uint32_t block, const tlckpt_record &record,
                        std::span<const std::byte> contents,
                        std::span<const tlckpt_run_entry> entries);
    Status check_uncovered(std::uint32_t id, std::uint32_t from, std::uint32_t to,
                           std::span<const tlckpt_run_entry> entries);
    void check_states();
    Status name_checkpoints();

    // Blocks whose loss makes checkpoints unusable belong to a damage.
    std::size_t add_damage(std::string file, std::uint64_t offset, std::string what,
                           std::set<Sn> checkpoints = {});
    void add_bad_block(std::uint32_t segment, std::uint32_t block, std::size_t damage);

    const GuestFiles &files_;
    std::vector<ImageRef> images_;
    VerifyReport &report_;
    Advance advance_;
    std::map<std::uint32_t, tlckpt_item_run> runs_; // sound ones, by id
    std::vector<ImageRef> readable_;                // images all of whose runs are sound
    LiveMap live_;
    std::map<Block, std::size_t> bad_blocks_; // into report_.damages
    std::map<std::size_t, std::set<Sn>> unusable_;
};

} // namespace ckpt
