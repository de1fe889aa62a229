// SPDX-License-Identifier: GPL-2.0-only
// PV guests: vcpu by vcpu, with machine frames turned into pfns.
#include "libckpt/vm/xen_state.hh"

#include <cstring>

extern "C" {
#include <xen/foreign/x86_64.h>
}

namespace ckpt::xen {
namespace {

constexpr std::size_t kPartRoom = 32768; // of one vcpu's XSAVE area: the biggest part
constexpr unsigned kEntriesPerFrame = 512;

struct P2mHeader {
    std::uint32_t first = 0, last;
};
struct VcpuHeader {
    std::uint32_t vcpu, reserved = 0;
};

using ReadPart = int (*)(xen_calls *, unsigned, void *, std::size_t *);
constexpr struct {
    stream::Record type;
    ReadPart read;
    const char *what;
} kParts[] = {
    {stream::Record::pv_vcpu_extended, xen_vcpu_extended, "extended state"},
    {stream::Record::pv_vcpu_xsave, xen_vcpu_xsave, "XSAVE area"},
    {stream::Record::pv_vcpu_msrs, xen_vcpu_msrs, "model-specific registers"},
};

class PvState : public State {
  public:
    PvState(Handles &handles, std::uint32_t domid, xen_calls *calls, const PvSpace &space,
            unsigned nr_vcpus)
        : handles_(handles), domid_(domid), calls_(calls), space_(space), nr_vcpus_(nr_vcpus),
          part_(kPartRoom) {}

    Status init() {
        static_ = CKPT_TRY(static_records(handles_, domid_, stream::DomainType::pv));
        return {};
    }

    Status prepare() override {
        records_ = {};
        records_.head.reserve(static_.size() + (space_.list_pfns().size() + 2) * sizeof(Pfn) + 64);
        records_.head = static_;
        records_.tail.reserve(2 * kPageSize + nr_vcpus_ * (kPartRoom + 2 * kPageSize));
        return {};
    }

    Result<StateRecords> read() override {
        const P2mHeader frames{.last = static_cast<std::uint32_t>(space_.limit() - 1)};
        stream::append_record(records_.head, stream::Record::pv_p2m_frames, stream::one(frames),
                              space_.list_pfns());
        auto &tail = records_.tail;
        CKPT_CHECK(append_tsc(handles_, domid_, tail));
        stream::append_record(tail, stream::Record::pv_shared_info,
                              std::span(space_.shared_info(), kPageSize));
        for (unsigned vcpu = 0; vcpu < nr_vcpus_; vcpu++)
            CKPT_CHECK(append_vcpu(vcpu));
        stream::append_record(tail, stream::Record::end);
        return std::move(records_);
    }

  private:
    Result<Pfn> own_pfn(xen_pfn_t frame, unsigned vcpu, const char *what) const {
        const Pfn pfn = space_.pfn_of(frame);
        if (pfn == kNoFrame)
            return fail(ERANGE, "domain {}: vcpu {}: its {} is in frame {:#x}, not its own", domid_,
                        vcpu, what, frame);
        return pfn;
    }

    Status append_vcpu(unsigned vcpu) {
        xc_vcpuinfo_t info;
        if (xc_vcpu_getinfo(handles_.control.get(), domid_, vcpu, &info))
            return fail(errno, "domain {}: vcpu {}", domid_, vcpu);
        if (!info.online)
            return {};
        const VcpuHeader header{.vcpu = vcpu};
        CKPT_CHECK(append_basic(vcpu, header));
        for (const auto &part : kParts) {
            std::size_t size = part_.size();
            if (const int error = part.read(calls_, vcpu, part_.data(), &size))
                return fail(error, "domain {}: vcpu {}: can't read its {}", domid_, vcpu, part.what);
            if (size)
                stream::append_record(records_.tail, part.type, stream::one(header),
                                      std::span(part_).first(size));
        }
        return {};
    }

    Status append_basic(unsigned vcpu, const VcpuHeader &header) {
        vcpu_guest_context_any_t any{};
        if (xc_vcpu_getcontext(handles_.control.get(), domid_, vcpu, &any))
            return fail(errno, "domain {}: vcpu {}: can't read its registers", domid_, vcpu);
        auto &context = any.x64;
        if (vcpu == 0) // a suspended vcpu 0 holds its start_info's frame here
            context.user_regs.rdx = CKPT_TRY(own_pfn(context.user_regs.rdx, vcpu, "start_info"));
        const std::uint64_t gdt_frames =
            (context.gdt_ents + kEntriesPerFrame - 1) / kEntriesPerFrame;
        if (gdt_frames > sizeof(context.gdt_frames) / sizeof(context.gdt_frames[0]))
            return fail(ERANGE, "domain {}: vcpu {}: {} GDT entries", domid_, vcpu,
                        context.gdt_ents);
        for (std::uint64_t i = 0; i < gdt_frames; i++)
            context.gdt_frames[i] = CKPT_TRY(own_pfn(context.gdt_frames[i], vcpu, "GDT"));
        auto &kernel_table = context.ctrlreg[3], &user_table = context.ctrlreg[1];
        kernel_table = CKPT_TRY(own_pfn(kernel_table >> XC_PAGE_SHIFT, vcpu, "page table"))
                       << XC_PAGE_SHIFT;
        if (user_table)
            user_table = 1 | CKPT_TRY(own_pfn(user_table >> XC_PAGE_SHIFT, vcpu, "user page table"))
                                 << XC_PAGE_SHIFT;
        stream::append_record(records_.tail, stream::Record::pv_vcpu_basic, stream::one(header),
                              stream::one(context));
        return {};
    }

    Handles &handles_;
    std::uint32_t domid_;
    xen_calls *calls_;
    const PvSpace &space_;
    unsigned nr_vcpus_;
    std::vector<std::byte> static_, part_;
    StateRecords records_; // being prepared
};

} // namespace

Result<std::unique_ptr<State>> open_pv_state(Handles &handles, std::uint32_t domid,
                                             xen_calls *calls, const PvSpace &space,
                                             unsigned nr_vcpus) {
    auto state = std::make_unique<PvState>(handles, domid, calls, space, nr_vcpus);
    CKPT_CHECK(state->init());
    return std::unique_ptr<State>(std::move(state));
}

} // namespace ckpt::xen
