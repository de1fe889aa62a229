// SPDX-License-Identifier: GPL-2.0-only
// A guest's newest image, held in memory: what a store does, without one.
#pragma once

#include <cstring>
#include <vector>

#include <sys/mman.h>

#include "libckpt/base/assert.hh"
#include "libckpt/store/page_store.hh"
#include "libckpt/vm/guest_backend.hh"

namespace ckpt::test {

class MemoryImage : public ImageReader {
  public:
    explicit MemoryImage(const GuestInfo &info)
        : limit_(info.pfn_limit), types_(info.pfn_limit, PageType::hole) {
        entry_.uuid = info.uuid;
        entry_.name = info.name;
        entry_.kind = info.kind;
        entry_.pfn_limit = info.pfn_limit;
        void *memory = mmap(nullptr, limit_ * kPageSize, PROT_READ | PROT_WRITE,
                            MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
        CKPT_ASSERT(memory != MAP_FAILED);
        memory_ = static_cast<std::byte *>(memory);
    }
    ~MemoryImage() override { munmap(memory_, limit_ * kPageSize); }
    MemoryImage(const MemoryImage &) = delete;

    void apply(const PageBatch &batch) {
        for (std::size_t i = 0; i < batch.size(); i++) {
            types_[batch.pfn(i)] = batch.type(i);
            if (batch.data(i))
                std::memcpy(page(batch.pfn(i)), batch.data(i), kPageSize);
        }
    }
    // Forgets all pages: a full capture follows.
    void clear() { types_.assign(types_.size(), PageType::hole); }
    void set_state(StateRecords state) { state_ = std::move(state); }

    Pfn limit() const { return limit_; }
    PageType type(Pfn pfn) const { return types_[pfn]; }
    const std::byte *contents(Pfn pfn) const { return memory_ + pfn * kPageSize; }

    const GuestEntry &entry() const override { return entry_; }
    const StateRecords &state() const override { return state_; }
    Status for_each(const std::function<Status(std::span<const Page>)> &visit) override {
        std::vector<Page> group;
        for (Pfn pfn = 0; pfn <= limit_; pfn++) {
            if (group.size() == 256 || (pfn == limit_ && !group.empty())) {
                CKPT_CHECK(visit(group));
                group.clear();
            }
            if (pfn < limit_ && types_[pfn] != PageType::hole)
                group.push_back(
                    {pfn, types_[pfn], has_contents(types_[pfn]) ? contents(pfn) : nullptr});
        }
        return {};
    }

  private:
    std::byte *page(Pfn pfn) { return memory_ + pfn * kPageSize; }

    Pfn limit_;
    std::byte *memory_;
    std::vector<PageType> types_;
    GuestEntry entry_;
    StateRecords state_;
};

} // namespace ckpt::test
