// SPDX-License-Identifier: GPL-2.0-only
// Rounds over Xen's dirty log of one guest. The log has one user at a time and
// nothing that tells the user when another took it: `xl migrate` and `xl remus`
// switch it off and on and clear its bits, and with the log off a round simply
// finds nothing. So one page that the guest does not write (the canary) is
// logged as dirty by us after every round: where it is missing at the next,
// somebody else has cleared the log, and that round isn't made, since it would
// take the other's bits in turn.
#pragma once

#include "libckpt/base/page_set.hh"
#include "libckpt/vm/guest_backend.hh"
#include "libckpt/vm/xen_handles.hh"
#include "libckpt/vm/xen_hypercalls.h"
#include "libckpt/vm/xen_space.hh"

namespace ckpt::xen {

class LogDirty {
  public:
    LogDirty(Handles &handles, std::uint32_t domid, GuestKind kind, xen_calls *calls,
             const Space &space);

    // EBUSY: somebody else uses the log. EOPNOTSUPP: this hypervisor has none
    // for this kind of guest.
    Status start();
    Status stop();
    // One round: reads, clears and re-arms. `final`: the guest is suspended,
    // pages that Xen itself writes are added; rearm() must follow.
    Result<DirtyResult> collect(PageSet &dirty, bool final);
    // Puts the canary back. Not in the pause: it costs a hypercall.
    Status rearm();

  private:
    Status mark(Pfn pfn);
    Status choose_canary();
    Result<bool> canary_gone();
    Result<DirtyResult> take_back();

    Handles &handles_;
    std::uint32_t domid_;
    GuestKind kind_;
    xen_calls *calls_;
    const Space &space_;
    bool on_ = false;
    bool taken_ = false;  // somebody else uses the log
    bool armed_ = false;  // the canary is in the log
    unsigned canary_ = 0;
    bool has_canary_ = false;
};

// Whether this hypervisor can log this guest's writes, by trying; leaves the
// log as it was. Errors other than "it can't" are passed on.
Result<bool> can_log_dirty(Handles &handles, std::uint32_t domid);

} // namespace ckpt::xen
