// SPDX-License-Identifier: GPL-2.0-only
// Owned connections to Xen and xenstore. Each guest has a set of its own, so
// that its worker shares nothing with others.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "libckpt/base/log.hh"
#include "libckpt/base/result.hh"

extern "C" {
#include <xenctrl.h>
#include <xenevtchn.h>
#include <xenforeignmemory.h>
#include <xenguest.h>
#include <xenstore.h>
}

namespace ckpt::xen {

// A unique_ptr that closes by a C function.
template <auto close> struct Closer {
    template <typename T> void operator()(T *handle) const { close(handle); }
};
template <typename T, auto close> using Handle = std::unique_ptr<T, Closer<close>>;

// Our words beside a guest's in xenstore, gone with the domain: what a later
// run of the program must know of this one.
inline constexpr const char *kMarkPort = "tlckpt/suspend-port"; // guest's event channel port
inline constexpr const char *kMarkLogDirty = "tlckpt/log-dirty"; // we switched it on
inline constexpr const char *kMarkSuspend = "tlckpt/suspend";   // we asked it to suspend

class Xenstore {
  public:
    static Result<Xenstore> open();

    // Nothing if the node does not exist or can't be read.
    std::optional<std::string> read(const std::string &path) const;
    bool exists(const std::string &path) const;
    std::vector<std::string> children(const std::string &path) const;
    Status write(const std::string &path, const std::string &value);
    // No error if it does not exist.
    void remove(const std::string &path);
    // Writes `value` if the node holds `expected` at that moment; says whether.
    Result<bool> replace(const std::string &path, const std::string &expected,
                         const std::string &value);
    Status watch(const std::string &path);
    // Takes the events of the watches that have come; how many.
    unsigned take_events();
    // Tells xenstore's other watchers that a suspended guest runs again.
    Status resumed(std::uint32_t domid);

  private:
    Handle<xs_handle, xs_close> store_;
};

std::string domain_path(std::uint32_t domid, const char *node);

struct Handles {
    Handle<xc_interface, xc_interface_close> control;
    Handle<xenforeignmemory_handle, xenforeignmemory_close> memory;
    Handle<xenevtchn_handle, xenevtchn_close> events;
    Xenstore store;

    // ENODEV: no Xen here; EPERM: not root; EPROTO: another Xen than the one
    // that this program was built for.
    static Result<Handles> open();
};

// One domain as the hypervisor has it now. ESRCH: there is none.
Result<xc_domaininfo_t> domain_info(xc_interface *control, std::uint32_t domid);

inline bool is_shut_down(const xc_domaininfo_t &info) { return info.flags & XEN_DOMINF_shutdown; }
inline unsigned shutdown_reason(const xc_domaininfo_t &info) {
    return info.flags >> XEN_DOMINF_shutdownshift & XEN_DOMINF_shutdownmask;
}
bool is_suspended(const xc_domaininfo_t &info);
// Built or restored paused, and its processors have not run since.
inline bool is_at_rest(const xc_domaininfo_t &info) {
    return info.flags & XEN_DOMINF_paused && !is_shut_down(info) && info.cpu_time == 0;
}

// Read-only pages of a guest, unmapped when dropped.
class Mapping {
  public:
    Mapping() = default;
    Mapping(Mapping &&other) noexcept { *this = std::move(other); }
    Mapping &operator=(Mapping &&other) noexcept;
    ~Mapping() { reset(); }

    // Maps `frames` (gfns of an HVM, mfns of a PV guest); where `errors[i]` is
    // not 0 page i is not there and must not be touched.
    static Result<Mapping> create(xenforeignmemory_handle *memory, std::uint32_t domid,
                                  std::span<const xen_pfn_t> frames, std::span<int> errors);
    // As create(), all or nothing.
    static Result<Mapping> create(xenforeignmemory_handle *memory, std::uint32_t domid,
                                  std::span<const xen_pfn_t> frames);

    explicit operator bool() const { return address_ != nullptr; }
    const std::byte *page(std::size_t i) const { return address_ + i * XC_PAGE_SIZE; }
    std::size_t size() const { return pages_; }
    void reset();

  private:
    xenforeignmemory_handle *memory_ = nullptr;
    std::byte *address_ = nullptr;
    std::size_t pages_ = 0;
};

} // namespace ckpt::xen
