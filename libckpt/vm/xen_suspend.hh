// SPDX-License-Identifier: GPL-2.0-only
// Suspending a guest and letting it run on. The request goes through xenstore;
// the completion comes by an event channel in the guest's port space that we
// allocate and subscribe for suspension. While subscribed, Xen tells nobody
// else, so that `xl`'s monitor of the guest does not take it for gone; left
// subscribed, `xl save` would wait in vain: the subscription ends with each
// checkpoint, whatever its outcome.
#pragma once

#include "libckpt/base/clock.hh"
#include "libckpt/vm/xen_handles.hh"

namespace ckpt::xen {

class Suspender {
  public:
    // Binds the event channel: that of an earlier run if there is one.
    static Result<std::unique_ptr<Suspender>> open(Handles &handles, std::uint32_t domid);
    // Takes back or undoes what is under way (R7).
    ~Suspender();

    // Asks; a guest at rest is suspended then. EBUSY: the guest is being
    // suspended by somebody else; EOPNOTSUPP: its kernel announced that it
    // can't; EAGAIN: it is paused; ESHUTDOWN: it is down.
    Status request();
    // As Guest::wait_suspended().
    Status wait(SteadyTime deadline);
    // Runs the guest on, or takes the request back. Then tidy() is due.
    Status resume();
    // What need not wait for: ends the subscription, tells xenstore.
    Status tidy();
    // A guest that suspends only after wait() gave up on it: runs it on.
    Status settle_late();

    bool suspended() const { return suspended_; }
    SteadyTime suspended_at() const { return suspended_at_; }
    SteadyTime resumed_at() const { return resumed_at_; }
    // The domain as it was when found suspended.
    const xc_domaininfo_t &info() const { return info_; }

  private:
    Suspender(Handles &handles, std::uint32_t domid) : handles_(handles), domid_(domid) {}
    Status bind();
    Status look();
    void await_event(SteadyTime deadline);
    void expect_late();
    bool drain_events();
    Status take_back();
    Status check_ready(const xc_domaininfo_t &info);
    Status down(const xc_domaininfo_t &info) const;

    Handles &handles_;
    std::uint32_t domid_;
    evtchn_port_t guest_port_ = 0;
    bool asked_ = false, suspended_ = false, late_ = false;
    bool at_rest_ = false; // suspended_ without having been asked
    bool subscribed_ = false, proven_ = false, answered_ = false;
    SteadyTime suspended_at_{}, resumed_at_{}, late_until_{};
    xc_domaininfo_t info_{};
};

// After a crash of the program: undoes what it left of a suspension. True: the
// guest was suspended by us and runs again.
Result<bool> recover_suspended(Handles &handles, std::uint32_t domid);

} // namespace ckpt::xen
