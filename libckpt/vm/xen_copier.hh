// SPDX-License-Identifier: GPL-2.0-only
// Copies guest pages into batches. Mapping costs more per call than per page,
// and unmapping is the dearest part of all: pages are mapped in groups that
// serve several batches, and what was mapped while the guest was suspended is
// unmapped after it runs again.
#pragma once

#include <array>
#include <span>
#include <vector>

#include "libckpt/base/page.hh"
#include "libckpt/base/page_set.hh"
#include "libckpt/io/page_batch.hh"
#include "libckpt/vm/xen_handles.hh"
#include "libckpt/vm/xen_hypercalls.h"
#include "libckpt/vm/xen_space.hh"

namespace ckpt::xen {

// One page as the copier found it; null data: no contents.
struct FoundPage {
    Pfn pfn;
    PageType type;
    const std::byte *data; // as in the guest, not in its store form
};

class Copier {
  public:
    static constexpr std::size_t kGroup = XEN_TYPES_MAX;

    Copier(Handles &handles, std::uint32_t domid, xen_calls *calls, const Space &space);

    // Guest::copy_pages(). `stopped`: a page that can't be copied is an error.
    Result<std::size_t> copy(std::span<const Pfn> pfns, bool stopped, PageBatch &batch,
                             PageSet &deferred);
    // Finds the pages of `pfns`, at most kGroup, for as long as no other call
    // is made. Those that can't be had now are left out.
    Result<std::span<const FoundPage>> find(std::span<const Pfn> pfns, bool stopped);
    // The frames may have changed: what is mapped must not serve again.
    // `keep`: it is unmapped by release() only.
    void forget(bool keep);
    void release() { retired_.clear(); }

  private:
    Status map_group(std::span<const Pfn> pfns, bool stopped);
    Status settle_holes(bool stopped);
    bool serves(std::span<const Pfn> pfns) const;

    Handles &handles_;
    std::uint32_t domid_;
    xen_calls *calls_;
    const Space &space_;

    // The group: pfns as asked for, and what was found of each.
    std::size_t size_ = 0, next_ = 0;
    std::array<Pfn, kGroup> pfns_;
    std::array<PageType, kGroup> types_;
    std::array<const std::byte *, kGroup> data_;
    Mapping mapping_;
    std::vector<Mapping> retired_;
    // Work space of map_group().
    std::array<std::uint64_t, kGroup> asked_;
    std::array<xen_pfn_t, kGroup> frames_;
    std::array<std::uint16_t, kGroup> members_;
    std::array<int, kGroup> errors_;
    std::array<FoundPage, kGroup> found_;
};

} // namespace ckpt::xen
