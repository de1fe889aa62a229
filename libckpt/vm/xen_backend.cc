// SPDX-License-Identifier: GPL-2.0-only
#include "libckpt/vm/xen_backend.hh"

#include <algorithm>

#include "libckpt/vm/xen_examine.hh"
#include "libckpt/vm/xen_guest.hh"
#include "libckpt/vm/xen_probe.hh"
#include "libckpt/vm/xen_suspend.hh"

namespace ckpt {
namespace xen {
namespace {

class XenBackend : public GuestBackend {
  public:
    static Result<std::unique_ptr<GuestBackend>> open() {
        auto backend = std::make_unique<XenBackend>();
        backend->handles_ = CKPT_TRY(Handles::open());
        return std::unique_ptr<GuestBackend>(std::move(backend));
    }

    std::string name() const override {
        const int version = xc_version(handles_.control.get(), XENVER_version, nullptr);
        xen_extraversion_t extra = {};
        xc_version(handles_.control.get(), XENVER_extraversion, extra);
        return fmt::format("xen {}.{}{}", version >> 16, version & 0xffff, extra);
    }

    Result<std::vector<GuestInfo>> list() override {
        std::vector<GuestInfo> guests;
        for (const auto &domain : CKPT_TRY(domains())) {
            auto info = probe(handles_, domain, support_);
            if (info.has_value())
                guests.push_back(std::move(*info));
            else if (domain_info(handles_.control.get(), domain.domain).has_value())
                return tl::unexpected(info.error()); // else it ended meanwhile
        }
        return guests;
    }

    Result<std::unique_ptr<Guest>> open(const Uuid &uuid) override {
        const auto domain = CKPT_TRY(find(uuid));
        GuestInfo info = CKPT_TRY(probe(handles_, domain, support_));
        if (!info.refusal.empty())
            return fail(EOPNOTSUPP, "guest {}: {}", info.name, info.refusal);
        if (info.state == RunState::dying || info.state == RunState::crashed)
            return fail(ESHUTDOWN, "guest {}: it is down", info.name);
        if (info.kind == GuestKind::pv && !machine_)
            machine_ = CKPT_TRY(MachineTable::map());
        return XenGuest::open(std::move(info), machine_);
    }

    Result<std::vector<GuestNote>> examine(const GuestInfo &guest) override {
        return xen::examine(handles_.store, guest);
    }

    // Our marks beside a domain say what is to be done there.
    Result<unsigned> recover(std::span<const Uuid> uuids) override {
        unsigned resumed = 0;
        for (const auto &domain : CKPT_TRY(domains())) {
            if (!uuids.empty() && std::ranges::find(uuids, domain_uuid(domain)) == uuids.end())
                continue;
            resumed += CKPT_TRY(recover_suspended(handles_, domain.domain)) ? 1 : 0;
            const std::string mark = domain_path(domain.domain, kMarkLogDirty);
            if (handles_.store.exists(mark)) {
                xen_log_dirty_disable(handles_.control.get(), domain.domain);
                handles_.store.remove(mark);
            }
        }
        return resumed;
    }

  private:
    // All but Dom0 and xenstore's own domain.
    Result<std::vector<xc_domaininfo_t>> domains() {
        std::vector<xc_domaininfo_t> all;
        std::vector<xc_domaininfo_t> some(64);
        for (std::uint32_t next = 1;;) {
            const int count = xc_domain_getinfolist(handles_.control.get(), next,
                                                    static_cast<unsigned>(some.size()), some.data());
            if (count < 0)
                return fail(errno, "can't list the domains");
            if (count == 0)
                return all;
            for (int i = 0; i < count; i++)
                if (const auto &info = some[static_cast<std::size_t>(i)];
                    !(info.flags & XEN_DOMINF_xs_domain))
                    all.push_back(info);
            next = some[static_cast<std::size_t>(count - 1)].domain + 1u;
        }
    }

    Result<xc_domaininfo_t> find(const Uuid &uuid) {
        for (const auto &domain : CKPT_TRY(domains()))
            if (domain_uuid(domain) == uuid && !(domain.flags & XEN_DOMINF_dying))
                return domain;
        return fail(ENOENT, "no guest {} on this host", uuid.to_string());
    }

    Handles handles_;
    LogDirtySupport support_;
    std::shared_ptr<MachineTable> machine_;
};

} // namespace
} // namespace xen

Result<std::unique_ptr<GuestBackend>> open_xen_backend() { return xen::XenBackend::open(); }

} // namespace ckpt
