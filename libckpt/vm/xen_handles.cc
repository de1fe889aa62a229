// SPDX-License-Identifier: GPL-2.0-only
#include "libckpt/vm/xen_handles.hh"

#include <algorithm>
#include <cstdarg>
#include <cstdlib>

#include <sys/mman.h>

namespace ckpt::xen {
namespace {

// Xen's libraries print errors by themselves unless given where to: ours come
// by errno and are told once.
void drop_message(xentoollog_logger *, xentoollog_level, int, const char *, const char *, va_list) {
}
void drop_progress(xentoollog_logger *, const char *, const char *, int, unsigned long,
                   unsigned long) {}
xentoollog_logger silent_logger = {drop_message, drop_progress, [](xentoollog_logger *) {}};

// libxenstore hands out memory for us to free.
template <typename T> using Owned = Handle<T, std::free>;

} // namespace

std::string domain_path(std::uint32_t domid, const char *node) {
    return fmt::format("/local/domain/{}/{}", domid, node);
}

Result<Xenstore> Xenstore::open() {
    Xenstore store;
    store.store_.reset(xs_open(0));
    if (!store.store_)
        return fail(errno, "no connection to xenstore; is xenstored running?");
    return store;
}

std::optional<std::string> Xenstore::read(const std::string &path) const {
    unsigned length = 0;
    Owned<char> value(static_cast<char *>(xs_read(store_.get(), XBT_NULL, path.c_str(), &length)));
    if (!value)
        return std::nullopt;
    return std::string(value.get(), length);
}

bool Xenstore::exists(const std::string &path) const { return read(path).has_value(); }

std::vector<std::string> Xenstore::children(const std::string &path) const {
    unsigned count = 0;
    Owned<char *> names(xs_directory(store_.get(), XBT_NULL, path.c_str(), &count));
    if (!names)
        return {};
    return std::vector<std::string>(names.get(), names.get() + count);
}

Status Xenstore::write(const std::string &path, const std::string &value) {
    if (!xs_write(store_.get(), XBT_NULL, path.c_str(), value.data(),
                  static_cast<unsigned>(value.size())))
        return fail(errno, "xenstore {}: can't write", path);
    return {};
}

void Xenstore::remove(const std::string &path) { xs_rm(store_.get(), XBT_NULL, path.c_str()); }

Result<bool> Xenstore::replace(const std::string &path, const std::string &expected,
                               const std::string &value) {
    for (;;) {
        const xs_transaction_t transaction = xs_transaction_start(store_.get());
        if (transaction == XBT_NULL)
            return fail(errno, "xenstore: can't start a transaction");
        unsigned length = 0;
        Owned<char> now(static_cast<char *>(xs_read(store_.get(), transaction, path.c_str(), &length)));
        const bool same = now && std::string_view(now.get(), length) == expected;
        if (same)
            xs_write(store_.get(), transaction, path.c_str(), value.data(),
                     static_cast<unsigned>(value.size()));
        if (xs_transaction_end(store_.get(), transaction, !same))
            return same;
        if (errno != EAGAIN) // EAGAIN: someone changed it meanwhile; look again
            return fail(errno, "xenstore {}: can't replace", path);
    }
}

Status Xenstore::watch(const std::string &path) {
    if (!xs_watch(store_.get(), path.c_str(), "tlckpt"))
        return fail(errno, "xenstore {}: can't watch", path);
    return {};
}

unsigned Xenstore::take_events() {
    unsigned count = 0;
    while (Owned<char *>(xs_check_watch(store_.get())))
        count++;
    return count;
}

Status Xenstore::resumed(std::uint32_t domid) {
    if (!xs_resume_domain(store_.get(), domid))
        return fail(errno, "xenstore: can't tell that domain {} runs again", domid);
    return {};
}

Result<Handles> Handles::open() {
    Handles handles;
    handles.control.reset(xc_interface_open(&silent_logger, &silent_logger, 0));
    if (!handles.control && (errno == EACCES || errno == EPERM))
        return fail(EPERM, "Xen's control interface is for root");
    if (!handles.control)
        return fail(ENODEV, "no Xen here (not a Dom0, or xen-privcmd is not loaded)");
    xc_domaininfo_t first;
    if (xc_domain_getinfolist(handles.control.get(), 0, 1, &first) < 0)
        return errno == EACCES
                   ? fail(EPROTO, "the hypervisor's control interface is not that of Xen {}.{}, "
                                  "which this program was built for; rebuild it",
                          __XEN_LATEST_INTERFACE_VERSION__ >> 16,
                          __XEN_LATEST_INTERFACE_VERSION__ >> 8 & 0xff)
                   : fail(errno, "can't list domains; is this a Dom0?");
    handles.memory.reset(xenforeignmemory_open(&silent_logger, 0));
    if (!handles.memory)
        return fail(errno, "can't map guests' memory (/dev/xen/privcmd)");
    handles.events.reset(xenevtchn_open(&silent_logger, 0));
    if (!handles.events)
        return fail(errno, "no event channels (/dev/xen/evtchn); load xen-evtchn");
    handles.store = CKPT_TRY(Xenstore::open());
    return handles;
}

Result<xc_domaininfo_t> domain_info(xc_interface *control, std::uint32_t domid) {
    xc_domaininfo_t info;
    const int count = xc_domain_getinfolist(control, domid, 1, &info);
    if (count < 0)
        return fail(errno, "domain {}: can't be asked about", domid);
    if (count != 1 || info.domain != domid)
        return fail(ESRCH, "domain {}", domid);
    return info;
}

bool is_suspended(const xc_domaininfo_t &info) {
    return is_shut_down(info) && shutdown_reason(info) == SHUTDOWN_suspend;
}

Mapping &Mapping::operator=(Mapping &&other) noexcept {
    std::swap(memory_, other.memory_);
    std::swap(address_, other.address_);
    std::swap(pages_, other.pages_);
    return *this;
}

Result<Mapping> Mapping::create(xenforeignmemory_handle *memory, std::uint32_t domid,
                                std::span<const xen_pfn_t> frames, std::span<int> errors) {
    Mapping mapping;
    mapping.memory_ = memory;
    mapping.pages_ = frames.size();
    mapping.address_ = static_cast<std::byte *>(xenforeignmemory_map(
        memory, domid, PROT_READ, frames.size(), frames.data(), errors.data()));
    if (!mapping.address_)
        return fail(errno, "domain {}: can't map {} pages", domid, frames.size());
    return mapping;
}

Result<Mapping> Mapping::create(xenforeignmemory_handle *memory, std::uint32_t domid,
                                std::span<const xen_pfn_t> frames) {
    std::vector<int> errors(frames.size());
    Mapping mapping = CKPT_TRY(create(memory, domid, frames, errors));
    for (std::size_t i = 0; i < errors.size(); i++)
        if (errors[i])
            return fail(-errors[i], "domain {}: can't map frame {:#x}", domid, frames[i]);
    return mapping;
}

void Mapping::reset() {
    if (address_)
        xenforeignmemory_unmap(memory_, address_, pages_);
    address_ = nullptr;
}

} // namespace ckpt::xen
