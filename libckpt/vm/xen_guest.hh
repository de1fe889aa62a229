// SPDX-License-Identifier: GPL-2.0-only
// One Xen guest under protection: joins the parts, each of which knows one
// thing.
#pragma once

#include <map>
#include <memory>

#include "libckpt/vm/guest_backend.hh"
#include "libckpt/vm/xen_balloon.hh"
#include "libckpt/vm/xen_compare.hh"
#include "libckpt/vm/xen_copier.hh"
#include "libckpt/vm/xen_handles.hh"
#include "libckpt/vm/xen_log_dirty.hh"
#include "libckpt/vm/xen_roles.hh"
#include "libckpt/vm/xen_space.hh"
#include "libckpt/vm/xen_state.hh"
#include "libckpt/vm/xen_suspend.hh"

namespace ckpt::xen {

class XenGuest : public Guest {
  public:
    // `info`: as probed, not refused. `machine`: for PV guests.
    static Result<std::unique_ptr<Guest>> open(GuestInfo info,
                                               std::shared_ptr<MachineTable> machine);
    ~XenGuest() override;

    const GuestInfo &info() const override { return info_; }
    Status start_dirty_log() override;
    Status stop_dirty_log() override;
    Result<DirtyResult> collect_dirty(PageSet &dirty, bool stopped) override;
    Status all_pages(PageSet &pages) override;
    Result<std::size_t> copy_pages(std::span<const Pfn> pfns, PageBatch &batch,
                                   PageSet &deferred) override;
    Status request_suspend() override;
    Status wait_suspended(SteadyTime deadline) override;
    SteadyTime suspended_at() const override { return suspender_->suspended_at(); }
    Result<StateRecords> read_state() override;
    Status resume() override;
    SteadyTime resumed_at() const override { return suspender_->resumed_at(); }
    Status read_all(const PageVisit &visit) override;
    std::string page_role(Pfn pfn) override;

  private:
    explicit XenGuest(GuestInfo info) : info_(std::move(info)) {}
    Status init(std::shared_ptr<MachineTable> machine);
    Status open_pvh(const xc_domaininfo_t &domain);
    Status open_pv(const xc_domaininfo_t &domain, std::shared_ptr<MachineTable> machine);
    Status open_calls();
    Status read_pages(const Space &space, const PageSet &pages, const PageVisit &visit);
    template <typename T> Result<T> judged(Result<T> result);
    Status check_alive();
    Result<DirtyResult> collect(PageSet &dirty, bool stopped);
    Status add_at_stop(PageSet &dirty);
    Status read_configuration();
    std::uint64_t memory_target(std::uint64_t nr_pages) const;

    GuestInfo info_;
    Handles handles_;
    Handle<xen_calls, xen_calls_close> calls_;
    PvhSpace *pvh_ = nullptr; // space_, if the guest is PVH
    std::unique_ptr<Space> space_;
    std::unique_ptr<Copier> copier_;
    std::unique_ptr<LogDirty> log_;     // Tracking::log_dirty
    std::unique_ptr<Compare> compare_;  // Tracking::compare
    std::unique_ptr<Balloon> balloon_;  // PVH
    std::unique_ptr<State> state_;
    std::unique_ptr<Suspender> suspender_;
    std::vector<FixedPage> rings_;
    std::vector<std::byte> configuration_;
    std::uint64_t target_kib_ = 0;
    std::map<Pfn, std::string> roles_;
};

} // namespace ckpt::xen
