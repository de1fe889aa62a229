// SPDX-License-Identifier: GPL-2.0-only
#include "libckpt/vm/xen_guest.hh"

#include <algorithm>
#include <charconv>

#include "libckpt/base/assert.hh"
#include "libckpt/vm/xl_config.hh"

namespace ckpt::xen {

Result<std::unique_ptr<Guest>> XenGuest::open(GuestInfo info,
                                              std::shared_ptr<MachineTable> machine) {
    std::unique_ptr<XenGuest> guest(new XenGuest(std::move(info)));
    const std::string who = guest->info_.name;
    Status opened = guest->init(std::move(machine));
    if (!opened.has_value())
        return wrap("guest " + who, opened.error());
    return std::unique_ptr<Guest>(std::move(guest));
}

Status XenGuest::init(std::shared_ptr<MachineTable> machine) {
    handles_ = CKPT_TRY(Handles::open());
    const auto domain = CKPT_TRY(domain_info(handles_.control.get(), info_.domid));
    if (info_.kind == GuestKind::pv)
        CKPT_CHECK(open_pv(domain, std::move(machine)));
    else
        CKPT_CHECK(open_pvh(domain));
    copier_ = std::make_unique<Copier>(handles_, info_.domid, calls_.get(), *space_);
    if (info_.tracking == Tracking::compare)
        compare_ = CKPT_TRY(Compare::create(handles_, info_.domid, calls_.get(), *space_));
    else
        log_ = std::make_unique<LogDirty>(handles_, info_.domid, info_.kind, calls_.get(), *space_);
    rings_ = CKPT_TRY(daemon_rings(handles_, info_.domid, info_.kind, *space_));
    suspender_ = CKPT_TRY(Suspender::open(handles_, info_.domid));
    return {};
}

Status XenGuest::open_calls() {
    info_.pfn_limit = space_->limit();
    calls_.reset(xen_calls_open(handles_.control.get(), info_.domid, space_->limit()));
    if (!calls_)
        return fail(ENOMEM, "no memory for hypercall buffers");
    return {};
}

Status XenGuest::open_pvh(const xc_domaininfo_t &domain) {
    auto space = CKPT_TRY(PvhSpace::open(handles_, domain));
    pvh_ = space.get();
    space_ = std::move(space);
    CKPT_CHECK(open_calls());
    state_ = CKPT_TRY(open_hvm_state(handles_, info_.domid));
    balloon_ = std::make_unique<Balloon>(handles_, info_.domid, calls_.get(), *pvh_);
    return balloon_->start();
}

Status XenGuest::open_pv(const xc_domaininfo_t &domain, std::shared_ptr<MachineTable> machine) {
    auto space = CKPT_TRY(PvSpace::open(handles_, domain, std::move(machine)));
    const PvSpace &pv = *space;
    space_ = std::move(space);
    CKPT_CHECK(open_calls());
    state_ = CKPT_TRY(open_pv_state(handles_, info_.domid, calls_.get(), pv, info_.nr_vcpus));
    return {};
}

XenGuest::~XenGuest() {
    suspender_.reset(); // Rule R7: it runs, whatever else fails
    if (log_)
        static_cast<void>(log_->stop().has_value());
}

Status XenGuest::start_dirty_log() { return log_ ? log_->start() : Status{}; }

Status XenGuest::stop_dirty_log() {
    if (compare_)
        compare_->drop_mappings();
    return log_ ? log_->stop() : Status{};
}

Status XenGuest::all_pages(PageSet &pages) {
    if (pvh_) {
        pages.merge(pvh_->present());
        return {};
    }
    for (Pfn pfn = 0; pfn < space_->limit(); pfn++)
        if (space_->frame(pfn) != kNoFrame)
            pages.insert(pfn);
    return {};
}

// A dead guest makes all kinds of errors: what counts is that it is dead.
template <typename T> Result<T> XenGuest::judged(Result<T> result) {
    if (result.has_value())
        return result;
    if (Status alive = check_alive(); !alive.has_value())
        return tl::unexpected(alive.error());
    return wrap("guest " + info_.name, result.error());
}

Status XenGuest::check_alive() {
    const auto domain = domain_info(handles_.control.get(), info_.domid);
    if (!domain.has_value() || domain->flags & XEN_DOMINF_dying)
        return fail(ESHUTDOWN, "guest {}: it is gone", info_.name);
    if (is_shut_down(*domain) && !is_suspended(*domain))
        return fail(ESHUTDOWN, "guest {}: it has {}", info_.name,
                    shutdown_reason(*domain) == SHUTDOWN_crash ? "crashed" : "shut down");
    info_.nr_pages = domain->tot_pages;
    return {};
}

Result<DirtyResult> XenGuest::collect_dirty(PageSet &dirty, bool stopped) {
    return judged(collect(dirty, stopped));
}

Result<DirtyResult> XenGuest::collect(PageSet &dirty, bool stopped) {
    CKPT_ASSERT(dirty.limit() == space_->limit());
    copier_->forget(stopped);
    if (!stopped) {
        CKPT_CHECK(suspender_->settle_late());
        CKPT_CHECK(check_alive());
    }
    DirtyResult result;
    if (log_)
        result = CKPT_TRY(log_->collect(dirty, stopped));
    if (balloon_)
        CKPT_CHECK(balloon_->look(stopped ? suspender_->info().tot_pages : info_.nr_pages, dirty,
                                  result));
    if (stopped)
        CKPT_CHECK(add_at_stop(dirty));
    if (compare_)
        result.nr_found += CKPT_TRY(compare_->add_changed(dirty, stopped));
    return result;
}

// What a dirty log never shows.
Status XenGuest::add_at_stop(PageSet &dirty) {
    CKPT_CHECK(space_->add_moved(dirty));
    for (const FixedPage &ring : rings_)
        dirty.insert(ring.pfn);
    return {};
}

Result<std::size_t> XenGuest::copy_pages(std::span<const Pfn> pfns, PageBatch &batch,
                                         PageSet &deferred) {
    const std::size_t before = batch.size();
    const std::size_t done =
        CKPT_TRY(judged(copier_->copy(pfns, suspender_->suspended(), batch, deferred)));
    if (compare_)
        compare_->stored(batch, before);
    return done;
}

Status XenGuest::request_suspend() {
    auto request = [this]() -> Status {
        CKPT_CHECK(state_->prepare());
        CKPT_CHECK(read_configuration());
        roles_.clear();
        return suspender_->request();
    };
    return judged<void>(request());
}

Status XenGuest::wait_suspended(SteadyTime deadline) {
    return judged<void>(suspender_->wait(deadline));
}

Result<StateRecords> XenGuest::read_state() {
    StateRecords records = CKPT_TRY(judged(state_->read()));
    CKPT_CHECK(set_memory_target(configuration_, memory_target(suspender_->info().tot_pages)));
    records.config = configuration_;
    return records;
}

// All but the memory that the guest has, which can change until it is suspended.
Status XenGuest::read_configuration() {
    configuration_ = CKPT_TRY(xen::read_configuration(info_.domid, info_.uuid));
    const std::string path = domain_path(info_.domid, "memory/target");
    const std::string target = handles_.store.read(path).value_or("");
    target_kib_ = 0;
    std::from_chars(target.data(), target.data() + target.size(), target_kib_);
    return set_memory_target(configuration_, memory_target(info_.nr_pages));
}

// In KiB, for the guest's configuration: where it was sent (xl mem-set), unless
// it is on its way down and has more yet, for which xl restore must find room.
std::uint64_t XenGuest::memory_target(std::uint64_t nr_pages) const {
    constexpr std::uint64_t kSpecialPages = 64; // beyond the target, as xl allows (1 MiB)
    const std::uint64_t needed = nr_pages - std::min(nr_pages, kSpecialPages);
    return std::max(target_kib_, needed * kPageSize / 1024);
}

Status XenGuest::resume() {
    CKPT_CHECK(judged<void>(suspender_->resume()));
    // The guest runs: now there is time for what the pause left behind.
    copier_->forget(false);
    copier_->release();
    if (log_)
        CKPT_CHECK(judged<void>(log_->rearm()));
    return judged<void>(suspender_->tidy());
}

Status XenGuest::read_all(const PageVisit &visit) {
    if (!pvh_) {
        PageSet pages(space_->limit());
        CKPT_CHECK(all_pages(pages));
        return read_pages(*space_, pages, visit);
    }
    // What is remembered of a PVH guest's pages is no part of a second look.
    const auto domain = CKPT_TRY(domain_info(handles_.control.get(), info_.domid));
    const auto fresh = CKPT_TRY(PvhSpace::open(handles_, domain));
    CKPT_CHECK(fresh->scan(calls_.get(), domain.tot_pages, [](Pfn, bool) {}));
    return read_pages(*fresh, fresh->present(), visit);
}

Status XenGuest::read_pages(const Space &space, const PageSet &pages, const PageVisit &visit) {
    std::vector<Pfn> pfns;
    pages.for_each([&](Pfn pfn) { pfns.push_back(pfn); });
    const auto copier = std::make_unique<Copier>(handles_, info_.domid, calls_.get(), space);
    std::vector<std::byte> contents(kPageSize);
    for (std::size_t at = 0; at < pfns.size(); at += Copier::kGroup) {
        const auto group = std::span(pfns).subspan(at, std::min(Copier::kGroup, pfns.size() - at));
        for (const FoundPage &page : CKPT_TRY(copier->find(group, true))) {
            if (page.data && !space.store_form(page.type, page.data, contents.data()))
                return fail(EIO, "guest {}: page table {:#x} refers to frames that aren't its own",
                            info_.name, page.pfn);
            CKPT_CHECK(visit(page.pfn, page.type, page.data ? contents.data() : nullptr));
        }
        copier->forget(false);
        copier->release();
    }
    return {};
}

std::string XenGuest::page_role(Pfn pfn) {
    if (roles_.empty() && suspender_->suspended()) {
        auto roles = page_roles(handles_, suspender_->info(), calls_.get(), *space_, rings_);
        if (roles.has_value())
            roles_ = std::move(*roles);
    }
    if (const auto role = roles_.find(pfn); role != roles_.end())
        return role->second;
    const xen_pfn_t frame = space_->frame(pfn);
    const auto page = Mapping::create(handles_.memory.get(), info_.domid, std::span(&frame, 1));
    return page.has_value() ? event_page_role(page->page(0)) : std::string();
}

} // namespace ckpt::xen
