// SPDX-License-Identifier: GPL-2.0-only
#include "libckpt/vm/xen_roles.hh"

#include <charconv>
#include <cstring>

#include <sys/mman.h>

extern "C" {
#include <xen/grant_table.h>
#include <xen/hvm/params.h>
#include <xen/memory.h>
}

namespace ckpt::xen {
namespace {

// The grants of a guest, copied: pages that it lets another domain write.
class GrantTable {
  public:
    static Result<GrantTable> read(Handles &handles, std::uint32_t domid, xen_calls *calls) {
        GrantTable table;
        if (const int error = xen_grant_version(calls, &table.version_))
            return fail(error, "domain {}: can't get its grant table's version", domid);
        std::size_t bytes = 0;
        const auto id = static_cast<domid_t>(domid);
        if (xenforeignmemory_resource_size(handles.memory.get(), id, XENMEM_resource_grant_table,
                                           XENMEM_resource_grant_table_id_shared, &bytes))
            return fail(errno, "domain {}: can't get its grant table's size", domid);
        void *address = nullptr;
        auto *resource = xenforeignmemory_map_resource(
            handles.memory.get(), id, XENMEM_resource_grant_table,
            XENMEM_resource_grant_table_id_shared, 0, bytes / kPageSize, &address, PROT_READ, 0);
        if (!resource)
            return fail(errno, "domain {}: can't map its grant table", domid);
        table.bytes_.assign(static_cast<std::byte *>(address),
                            static_cast<std::byte *>(address) + bytes);
        xenforeignmemory_unmap_resource(handles.memory.get(), resource);
        return table;
    }

    // Calls visit(frame, domain) for each page that `domain` may write.
    template <typename Visit> void for_each_writable(Visit &&visit) const {
        const std::size_t step =
            version_ == 2 ? sizeof(grant_entry_v2_t) : sizeof(grant_entry_v1_t);
        for (std::size_t at = 0; at + step <= bytes_.size(); at += step) {
            grant_entry_v2_t entry{};
            std::memcpy(&entry, &bytes_[at], step);
            const unsigned flags = entry.hdr.flags;
            if ((flags & GTF_type_mask) != GTF_permit_access || flags & GTF_readonly)
                continue;
            grant_entry_v1_t old;
            std::memcpy(&old, &bytes_[at], sizeof(old));
            visit(version_ == 2 ? xen_pfn_t{entry.full_page.frame} : xen_pfn_t{old.frame},
                  unsigned{entry.hdr.domid});
        }
    }

  private:
    unsigned version_ = 0;
    std::vector<std::byte> bytes_;
};

Result<std::vector<FixedPage>> pv_rings(Handles &handles, std::uint32_t domid,
                                        const Space &space) {
    constexpr struct {
        const char *node, *what;
    } kRings[] = {{"store/ring-ref", "xenstore ring"}, {"console/ring-ref", "console ring"}};
    std::vector<FixedPage> rings;
    for (const auto &ring : kRings) {
        const auto text = handles.store.read(domain_path(domid, ring.node));
        xen_pfn_t frame = 0;
        if (text)
            std::from_chars(text->data(), text->data() + text->size(), frame);
        const Pfn pfn = frame ? space.pfn_of(frame) : kNoFrame;
        if (pfn == kNoFrame)
            return fail(ENODATA, "domain {}: xenstore does not say where its {} is", domid,
                        ring.what);
        rings.push_back({pfn, ring.what});
    }
    return rings;
}

} // namespace

Result<std::vector<FixedPage>> daemon_rings(Handles &handles, std::uint32_t domid, GuestKind kind,
                                            const Space &space) {
    if (kind == GuestKind::pv)
        return pv_rings(handles, domid, space);
    constexpr struct {
        std::uint32_t param;
        const char *what;
    } kRings[] = {{HVM_PARAM_STORE_PFN, "xenstore ring"}, {HVM_PARAM_CONSOLE_PFN, "console ring"}};
    std::vector<FixedPage> rings;
    for (const auto &ring : kRings) {
        std::uint64_t pfn = 0;
        if (xc_hvm_param_get(handles.control.get(), domid, ring.param, &pfn))
            return fail(errno, "domain {}: can't find its {}", domid, ring.what);
        if (pfn && pfn < space.limit())
            rings.push_back({pfn, ring.what});
    }
    return rings;
}

Result<std::map<Pfn, std::string>> page_roles(Handles &handles, const xc_domaininfo_t &info,
                                              xen_calls *calls, const Space &space,
                                              const std::vector<FixedPage> &rings) {
    std::map<Pfn, std::string> roles;
    const auto grants = CKPT_TRY(GrantTable::read(handles, info.domain, calls));
    grants.for_each_writable([&](xen_pfn_t frame, unsigned domain) {
        const Pfn pfn = space.pfn_of(frame);
        if (pfn != kNoFrame)
            roles[pfn] = fmt::format("granted to domain {} for writing: a device's ring or a "
                                     "receive buffer", domain);
    });
    if (info.shared_info_frame < space.limit() && info.flags & XEN_DOMINF_hvm_guest)
        roles[info.shared_info_frame] = "shared info, written by Xen";
    for (const FixedPage &ring : rings)
        roles[ring.pfn] = ring.what;
    return roles;
}

std::string event_page_role(const std::byte *page) {
    std::uint32_t words[kPageSize / 4];
    std::memcpy(words, page, kPageSize);
    // An event word: pending, masked, linked, busy, 17 bits of link. Unused: masked only.
    constexpr std::uint32_t kUnused = 0x40000000, kNeverSet = 0x0ffe0000;
    std::size_t unused = 0, possible = 0, zero = 0;
    for (std::uint32_t word : words) {
        unused += word == kUnused;
        possible += !(word & kNeverSet);
        zero += word == 0;
    }
    if (possible == std::size(words) && unused > std::size(words) / 2)
        return "event channel array, written by Xen";
    // A control block: which queues are ready, then their 16 heads.
    std::size_t in_front = 0;
    for (std::size_t i = 0; i < 18; i++)
        in_front += words[i] != 0 && words[i] <= 0x1ffff;
    if (in_front && in_front + zero == std::size(words))
        return "event channel control block, written by Xen";
    return {};
}

} // namespace ckpt::xen
