// SPDX-License-Identifier: GPL-2.0-only
#include "libckpt/vm/xen_space.hh"

#include <algorithm>
#include <cstring>
#include <thread>

#include <sys/mman.h>

extern "C" {
#include <xen/foreign/x86_64.h>
}

namespace ckpt::xen {
namespace {

constexpr std::uint64_t kPtePresent = 1, kPteLarge = 0x80;
constexpr std::uint64_t kPteFrameMask = 0x000ffffffffff000;
constexpr std::size_t kEntries = kPageSize / sizeof(std::uint64_t);
// The slots of a PV guest's top table that Xen keeps for itself.
constexpr std::size_t kXenFirstSlot = 256, kXenLastSlot = 271;

constexpr std::size_t kChunk = XEN_TYPES_MAX;
constexpr Pfn kFourGiB = Pfn{1} << 20, kHoleEnd = 0xf0000;

const volatile arch_shared_info_x86_64_t &arch_info(const std::byte *shared_info) {
    return reinterpret_cast<const volatile shared_info_x86_64_t *>(shared_info)->arch;
}

} // namespace

PvhSpace::PvhSpace(const xc_domaininfo_t &info, Pfn limit)
    : domid_(info.domain), max_pages_(info.max_pages), present_(limit),
      chunks_((limit + kChunk - 1) / kChunk), types_(kChunk) {}

Result<std::unique_ptr<PvhSpace>> PvhSpace::open(Handles &handles, const xc_domaininfo_t &info) {
    xen_pfn_t limit = 0;
    if (xc_domain_nr_gpfns(handles.control.get(), info.domain, &limit))
        return fail(errno, "domain {}: can't get the size of its memory", info.domain);
    return std::unique_ptr<PvhSpace>(new PvhSpace(info, limit));
}

bool PvhSpace::store_form(PageType, const std::byte *page, std::byte *out) const {
    std::memcpy(out, page, kPageSize);
    return true;
}

// Ordinary memory lies from 0 up to the hole below 4 GiB, and above 4 GiB; at
// the end of the hole are the pages of Xen's own and the toolstack's.
bool PvhSpace::may_hold_memory(std::size_t chunk) const {
    const Pfn first = chunk * kChunk;
    return chunks_[chunk] || first <= max_pages_ || first >= (scanned_ ? kFourGiB : kHoleEnd);
}

// Where there may be memory; and everywhere, if more of it is not found there
// than ever: to ask about gigabytes of nothing takes long.
Status PvhSpace::scan(xen_calls *calls, std::uint64_t total_pages, const Visit &visit) {
    CKPT_CHECK(scan_chunks(calls, visit, true));
    scanned_ = true;
    if (present_.count() + nr_unmapped_ >= total_pages)
        return {};
    CKPT_CHECK(scan_chunks(calls, visit, false));
    nr_unmapped_ = total_pages - std::min(total_pages, present_.count());
    return {};
}

Status PvhSpace::scan_chunks(xen_calls *calls, const Visit &visit, bool likely) {
    for (std::size_t chunk = 0; chunk < chunks_.size(); chunk++) {
        if (likely && !may_hold_memory(chunk))
            continue;
        const Pfn first = chunk * kChunk;
        const unsigned count = static_cast<unsigned>(std::min<Pfn>(kChunk, limit() - first));
        for (unsigned i = 0; i < count; i++)
            types_[i] = first + i;
        if (const int error = xen_page_types(calls, types_.data(), count))
            return fail(error, "domain {}: can't get page types", domid_);
        for (unsigned i = 0; i < count; i++) {
            const bool is = has_contents(page_type(types_[i]));
            if (is)
                chunks_[chunk] = true;
            if (is == present_.contains(first + i))
                continue;
            is ? present_.insert(first + i) : present_.erase(first + i);
            visit(first + i, is);
        }
    }
    return {};
}

Result<std::shared_ptr<MachineTable>> MachineTable::map() {
    auto table = std::make_shared<MachineTable>();
    table->control_.reset(xc_interface_open(nullptr, nullptr, 0));
    unsigned long max_frame = 0;
    if (!table->control_ || xc_maximum_ram_page(table->control_.get(), &max_frame))
        return fail(errno, "can't get the size of the host's memory");
    table->table_ = xc_map_m2p(table->control_.get(), max_frame, PROT_READ, nullptr);
    if (!table->table_)
        return fail(errno, "can't map the machine-to-physical table");
    table->max_frame_ = max_frame;
    return table;
}

MachineTable::~MachineTable() {
    if (table_)
        munmap(table_, (max_frame_ + 1) * sizeof(*table_));
}

Result<std::unique_ptr<PvSpace>> PvSpace::open(Handles &handles, const xc_domaininfo_t &info,
                                               std::shared_ptr<MachineTable> machine) {
    std::unique_ptr<PvSpace> space(new PvSpace(handles, info.domain));
    space->machine_ = std::move(machine);
    space->paused_ = info.flags & XEN_DOMINF_paused;
    const xen_pfn_t frame = info.shared_info_frame;
    space->shared_info_ =
        CKPT_TRY(Mapping::create(handles.memory.get(), info.domain, std::span(&frame, 1)));
    // A running guest may be moving its list: a moment later it has done so.
    for (int tries = 20;; tries--) {
        Status mapped = space->map_list();
        if (mapped.has_value())
            break;
        if (!mapped.error().is(EAGAIN) || tries == 0)
            return tl::unexpected(mapped.error());
        std::this_thread::sleep_for(std::chrono::milliseconds(5));
    }
    space->known_.assign(space->list_page(0), space->list_page(0) + space->limit_);
    return space;
}

const std::uint64_t *PvSpace::list_page(std::size_t i) const {
    return reinterpret_cast<const std::uint64_t *>(list_.page(i));
}

Status PvSpace::map_list() {
    const auto &arch = arch_info(shared_info_.page(0));
    const std::uint64_t generation = arch.p2m_generation;
    if (generation & 1)
        return fail(EAGAIN, "domain {}: its p2m list is being changed", domid_);
    const Pfn limit = arch.max_pfn;
    if (!arch.p2m_cr3 || !limit)
        return fail(EOPNOTSUPP,
                    "domain {}: it has no linear p2m list (a kernel older than Linux 4.0, or one "
                    "that has not started yet)",
                    domid_);
    if (limit_ && limit > limit_)
        return fail(ERANGE, "domain {}: its memory space grew; it must be opened again", domid_);
    const auto frames =
        CKPT_TRY(walk(CKPT_TRY(root()), arch.p2m_vaddr, (limit + kEntries - 1) / kEntries));
    list_ = CKPT_TRY(Mapping::create(handles_.memory.get(), domid_, frames));
    limit_ = limit;
    generation_ = generation;
    list_pfns_.clear();
    for (xen_pfn_t list_frame : frames) {
        const Pfn pfn = pfn_of(list_frame);
        if (pfn == kNoFrame)
            return fail(EAGAIN, "domain {}: frame {:#x} of its p2m list isn't its own", domid_,
                        list_frame);
        list_pfns_.push_back(pfn);
    }
    if (arch.p2m_generation != generation)
        return fail(EAGAIN, "domain {}: its p2m list is being changed", domid_);
    return {};
}

// The tables that map the list. A guest that was restored and has not run yet says in its
// shared page where they were before; its processor's kernel half has the list as well,
// and does not change while it is paused.
Result<xen_pfn_t> PvSpace::root() const {
    if (!paused_)
        return arch_info(shared_info_.page(0)).p2m_cr3 >> XC_PAGE_SHIFT;
    vcpu_guest_context_any_t context;
    if (xc_vcpu_getcontext(handles_.control.get(), domid_, 0, &context))
        return fail(errno, "domain {}: can't get the state of its processor 0", domid_);
    return context.x64.ctrlreg[3] >> XC_PAGE_SHIFT;
}

// The frames behind `pages` pages from `address` on, by the tables below `root`.
Result<std::vector<xen_pfn_t>> PvSpace::walk(xen_pfn_t root, std::uint64_t address,
                                             std::size_t pages) {
    std::vector<xen_pfn_t> frames;
    xen_pfn_t mapped[4] = {kNoFrame, kNoFrame, kNoFrame, kNoFrame};
    Mapping tables[4];
    for (std::size_t i = 0; i < pages; i++) {
        const std::uint64_t at = address + i * kPageSize;
        xen_pfn_t frame = root;
        for (unsigned level = 4; level-- > 0;) {
            if (mapped[level] != frame) {
                tables[level] =
                    CKPT_TRY(Mapping::create(handles_.memory.get(), domid_, std::span(&frame, 1)));
                mapped[level] = frame;
            }
            const auto *entries = reinterpret_cast<const std::uint64_t *>(tables[level].page(0));
            const std::uint64_t entry = entries[at >> (12 + 9 * level) & (kEntries - 1)];
            if (!(entry & kPtePresent))
                return fail(EAGAIN, "domain {}: its p2m list isn't mapped at {:#x}", domid_, at);
            frame = (entry & kPteFrameMask) >> XC_PAGE_SHIFT;
        }
        frames.push_back(frame);
    }
    return frames;
}

xen_pfn_t PvSpace::frame(Pfn pfn) const {
    // The list is the guest's: what is no frame of this host is none of its.
    const std::uint64_t frame = __atomic_load_n(list_page(0) + pfn, __ATOMIC_RELAXED);
    return frame <= machine_->max_frame() ? frame : kNoFrame;
}

Pfn PvSpace::pfn_of(xen_pfn_t frame_) const {
    const Pfn pfn = machine_->pfn(frame_);
    return pfn < limit_ && frame(pfn) == frame_ ? pfn : kNoFrame;
}

// Page tables hold machine frames; stored, they hold pfns, which the restore
// turns into the new guest's frames.
bool PvSpace::store_form(PageType type, const std::byte *page, std::byte *out) const {
    const unsigned level = static_cast<unsigned>(type) & 7;
    if (level < 1 || level > 4) {
        std::memcpy(out, page, kPageSize);
        return true;
    }
    const auto *from = reinterpret_cast<const std::uint64_t *>(page);
    auto *to = reinterpret_cast<std::uint64_t *>(out);
    for (std::size_t i = 0; i < kEntries; i++) {
        std::uint64_t entry = __atomic_load_n(from + i, __ATOMIC_RELAXED);
        if (level == 4 && i >= kXenFirstSlot && i <= kXenLastSlot)
            entry = 0;
        if (entry & kPtePresent) {
            if (level > 1 && (entry & kPteLarge))
                return false;
            const Pfn pfn = pfn_of((entry & kPteFrameMask) >> XC_PAGE_SHIFT);
            if (pfn == kNoFrame)
                return false;
            entry = (entry & ~kPteFrameMask) | pfn << XC_PAGE_SHIFT;
        }
        to[i] = entry;
    }
    return true;
}

Status PvSpace::add_moved(PageSet &pages) {
    if (arch_info(shared_info_.page(0)).p2m_generation != generation_)
        CKPT_CHECK(map_list());
    for (Pfn first = 0; first < limit_; first += kEntries) {
        const std::size_t count = std::min<Pfn>(kEntries, limit_ - first);
        const std::uint64_t *now = list_page(first / kEntries);
        if (std::memcmp(now, &known_[first], count * sizeof(*now)) == 0)
            continue;
        for (std::size_t i = 0; i < count; i++)
            if (now[i] != known_[first + i])
                pages.insert(first + i);
        std::memcpy(&known_[first], now, count * sizeof(*now));
    }
    return {};
}

} // namespace ckpt::xen
