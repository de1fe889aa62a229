// SPDX-License-Identifier: GPL-2.0-only
// Records of a segment: page batches and guest states
// (checkpoint-format.rst, "Records").
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string_view>
#include <vector>

#include "libckpt/base/page.hh"
#include "libckpt/base/result.hh"
#include "libckpt/base/uuid.hh"
#include "libckpt/io/page_batch.hh"
#include "libckpt/vm/guest_backend.hh"
#include "tlckpt/format.h"

namespace ckpt {

inline constexpr std::uint64_t page_key(Pfn pfn, PageType type, std::uint64_t flags = 0) {
    return pfn << TLCKPT_KEY_PFN_SHIFT | flags | static_cast<std::uint64_t>(type);
}
inline constexpr Pfn key_pfn(std::uint64_t key) { return key >> TLCKPT_KEY_PFN_SHIFT; }
inline constexpr PageType key_type(std::uint64_t key) {
    return static_cast<PageType>(key & TLCKPT_KEY_TYPE);
}
// Whether an image has bytes for this key in some segment.
inline constexpr bool key_stored(std::uint64_t key) {
    return has_contents(key_type(key)) && !(key & TLCKPT_KEY_ZERO);
}

// Where a record is.
struct RecordPlace {
    Uuid guest;
    std::uint32_t segment = 0;
    std::uint32_t block = 0; // of its header
};

// Takes the contents of all-zero pages out of the batch: the record only says
// that they are zero.
void drop_zero_pages(PageBatch &batch);

// Writes the record's header into the batch's first page, appends one index
// entry per page to `entries` and returns the record's bytes. Here every page's
// checksum is computed.
std::span<const std::byte> fill_page_record(PageBatch &batch, const RecordPlace &place,
                                            std::vector<tlckpt_run_entry> &entries);

// Page-aligned memory, zeroed: what O_DIRECT wants.
class AlignedBuffer {
  public:
    explicit AlignedBuffer(std::size_t bytes);
    std::span<std::byte> span() { return {memory_.get(), bytes_}; }
    std::span<const std::byte> span() const { return {memory_.get(), bytes_}; }

  private:
    struct Free {
        void operator()(std::byte *memory) const { std::free(memory); }
    };
    std::unique_ptr<std::byte, Free> memory_;
    std::size_t bytes_;
};

// How many blocks the record of `state` takes, its header included.
Result<std::uint32_t> state_record_blocks(const StateRecords &state);
AlignedBuffer state_record(const StateRecords &state, const RecordPlace &place);

// Checks a record's header as found at `place`; the context names `file`.
Status check_record(const tlckpt_record &record, const RecordPlace &place, std::string_view file);
// Reads and checks the state record at `place` of the open file.
Result<StateRecords> read_state_record(int fd, std::string_view file, const RecordPlace &place);

} // namespace ckpt
