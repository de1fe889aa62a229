// SPDX-License-Identifier: GPL-2.0-only
#include "libckpt/vm/xen_suspend.hh"

#include <charconv>
#include <thread>

#include <poll.h>

#include "libckpt/vm/xen_hypercalls.h"

namespace ckpt::xen {
namespace {

constexpr const char *kControl = "control/shutdown";
// What stands at kMarkSuspend.
constexpr const char *kAsked = "asked", *kResumed = "resumed";
// A guest that took the request suspends soon, or hangs.
constexpr auto kLateLimit = std::chrono::seconds(5);
constexpr auto kLateEnd = std::chrono::seconds(60); // beyond all doubt it won't
constexpr auto kLook = std::chrono::milliseconds(200); // in case an event got lost

} // namespace

Result<std::unique_ptr<Suspender>> Suspender::open(Handles &handles, std::uint32_t domid) {
    std::unique_ptr<Suspender> suspender(new Suspender(handles, domid));
    CKPT_CHECK(suspender->bind());
    // A request of an earlier run that recover_suspended() waited for in vain.
    if (handles.store.read(domain_path(domid, kMarkSuspend)) == kAsked)
        suspender->expect_late();
    return suspender;
}

Suspender::~Suspender() {
    if (asked_ || suspended_ || late_)
        static_cast<void>(resume().has_value());
    static_cast<void>(tidy().has_value());
}

// The port outlives our end of it, and the guest has only so many: it is
// remembered beside the guest.
Status Suspender::bind() {
    const std::string mark = domain_path(domid_, kMarkPort);
    if (const auto known = handles_.store.read(mark)) {
        evtchn_port_t port = 0;
        std::from_chars(known->data(), known->data() + known->size(), port);
        if (port && xenevtchn_bind_interdomain(handles_.events.get(), domid_, port) >= 0) {
            guest_port_ = port;
            return {};
        }
    }
    const auto port = xc_evtchn_alloc_unbound(handles_.control.get(), domid_, 0);
    if (port < 0)
        return fail(errno, "domain {}: can't allocate an event channel", domid_);
    guest_port_ = static_cast<evtchn_port_t>(port);
    if (xenevtchn_bind_interdomain(handles_.events.get(), domid_, guest_port_) < 0)
        return fail(errno, "domain {}: can't bind event channel {}", domid_, guest_port_);
    return handles_.store.write(mark, fmt::format("{}", guest_port_));
}

Status Suspender::down(const xc_domaininfo_t &info) const {
    if (info.flags & XEN_DOMINF_dying)
        return fail(ESHUTDOWN, "domain {}: it is being destroyed", domid_);
    const unsigned reason = shutdown_reason(info);
    return fail(ESHUTDOWN, "domain {}: it {}", domid_,
                reason == SHUTDOWN_crash ? "has crashed" : "has shut down");
}

Status Suspender::check_ready(const xc_domaininfo_t &info) {
    if (is_suspended(info))
        return fail(EBUSY, "domain {}: somebody else holds it suspended (xl save?)", domid_);
    if (is_shut_down(info) || info.flags & XEN_DOMINF_dying)
        return down(info);
    if (info.flags & XEN_DOMINF_paused)
        return fail(EAGAIN, "domain {}: it is paused (xl unpause)", domid_);
    const auto control = handles_.store.read(domain_path(domid_, kControl));
    if (!control)
        return fail(EOPNOTSUPP, "domain {}: it has no control/shutdown in xenstore", domid_);
    if (!control->empty())
        return fail(EBUSY, "domain {}: it is being asked for \"{}\" by somebody else", domid_,
                    *control);
    // A Linux kernel announces at boot what it can; a restored guest has
    // announced nothing, which says nothing.
    auto announced = [&](const char *node) {
        return handles_.store.read(domain_path(domid_, node)) == "1";
    };
    if (!proven_ && announced("control/feature-poweroff") && !announced("control/feature-suspend"))
        return fail(EOPNOTSUPP,
                    "domain {}: its kernel can't suspend; it needs one with hibernation support "
                    "(CONFIG_HIBERNATE_CALLBACKS)", domid_);
    return {};
}

Status Suspender::request() {
    CKPT_CHECK(settle_late());
    if (late_)
        return fail(EBUSY, "domain {}: it took an earlier request and has not suspended yet",
                    domid_);
    const auto info = CKPT_TRY(domain_info(handles_.control.get(), domid_));
    if (is_at_rest(info)) {
        at_rest_ = suspended_ = true;
        suspended_at_ = steady_now();
        info_ = info;
        return {};
    }
    CKPT_CHECK(check_ready(info));
    CKPT_CHECK(handles_.store.write(domain_path(domid_, kMarkSuspend), kAsked));
    asked_ = true; // what follows is undone by resume() and tidy()
    if (xc_domain_subscribe_for_suspend(handles_.control.get(), domid_, guest_port_)) {
        const int error = errno;
        asked_ = false;
        static_cast<void>(tidy().has_value());
        return fail(error, "domain {}: can't subscribe for its suspension", domid_);
    }
    subscribed_ = true;
    Status asked = handles_.store.write(domain_path(domid_, kControl), "suspend");
    if (!asked.has_value()) {
        asked_ = false;
        static_cast<void>(tidy().has_value());
    }
    return asked;
}

// Looks whether the guest is suspended by now.
Status Suspender::look() {
    if (at_rest_)
        return {};
    auto info = domain_info(handles_.control.get(), domid_);
    if (!info.has_value())
        return fail(ESHUTDOWN, "domain {}: it is gone", domid_);
    if (is_suspended(*info)) {
        suspended_at_ = steady_now();
        suspended_ = proven_ = true;
        info_ = *info;
        return {};
    }
    if (is_shut_down(*info) || info->flags & XEN_DOMINF_dying) {
        asked_ = false;
        return down(*info);
    }
    return {};
}

void Suspender::await_event(SteadyTime deadline) {
    const auto left = std::min<Duration>(deadline - steady_now(), kLook);
    pollfd events = {xenevtchn_fd(handles_.events.get()), POLLIN, 0};
    const auto ms = std::chrono::ceil<std::chrono::milliseconds>(left).count();
    poll(&events, 1, static_cast<int>(std::max<std::int64_t>(ms, 0)));
}

// Takes events, which may be of earlier suspensions; whether there were any.
// Not before the guest was looked at: in the pause, calls count.
bool Suspender::drain_events() {
    pollfd events = {xenevtchn_fd(handles_.events.get()), POLLIN, 0};
    bool any = false;
    while (poll(&events, 1, 0) > 0) {
        const auto port = xenevtchn_pending(handles_.events.get());
        if (port < 0)
            break;
        xenevtchn_unmask(handles_.events.get(), static_cast<evtchn_port_t>(port));
        any = true;
    }
    return any;
}

Status Suspender::wait(SteadyTime deadline) {
    for (;;) {
        if (Status looked = look(); !looked.has_value()) {
            static_cast<void>(tidy().has_value());
            return looked;
        }
        if (suspended_)
            return {};
        if (drain_events())
            continue;
        if (steady_now() >= deadline)
            break;
        await_event(deadline);
    }
    CKPT_CHECK(take_back());
    static_cast<void>(tidy().has_value());
    if (late_)
        return fail(ETIMEDOUT, "domain {}: it took the request but does not suspend; if it ever "
                               "does it will be resumed", domid_);
    return fail(ETIMEDOUT, "domain {}: it did not {} in time; {}", domid_,
                answered_ ? "suspend" : "take the request to suspend",
                answered_ ? "it was resumed" : "is it hung, still booting, or without Xen drivers?");
}

// Takes the request back. A guest that took it first may suspend any moment:
// waited for, and run on at once.
Status Suspender::take_back() {
    asked_ = false;
    answered_ = !CKPT_TRY(handles_.store.replace(domain_path(domid_, kControl), "suspend", ""));
    if (!answered_)
        return {};
    const SteadyTime limit = steady_now() + kLateLimit;
    for (;;) {
        CKPT_CHECK(look());
        if (suspended_)
            return resume();
        if (drain_events())
            continue;
        if (steady_now() >= limit)
            break;
        await_event(limit);
    }
    expect_late();
    return {};
}

void Suspender::expect_late() {
    late_ = subscribed_ = true;
    late_until_ = steady_now() + kLateEnd;
}

Status Suspender::settle_late() {
    if (!late_)
        return {};
    CKPT_CHECK(look());
    if (!suspended_) {
        if (steady_now() < late_until_)
            return {};
        late_ = false; // whatever became of that request, it is over
        return tidy();
    }
    CKPT_CHECK(resume());
    return tidy();
}

Status Suspender::resume() {
    if (!suspended_ && asked_)
        return take_back();
    if (!suspended_)
        return {};
    if (std::exchange(at_rest_, false)) { // who put it back lets it run
        resumed_at_ = steady_now();
        suspended_ = false;
        return {};
    }
    if (const int error = xen_resume(handles_.control.get(), domid_))
        return fail(error, "domain {}: can't be resumed", domid_);
    resumed_at_ = steady_now();
    suspended_ = asked_ = late_ = false;
    // From here on a recovery has nothing to wait for.
    return handles_.store.write(domain_path(domid_, kMarkSuspend), kResumed);
}

Status Suspender::tidy() {
    if (suspended_ || late_)
        return {};
    if (subscribed_ && xc_domain_subscribe_for_suspend(handles_.control.get(), domid_, 0) &&
        errno != ESRCH)
        return fail(errno, "domain {}: can't unsubscribe from its suspension", domid_);
    if (subscribed_) {
        // Another domain's end may have made xenstored look at all of them.
        CKPT_CHECK(handles_.store.resumed(domid_));
        handles_.store.remove(domain_path(domid_, kMarkSuspend));
    }
    subscribed_ = false;
    return {};
}

Result<bool> recover_suspended(Handles &handles, std::uint32_t domid) {
    const auto mark = handles.store.read(domain_path(domid, kMarkSuspend));
    if (!mark)
        return false;
    bool over = mark == kResumed ||
                CKPT_TRY(handles.store.replace(domain_path(domid, kControl), "suspend", ""));
    // Else it has suspended, or took the request and is about to.
    bool resumed = false;
    const SteadyTime limit = steady_now() + kLateLimit;
    while (!over) {
        const auto info = domain_info(handles.control.get(), domid);
        if (!info.has_value())
            return false;
        if (is_suspended(*info)) {
            if (const int error = xen_resume(handles.control.get(), domid))
                return fail(error, "domain {}: can't be resumed", domid);
            over = resumed = true;
        } else if (is_shut_down(*info)) {
            over = true;
        } else if (steady_now() >= limit) {
            return false; // the mark stays: who opens the guest will go on waiting
        } else {
            std::this_thread::sleep_for(std::chrono::milliseconds(20));
        }
    }
    xc_domain_subscribe_for_suspend(handles.control.get(), domid, 0);
    CKPT_CHECK(handles.store.resumed(domid));
    handles.store.remove(domain_path(domid, kMarkSuspend));
    return resumed;
}

} // namespace ckpt::xen
