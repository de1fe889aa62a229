// SPDX-License-Identifier: GPL-2.0-only
#include "libckpt/vm/xen_probe.hh"

#include <algorithm>

#include "libckpt/vm/xen_disks.hh"
#include "libckpt/vm/xen_log_dirty.hh"

namespace ckpt::xen {
namespace {

constexpr unsigned kPvWidth = 8;

GuestKind kind(const xc_domaininfo_t &info) {
    if (!(info.flags & XEN_DOMINF_hvm_guest))
        return GuestKind::pv;
    // A PVH guest has a local APIC and nothing else of a PC.
    return info.arch_config.emulation_flags & ~XEN_X86_EMU_LAPIC ? GuestKind::hvm : GuestKind::pvh;
}

std::string refusal(Handles &handles, const xc_domaininfo_t &info, GuestKind kind) {
    if (kind == GuestKind::hvm)
        return "it has a device model (type=\"hvm\"), whose state can't be captured yet; run it "
               "with type=\"pvh\" or type=\"pv\"";
    if (!handles.store.children(domain_path(info.domain, "device/pci")).empty())
        return "a PCI device (a virtual function of SR-IOV is one, too) is passed through to it, "
               "whose state can't be captured; detach it (xl pci-detach), or give it a vif";
    if (!handles.store.children(domain_path(info.domain, "device/vtpm")).empty())
        return "it has a virtual TPM, whose state can't be captured, and must not go back in time; "
               "run it without one";
    unsigned width = 0;
    if (kind == GuestKind::pv && !(info.flags & (XEN_DOMINF_dying | XEN_DOMINF_shutdown)) &&
        !xc_domain_get_guest_width(handles.control.get(), info.domain, &width) && width != kPvWidth)
        return "it is a 32-bit PV guest; run a 64-bit kernel";
    return {};
}

Result<Tracking> tracking(Handles &handles, const xc_domaininfo_t &info, GuestKind kind,
                          LogDirtySupport &support) {
    auto &known = kind == GuestKind::pv ? support.pv : support.pvh;
    if (!known)
        known = CKPT_TRY(can_log_dirty(handles, info.domain));
    if (*known)
        return Tracking::log_dirty;
    return kind == GuestKind::pv ? Tracking::compare : Tracking::none;
}

} // namespace

Uuid domain_uuid(const xc_domaininfo_t &info) {
    Uuid uuid;
    std::copy(std::begin(info.handle), std::end(info.handle), uuid.bytes.begin());
    return uuid;
}

RunState run_state(const xc_domaininfo_t &info) {
    if (info.flags & XEN_DOMINF_dying)
        return RunState::dying;
    if (is_suspended(info))
        return RunState::suspended;
    if (is_shut_down(info))
        return RunState::crashed;
    return info.flags & XEN_DOMINF_paused ? RunState::paused : RunState::running;
}

Result<GuestInfo> probe(Handles &handles, const xc_domaininfo_t &info, LogDirtySupport &support) {
    GuestInfo guest;
    guest.uuid = domain_uuid(info);
    guest.domid = info.domain;
    guest.name = handles.store.read(domain_path(info.domain, "name")).value_or("");
    guest.kind = kind(info);
    guest.state = run_state(info);
    guest.nr_pages = info.tot_pages;
    guest.nr_vcpus = info.max_vcpu_id == XEN_INVALID_MAX_VCPU_ID ? 0 : info.max_vcpu_id + 1;
    xen_pfn_t limit = 0;
    if (!xc_domain_nr_gpfns(handles.control.get(), info.domain, &limit))
        guest.pfn_limit = limit;
    guest.disks = disks_of(handles.store, info.domain);
    guest.refusal = refusal(handles, info, guest.kind);
    if (!guest.refusal.empty() || guest.state == RunState::dying)
        return guest;
    guest.tracking = CKPT_TRY(tracking(handles, info, guest.kind, support));
    if (guest.tracking == Tracking::none)
        guest.refusal = "this hypervisor can't log its writes; a PVH guest needs hardware-assisted "
                        "paging (hap=1)";
    return guest;
}

} // namespace ckpt::xen
