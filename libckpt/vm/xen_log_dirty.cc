// SPDX-License-Identifier: GPL-2.0-only
#include "libckpt/vm/xen_log_dirty.hh"

#include <bit>
#include <filesystem>
#include <fstream>

namespace ckpt::xen {
namespace {

// Whether a program that streams guests runs: libxl's helper for migration,
// Remus and saving, or XAPI's. One that was killed leaves the log on.
bool other_user_lives() {
    std::error_code error;
    std::filesystem::directory_iterator process("/proc", error);
    for (; !error && process != end(process); process.increment(error)) {
        std::string name;
        std::ifstream(process->path() / "comm") >> name;
        if (name == "libxl-save-help" || name == "xenguest") // the kernel keeps 15 characters
            return true;
    }
    return false;
}

// Switches the log on, one that nobody uses any more first off.
int take_log(xc_interface *control, std::uint32_t domid) {
    const int error = xen_log_dirty_enable(control, domid);
    if (error != EALREADY || other_user_lives())
        return error;
    xen_log_dirty_disable(control, domid);
    return xen_log_dirty_enable(control, domid);
}

} // namespace

Result<bool> can_log_dirty(Handles &handles, std::uint32_t domid) {
    switch (const int error = xen_log_dirty_enable(handles.control.get(), domid)) {
    case 0:
        xen_log_dirty_disable(handles.control.get(), domid);
        return true;
    case EALREADY:
        return true;
    case EOPNOTSUPP:
        return false;
    default:
        return fail(error, "domain {}: can't try log-dirty", domid);
    }
}

LogDirty::LogDirty(Handles &handles, std::uint32_t domid, GuestKind kind, xen_calls *calls,
                   const Space &space)
    : handles_(handles), domid_(domid), kind_(kind), calls_(calls), space_(space) {}

Status LogDirty::start() {
    const std::string mark_path = domain_path(domid_, kMarkLogDirty);
    const int error = take_log(handles_.control.get(), domid_);
    if (error == EALREADY)
        return fail(EBUSY, "domain {}: its dirty log is in use (a migration or Remus); try again "
                           "when that has ended", domid_);
    if (error)
        return fail(error, "domain {}: can't switch its dirty log on", domid_);
    on_ = true;
    taken_ = false;
    CKPT_CHECK(handles_.store.write(mark_path, "on"));
    return choose_canary();
}

Status LogDirty::stop() {
    if (!on_)
        return {};
    on_ = armed_ = false;
    handles_.store.remove(domain_path(domid_, kMarkLogDirty));
    if (taken_)
        return {}; // not ours to switch off
    if (const int error = xen_log_dirty_disable(handles_.control.get(), domid_);
        error && error != ESRCH)
        return fail(error, "domain {}: can't switch its dirty log off", domid_);
    return {};
}

Status LogDirty::mark(Pfn pfn) {
    const int error = kind_ == GuestKind::pv ? xen_mark_dirty_pv(calls_, space_.frame(pfn), pfn)
                                             : xen_mark_dirty_hvm(calls_, pfn);
    if (error)
        return fail(error, "domain {}: can't log page {:#x} as dirty", domid_, pfn);
    return {};
}

// The lowest pages are reserved for firmware's sake in every guest we know:
// the first that shows in the log when marked will do.
Status LogDirty::choose_canary() {
    for (has_canary_ = false, canary_ = 0; canary_ < 64; canary_++) {
        if (space_.frame(canary_) == kNoFrame || !mark(canary_).has_value())
            continue;
        has_canary_ = armed_ = true;
        if (!CKPT_TRY(canary_gone()))
            return {};
    }
    has_canary_ = armed_ = false;
    return fail(EIO, "domain {}: its dirty log does not show what is marked in it", domid_);
}

Result<bool> LogDirty::canary_gone() {
    int dirty = 0;
    if (const int error = xen_log_dirty_peek(calls_, canary_, &dirty))
        return fail(error, "domain {}: can't read its dirty log", domid_);
    return !dirty;
}

Status LogDirty::rearm() {
    if (!on_ || taken_ || armed_ || !has_canary_)
        return {};
    CKPT_CHECK(mark(canary_));
    armed_ = true;
    return {};
}

// Somebody took the log: it is ours again once they are done with it.
Result<DirtyResult> LogDirty::take_back() {
    const int error = take_log(handles_.control.get(), domid_);
    if (error == EALREADY)
        return fail(EBUSY, "domain {}: its dirty log is in use (a migration or Remus)", domid_);
    if (error)
        return fail(error, "domain {}: can't switch its dirty log on", domid_);
    taken_ = false;
    CKPT_CHECK(choose_canary());
    DirtyResult result;
    result.lost = true;
    result.reason = "somebody else (a migration or Remus) has used the dirty log";
    return result;
}

Result<DirtyResult> LogDirty::collect(PageSet &dirty, bool final) {
    if (!on_)
        return fail(EINVAL, "domain {}: its dirty log is off", domid_);
    if (armed_ && CKPT_TRY(canary_gone()))
        taken_ = true;
    if (taken_)
        return take_back();
    const std::uint64_t *words = nullptr;
    const int error = xen_log_dirty_clean(calls_, final, &words);
    armed_ = false;
    DirtyResult result;
    if (error == ENOMEM) {
        // Xen keeps refusing until the log has been off.
        xen_log_dirty_disable(handles_.control.get(), domid_);
        taken_ = true;
        result = CKPT_TRY(take_back());
        result.reason = "Xen had no memory left to log dirty pages in";
        return result;
    }
    if (error)
        return fail(error, "domain {}: can't read its dirty log", domid_);
    auto out = dirty.words();
    for (std::size_t i = 0; i < out.size(); i++) {
        if (!words[i])
            continue;
        result.nr_found += static_cast<unsigned>(std::popcount(words[i]));
        out[i] |= words[i];
    }
    if (const Pfn rest = dirty.limit() % 64)
        out.back() &= (std::uint64_t{1} << rest) - 1; // bits past the end are nobody's
    if (!final)
        CKPT_CHECK(rearm());
    return result;
}

} // namespace ckpt::xen
