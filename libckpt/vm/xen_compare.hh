// SPDX-License-Identifier: GPL-2.0-only
// Finds changed pages of a guest without a dirty log (PV on a hypervisor
// without shadow paging): everything is mapped once and compared with a private
// copy. The copy is what was last handed out for storing, byte for byte:
// compared with anything else, a page that went from A to B and back would be
// taken for unchanged while the store holds B. What counts is the comparison
// with the stopped guest; those before it find what can be written early.
#pragma once

#include <memory>
#include <vector>

#include "libckpt/base/page.hh"
#include "libckpt/base/page_set.hh"
#include "libckpt/io/page_batch.hh"
#include "libckpt/vm/xen_handles.hh"
#include "libckpt/vm/xen_hypercalls.h"
#include "libckpt/vm/xen_space.hh"

namespace ckpt::xen {

class Compare {
  public:
    // Reserves the copy: as much memory of ours as the guest has.
    static Result<std::unique_ptr<Compare>> create(Handles &handles, std::uint32_t domid,
                                                   xen_calls *calls, const Space &space);
    ~Compare();

    // Remembers pages `from`.. of the batch as what is stored of them.
    void stored(const PageBatch &batch, std::size_t from);
    // Adds the pages that differ from what is stored, in type or contents; how
    // many. While the guest runs (not `stopped`) only those that changed since
    // they were added last, which makes it a round as the dirty log has them.
    Result<std::uint64_t> add_changed(PageSet &dirty, bool stopped);
    // Unmaps the guest; the next add_changed() maps it again.
    void drop_mappings() { chunks_.clear(); }

  private:
    struct Chunk {
        Mapping mapping;
        std::vector<xen_pfn_t> frames;
        std::vector<int> errors;
    };
    Compare(Handles &handles, std::uint32_t domid, xen_calls *calls, const Space &space);
    Status refresh(Chunk &chunk, Pfn first, std::size_t count);
    bool changed(Pfn pfn, PageType type, const std::byte *page, bool stopped);

    Handles &handles_;
    std::uint32_t domid_;
    xen_calls *calls_;
    const Space &space_;
    std::byte *copy_ = nullptr;
    std::vector<PageType> types_;       // as stored
    std::vector<std::uint32_t> added_;  // checksum when last added, 0: not since stored
    std::vector<Chunk> chunks_;
    std::vector<std::uint64_t> asked_;
    alignas(8) std::byte table_[kPageSize];
};

} // namespace ckpt::xen
