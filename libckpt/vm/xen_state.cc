// SPDX-License-Identifier: GPL-2.0-only
#include "libckpt/vm/xen_state.hh"

#include <fcntl.h>
#include <unistd.h>

#include "libckpt/base/fd.hh"

namespace ckpt::xen {
namespace {

constexpr const char *kUserData = "/var/lib/xen/userdata-d";

struct PvInfo {
    std::uint8_t guest_width = 8, levels = 4, reserved[6] = {};
};
struct TscInfo {
    std::uint32_t mode = 0, khz = 0;
    std::uint64_t nsec = 0;
    std::uint32_t incarnation = 0, reserved = 0;
};
static_assert(sizeof(TscInfo) == 24);

using Policy = Handle<xc_cpu_policy_t, xc_cpu_policy_destroy>;

Status append_policy(xc_interface *control, std::uint32_t domid, std::vector<std::byte> &out) {
    std::uint32_t nr_leaves = 0, nr_msrs = 0;
    if (xc_cpu_policy_get_size(control, &nr_leaves, &nr_msrs))
        return fail(errno, "domain {}: can't get its CPU policy's size", domid);
    std::vector<xen_cpuid_leaf_t> leaves(nr_leaves);
    std::vector<xen_msr_entry_t> msrs(nr_msrs);
    Policy policy(xc_cpu_policy_init());
    if (!policy || xc_cpu_policy_get_domain(control, domid, policy.get()) ||
        xc_cpu_policy_serialise(control, policy.get(), leaves.data(), &nr_leaves, msrs.data(),
                                &nr_msrs))
        return fail(errno, "domain {}: can't get its CPU policy", domid);
    leaves.resize(nr_leaves);
    msrs.resize(nr_msrs);
    if (nr_leaves)
        stream::append_record(out, stream::Record::cpuid_policy, leaves);
    if (nr_msrs)
        stream::append_record(out, stream::Record::msr_policy, msrs);
    return {};
}

} // namespace

Result<std::vector<std::byte>> static_records(Handles &handles, std::uint32_t domid,
                                              stream::DomainType type) {
    const int version = xc_version(handles.control.get(), XENVER_version, nullptr);
    if (version < 0)
        return fail(errno, "can't get Xen's version");
    std::vector<std::byte> out;
    stream::append_value(out, stream::ImageHeader{});
    stream::append_value(out, stream::DomainHeader{
                                  .type = type,
                                  .xen_major = static_cast<std::uint32_t>(version) >> 16,
                                  .xen_minor = static_cast<std::uint32_t>(version) & 0xffff,
                              });
    if (type == stream::DomainType::pv)
        stream::append_record(out, stream::Record::pv_info, stream::one(PvInfo{}));
    CKPT_CHECK(append_policy(handles.control.get(), domid, out));
    stream::append_record(out, stream::Record::static_data_end);
    return out;
}

Status append_tsc(Handles &handles, std::uint32_t domid, std::vector<std::byte> &out) {
    TscInfo tsc;
    if (xc_domain_get_tsc_info(handles.control.get(), domid, &tsc.mode, &tsc.nsec, &tsc.khz,
                               &tsc.incarnation))
        return fail(errno, "domain {}: can't read its time-stamp counter", domid);
    stream::append_record(out, stream::Record::tsc_info, stream::one(tsc));
    return {};
}

Result<std::vector<std::byte>> read_configuration(std::uint32_t domid, const Uuid &uuid) {
    const std::string path = fmt::format("{}.{}.{}.libxl-json", kUserData, domid, uuid.to_string());
    const Fd file(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
    if (!file)
        return fail(errno, "domain {}: no configuration in {} (made by another tool than xl?)",
                    domid, path);
    std::vector<std::byte> out;
    for (;;) {
        const std::size_t at = out.size();
        out.resize(at + 8192);
        const ssize_t got = ::read(file.get(), out.data() + at, out.size() - at);
        if (got < 0)
            return fail(errno, "{}", path);
        out.resize(at + static_cast<std::size_t>(got));
        if (got == 0)
            break;
    }
    while (!out.empty() && out.back() == std::byte{0})
        out.pop_back();
    if (out.empty())
        return fail(ENODATA, "domain {}: its configuration {} is empty", domid, path);
    return out;
}

} // namespace ckpt::xen
