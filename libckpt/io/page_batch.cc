// SPDX-License-Identifier: GPL-2.0-only
#include "libckpt/io/page_batch.hh"

#include <sys/mman.h>

#include <algorithm>
#include <cstring>

#include "libckpt/base/assert.hh"

namespace ckpt {

namespace {
constexpr std::uint16_t kNoPlace = 0xffff;
} // namespace

PageBatch::PageBatch(PageArena *arena, std::byte *slot, unsigned slot_index)
    : arena_(arena), slot_(slot), slot_index_(slot_index) {}

PageBatch::PageBatch(PageBatch &&other) noexcept { *this = std::move(other); }

PageBatch &PageBatch::operator=(PageBatch &&other) noexcept {
    if (this == &other)
        return *this;
    if (slot_)
        arena_->put(slot_index_);
    arena_ = std::exchange(other.arena_, nullptr);
    slot_ = std::exchange(other.slot_, nullptr);
    slot_index_ = other.slot_index_;
    count_ = std::exchange(other.count_, std::uint16_t{0});
    contents_ = std::exchange(other.contents_, std::uint16_t{0});
    std::copy_n(other.pfns_.begin(), count_, pfns_.begin());
    std::copy_n(other.types_.begin(), count_, types_.begin());
    std::copy_n(other.places_.begin(), count_, places_.begin());
    return *this;
}

PageBatch::~PageBatch() {
    if (slot_)
        arena_->put(slot_index_);
}

std::byte *PageBatch::add(Pfn pfn, PageType type) {
    CKPT_ASSERT(valid() && !full() && has_contents(type));
    pfns_[count_] = pfn;
    types_[count_] = type;
    places_[count_] = contents_;
    count_++;
    return slot_ + kPageSize * (1 + std::size_t{contents_++});
}

void PageBatch::add_empty(Pfn pfn, PageType type) {
    CKPT_ASSERT(valid() && !full() && !has_contents(type));
    pfns_[count_] = pfn;
    types_[count_] = type;
    places_[count_] = kNoPlace;
    count_++;
}

void PageBatch::drop_contents(std::size_t i) {
    CKPT_ASSERT(i < count_ && places_[i] != kNoPlace);
    const auto place = std::exchange(places_[i], kNoPlace);
    const auto last = static_cast<std::uint16_t>(--contents_);
    if (place == last)
        return;
    auto moved = std::find(places_.begin(), places_.begin() + count_, last);
    std::memcpy(slot_ + kPageSize * (1 + std::size_t{place}),
                slot_ + kPageSize * (1 + std::size_t{last}), kPageSize);
    *moved = place;
}

const std::byte *PageBatch::data(std::size_t i) const {
    CKPT_ASSERT(i < count_);
    return places_[i] == kNoPlace ? nullptr : slot_ + kPageSize * (1 + std::size_t{places_[i]});
}

std::span<const std::byte> PageBatch::contents() const {
    return {slot_ + kPageSize, kPageSize * contents_};
}

std::span<std::byte> PageBatch::header() const { return {slot_, kPageSize}; }

Result<std::unique_ptr<PageArena>> PageArena::create(unsigned nr_slots) {
    if (nr_slots == 0)
        return fail(EINVAL, "page arena: no slots asked for");
    const std::size_t bytes = std::size_t{nr_slots} * PageBatch::kSlotBytes;
    void *memory = ::mmap(nullptr, bytes, PROT_READ | PROT_WRITE,
                          MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
    if (memory == MAP_FAILED)
        return fail(errno, "page arena: {} batches of {} KiB", nr_slots,
                    PageBatch::kSlotBytes / 1024);
    // A child (the toolstack that we run) must neither copy the arena nor make
    // our next write to it fault.
    ::madvise(memory, bytes, MADV_DONTFORK);
    const bool locked = ::mlock(memory, bytes) == 0;
    return std::unique_ptr<PageArena>(
        new PageArena(static_cast<std::byte *>(memory), nr_slots, locked));
}

PageArena::PageArena(std::byte *memory, unsigned nr_slots, bool locked)
    : memory_(memory), nr_slots_(nr_slots), locked_(locked) {
    free_.reserve(nr_slots);
    for (unsigned slot = nr_slots; slot-- > 0;)
        free_.push_back(slot);
}

PageArena::~PageArena() {
    CKPT_ASSERT(free_.size() == nr_slots_); // batches do not outlive their arena
    ::munmap(memory_, nr_slots_ * PageBatch::kSlotBytes);
}

PageBatch PageArena::try_get() {
    std::lock_guard lock(mutex_);
    if (free_.empty())
        return {};
    const unsigned slot = free_.back();
    free_.pop_back();
    return {this, memory_ + slot * PageBatch::kSlotBytes, slot};
}

PageBatch PageArena::get() {
    std::unique_lock lock(mutex_);
    freed_.wait(lock, [this] { return !free_.empty(); });
    const unsigned slot = free_.back();
    free_.pop_back();
    return {this, memory_ + slot * PageBatch::kSlotBytes, slot};
}

unsigned PageArena::nr_free() const {
    std::lock_guard lock(mutex_);
    return static_cast<unsigned>(free_.size());
}

std::vector<std::span<std::byte>> PageArena::slots() const {
    std::vector<std::span<std::byte>> slots;
    for (unsigned slot = 0; slot < nr_slots_; slot++)
        slots.emplace_back(memory_ + slot * PageBatch::kSlotBytes, PageBatch::kSlotBytes);
    return slots;
}

void PageArena::put(unsigned slot_index) {
    {
        std::lock_guard lock(mutex_);
        free_.push_back(slot_index);
    }
    freed_.notify_one();
}

} // namespace ckpt
