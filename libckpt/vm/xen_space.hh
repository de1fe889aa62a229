// SPDX-License-Identifier: GPL-2.0-only
// A guest's address space: which frame holds a pfn, and how a page's contents
// become independent of the frames that this guest happens to have.
#pragma once

#include <functional>
#include <memory>
#include <vector>

#include "libckpt/base/page.hh"
#include "libckpt/base/page_set.hh"
#include "libckpt/vm/xen_handles.hh"
#include "libckpt/vm/xen_hypercalls.h"

namespace ckpt::xen {

inline constexpr xen_pfn_t kNoFrame = ~xen_pfn_t{0};

// What xen_page_types() gives, in the stream's words.
inline PageType page_type(std::uint64_t info) {
    return static_cast<PageType>(static_cast<std::uint32_t>(info) >> 28);
}

class Space {
  public:
    virtual ~Space() = default;

    virtual Pfn limit() const = 0;
    // The frame that Xen's calls name pfn by; kNoFrame: it has none now.
    virtual xen_pfn_t frame(Pfn pfn) const = 0;
    // The guest's own pfn of a frame; kNoFrame if the frame isn't the guest's.
    virtual Pfn pfn_of(xen_pfn_t frame) const = 0;
    // Whether contents depend on the page's type, so that it must be known
    // before copying.
    virtual bool typed() const = 0;
    // Writes a page as it is stored. False: it refers to frames that aren't
    // the guest's own, which only happens while the guest runs.
    virtual bool store_form(PageType type, const std::byte *page, std::byte *out) const = 0;
    // Adds pages that have got other frames since the last call. The guest is
    // suspended. ERANGE: the space has outgrown limit().
    virtual Status add_moved(PageSet &pages) = 0;
};

// The machine-to-physical table of the whole host, shared by all PV guests.
class MachineTable {
  public:
    static Result<std::shared_ptr<MachineTable>> map();
    ~MachineTable();
    xen_pfn_t max_frame() const { return max_frame_; }
    // kNoFrame for a frame that is not there.
    Pfn pfn(xen_pfn_t frame) const { return frame <= max_frame_ ? table_[frame] : kNoFrame; }

  private:
    Handle<xc_interface, xc_interface_close> control_;
    xen_pfn_t *table_ = nullptr;
    xen_pfn_t max_frame_ = 0;
};

// PVH: frames are named by pfns themselves. Which pfns there are is found by
// asking for their types, and remembered; a pfn that Xen maps without its being
// the guest's memory (shared info, grant table) has no frame here.
class PvhSpace : public Space {
  public:
    static Result<std::unique_ptr<PvhSpace>> open(Handles &handles, const xc_domaininfo_t &info);

    // Looks at the pfns that may hold memory, and calls visit(pfn, present) for
    // each that came or went since. `total_pages`: the guest's, now.
    using Visit = std::function<void(Pfn pfn, bool present)>;
    Status scan(xen_calls *calls, std::uint64_t total_pages, const Visit &visit);
    const PageSet &present() const { return present_; }

    Pfn limit() const override { return present_.limit(); }
    xen_pfn_t frame(Pfn pfn) const override { return present_.contains(pfn) ? pfn : kNoFrame; }
    Pfn pfn_of(xen_pfn_t frame_) const override { return frame(frame_); }
    bool typed() const override { return false; }
    bool store_form(PageType type, const std::byte *page, std::byte *out) const override;
    // What came and went is the business of Balloon.
    Status add_moved(PageSet &) override { return {}; }

  private:
    PvhSpace(const xc_domaininfo_t &info, Pfn limit);
    Status scan_chunks(xen_calls *calls, const Visit &visit, bool likely);
    bool may_hold_memory(std::size_t chunk) const;

    std::uint32_t domid_;
    std::uint64_t max_pages_;
    PageSet present_;
    bool scanned_ = false;
    std::uint64_t nr_unmapped_ = 0; // of its pages, that no pfn had when all were asked for
    std::vector<bool> chunks_; // groups of pfns in which there was memory, ever
    std::vector<std::uint64_t> types_;
};

// PV: the guest's own p2m list, followed through its page tables.
class PvSpace : public Space {
  public:
    static Result<std::unique_ptr<PvSpace>> open(Handles &handles, const xc_domaininfo_t &info,
                                                 std::shared_ptr<MachineTable> machine);

    Pfn limit() const override { return limit_; }
    xen_pfn_t frame(Pfn pfn) const override;
    Pfn pfn_of(xen_pfn_t frame) const override;
    bool typed() const override { return true; }
    bool store_form(PageType type, const std::byte *page, std::byte *out) const override;
    Status add_moved(PageSet &pages) override;

    const std::byte *shared_info() const { return shared_info_.page(0); }
    // The pfns that hold the p2m list, in its order.
    const std::vector<Pfn> &list_pfns() const { return list_pfns_; }

  private:
    PvSpace(Handles &handles, std::uint32_t domid) : handles_(handles), domid_(domid) {}
    Status map_list();
    Result<xen_pfn_t> root() const;
    Result<std::vector<xen_pfn_t>> walk(xen_pfn_t root, std::uint64_t address, std::size_t pages);
    const std::uint64_t *list_page(std::size_t i) const;

    Handles &handles_;
    std::uint32_t domid_;
    bool paused_ = false;
    Pfn limit_ = 0;
    std::shared_ptr<MachineTable> machine_;
    Mapping shared_info_, list_;
    std::uint64_t generation_ = 0;
    std::vector<Pfn> list_pfns_;
    std::vector<std::uint64_t> known_; // the list at the last add_moved()
};

} // namespace ckpt::xen
