// SPDX-License-Identifier: GPL-2.0-only
// PVH guests: one blob of Xen's own holds all vcpus, timers and interrupts.
#include "libckpt/vm/xen_state.hh"

#include <algorithm>

extern "C" {
#include <xen/hvm/params.h>
}

namespace ckpt::xen {
namespace {

// Those that only the toolstack sets: they are read before the pause.
constexpr std::uint32_t kParams[] = {
    HVM_PARAM_STORE_PFN,         HVM_PARAM_IOREQ_PFN,
    HVM_PARAM_BUFIOREQ_PFN,      HVM_PARAM_PAGING_RING_PFN,
    HVM_PARAM_MONITOR_RING_PFN,  HVM_PARAM_SHARING_RING_PFN,
    HVM_PARAM_VM86_TSS_SIZED,    HVM_PARAM_CONSOLE_PFN,
    HVM_PARAM_ACPI_IOPORTS_LOCATION, HVM_PARAM_VIRIDIAN,
    HVM_PARAM_IDENT_PT,          HVM_PARAM_VM_GENERATION_ID_ADDR,
    HVM_PARAM_IOREQ_SERVER_PFN,  HVM_PARAM_NR_IOREQ_SERVER_PAGES,
    HVM_PARAM_X87_FIP_WIDTH,     HVM_PARAM_MCA_CAP,
};

struct ParamsHeader {
    std::uint32_t count, reserved = 0;
};
struct Param {
    std::uint64_t index, value;
};

class HvmState : public State {
  public:
    HvmState(Handles &handles, std::uint32_t domid) : handles_(handles), domid_(domid) {}

    Status init() {
        head_ = CKPT_TRY(static_records(handles_, domid_, stream::DomainType::hvm));
        return prepare();
    }

    Status prepare() override {
        const int size = xc_domain_hvm_getcontext(handles_.control.get(), domid_, nullptr, 0);
        if (size < 0)
            return fail(errno, "domain {}: can't get the size of its state", domid_);
        context_.resize(static_cast<std::size_t>(size));
        params_.clear();
        for (std::uint32_t index : kParams) {
            std::uint64_t value = 0;
            if (xc_hvm_param_get(handles_.control.get(), domid_, index, &value))
                return fail(errno, "domain {}: can't read its parameter {}", domid_, index);
            if (value)
                params_.push_back({index, value});
        }
        records_.head = head_;
        records_.tail.clear();
        records_.tail.reserve(context_.size() + 4096);
        return {};
    }

    Result<StateRecords> read() override {
        auto &tail = records_.tail;
        CKPT_CHECK(append_tsc(handles_, domid_, tail));
        const int size =
            xc_domain_hvm_getcontext(handles_.control.get(), domid_, context_.data(),
                                     static_cast<std::uint32_t>(context_.size()));
        if (size < 0)
            return fail(errno, "domain {}: can't read its state", domid_);
        stream::append_record(tail, stream::Record::hvm_context,
                              std::span(context_).first(static_cast<std::size_t>(size)));
        const ParamsHeader header{.count = static_cast<std::uint32_t>(params_.size())};
        stream::append_record(tail, stream::Record::hvm_params, stream::one(header), params_);
        stream::append_record(tail, stream::Record::end);
        return std::move(records_);
    }

  private:
    Handles &handles_;
    std::uint32_t domid_;
    std::vector<std::byte> head_;
    std::vector<std::uint8_t> context_;
    std::vector<Param> params_;
    StateRecords records_; // being prepared
};

} // namespace

Result<std::unique_ptr<State>> open_hvm_state(Handles &handles, std::uint32_t domid) {
    auto state = std::make_unique<HvmState>(handles, domid);
    CKPT_CHECK(state->init());
    return std::unique_ptr<State>(std::move(state));
}

} // namespace ckpt::xen
