// SPDX-License-Identifier: GPL-2.0-only
// The unit that moves page contents through the library: copied once out of
// the guest into the batch, written from there to the store, without a copy
// between. Its memory is pre-touched, locked and page aligned, so that filling
// one during the pause never faults and io_uring can use it as a fixed buffer.
//
//   slot:  [ header page, the store's own ][ page 0 ][ page 1 ] ... [ page 255 ]
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>
#include <condition_variable>
#include <span>
#include <vector>

#include "libckpt/base/page.hh"
#include "libckpt/base/result.hh"

namespace ckpt {

class PageArena;

// Pages of one guest with their pfns and types. Movable; gives its slot back
// to the arena when destroyed. Used by one thread at a time.
class PageBatch {
  public:
    static constexpr std::size_t kCapacity = 256;
    static constexpr std::size_t kSlotBytes = (1 + kCapacity) * kPageSize;

    PageBatch() = default;
    PageBatch(PageBatch &&other) noexcept;
    PageBatch &operator=(PageBatch &&other) noexcept;
    ~PageBatch();

    bool valid() const { return slot_ != nullptr; }
    std::size_t size() const { return count_; }
    bool full() const { return count_ == kCapacity; }
    // How many of the pages have contents: they lie first-come in data order.
    std::size_t nr_contents() const { return contents_; }

    // Room for the next page with contents, to be filled by the caller before
    // the batch is used. The batch is not full.
    std::byte *add(Pfn pfn, PageType type);
    // Records that `pfn` has no contents (hole, broken, XALLOC).
    void add_empty(Pfn pfn, PageType type);

    // Page i's contents need no place (they are all zero): data(i) becomes
    // null, and the last page's contents move into the room.
    void drop_contents(std::size_t i);

    Pfn pfn(std::size_t i) const { return pfns_[i]; }
    PageType type(std::size_t i) const { return types_[i]; }
    // Contents of page i; null where its type has none or they were dropped.
    const std::byte *data(std::size_t i) const;
    // The contents of all pages that have some, back to back.
    std::span<const std::byte> contents() const;
    // The slot's first page, free for the store's record header; directly
    // followed by contents().
    std::span<std::byte> header() const;
    // Which slot of the arena: the index of the io_uring fixed buffer.
    unsigned slot_index() const { return slot_index_; }

  private:
    friend class PageArena;
    PageBatch(PageArena *arena, std::byte *slot, unsigned slot_index);

    PageArena *arena_ = nullptr;
    std::byte *slot_ = nullptr;
    unsigned slot_index_ = 0;
    std::uint16_t count_ = 0, contents_ = 0;
    std::array<Pfn, kCapacity> pfns_;
    std::array<PageType, kCapacity> types_;
    std::array<std::uint16_t, kCapacity> places_; // index among contents
};

// A bounded pool of batches, shared by all guests of a node. Thread-safe.
// Outlives its batches.
class PageArena {
  public:
    // Reserves `nr_slots` batches, pre-touched, and locked in memory where the
    // process may (else `locked()` says no). Errors: ENOMEM, EINVAL for zero.
    static Result<std::unique_ptr<PageArena>> create(unsigned nr_slots);
    ~PageArena();

    // A free batch now, or an invalid one.
    PageBatch try_get();
    // Waits until a batch is free: the back-pressure of the write path.
    PageBatch get();

    unsigned nr_slots() const { return nr_slots_; }
    unsigned nr_free() const;
    bool locked() const { return locked_; }
    // One memory range per slot, in the order of slot_index().
    std::vector<std::span<std::byte>> slots() const;

  private:
    friend class PageBatch;
    PageArena(std::byte *memory, unsigned nr_slots, bool locked);
    void put(unsigned slot_index);

    std::byte *memory_;
    unsigned nr_slots_;
    bool locked_;
    mutable std::mutex mutex_;
    std::condition_variable freed_;
    std::vector<unsigned> free_;
};

} // namespace ckpt
