// SPDX-License-Identifier: GPL-2.0-only
#include "libckpt/vm/process_backend.hh"

#include <sys/mman.h>

#include <algorithm>
#include <cstring>

namespace ckpt {

class ProcessGuest : public Guest {
  public:
    explicit ProcessGuest(ProcessMachine &machine) : machine_(machine), info_(machine.info()) {}
    ~ProcessGuest() override {
        if (suspended_)
            machine_.resume();
    }

    const GuestInfo &info() const override { return info_; }

    Status start_dirty_log() override {
        tracker_ = CKPT_TRY(WriteTracker::create(machine_.memory(), machine_.spec().tracking));
        return {};
    }
    Status stop_dirty_log() override {
        tracker_.reset();
        return {};
    }

    Result<DirtyResult> collect_dirty(PageSet &dirty, bool) override {
        bool lost = false;
        CKPT_CHECK(machine_.enter(ProcessCall::collect_dirty, &lost));
        PageSet found(machine_.spec().nr_pages);
        machine_.take_ballooned(found);
        CKPT_CHECK(tracker_->collect(found));
        if (lost)
            return DirtyResult{.nr_found = 0, .lost = true, .reason = "injected"};
        dirty.merge(found);
        return DirtyResult{.nr_found = found.count(), .lost = false, .reason = {}};
    }

    Status all_pages(PageSet &pages) override {
        for (Pfn pfn = 0; pfn < machine_.spec().nr_pages; pfn++)
            pages.insert(pfn);
        return {};
    }

    Result<std::size_t> copy_pages(std::span<const Pfn> pfns, PageBatch &batch,
                                   PageSet &) override {
        CKPT_CHECK(machine_.enter(ProcessCall::copy_pages));
        std::size_t count = std::min(pfns.size(), PageBatch::kCapacity - batch.size());
        std::lock_guard lock(machine_.mutex_); // types stay as they are
        for (Pfn pfn : pfns.first(count)) {
            PageType type = machine_.type_of(pfn);
            if (has_contents(type))
                std::memcpy(batch.add(pfn, type), page(pfn), kPageSize);
            else
                batch.add_empty(pfn, type);
        }
        return count;
    }

    Status request_suspend() override {
        machine_.request_suspend();
        return {};
    }
    Status wait_suspended(SteadyTime deadline) override {
        CKPT_CHECK(machine_.wait_suspended(deadline));
        suspended_ = true;
        return {};
    }
    SteadyTime suspended_at() const override { return machine_.suspended_at_; }

    Result<StateRecords> read_state() override {
        CKPT_CHECK(machine_.enter(ProcessCall::read_state));
        StateRecords state;
        auto name = std::as_bytes(std::span(machine_.spec().name));
        state.config.assign(name.begin(), name.end());
        auto registers = std::as_bytes(std::span(machine_.registers_));
        state.tail.assign(registers.begin(), registers.end());
        return state;
    }

    Status resume() override {
        CKPT_CHECK(machine_.enter(ProcessCall::resume));
        machine_.resume();
        suspended_ = false;
        return {};
    }
    SteadyTime resumed_at() const override { return machine_.resumed_at_; }

    Status read_all(const PageVisit &visit) override {
        for (Pfn pfn = 0; pfn < machine_.spec().nr_pages; pfn++) {
            PageType type = machine_.type_of(pfn);
            CKPT_CHECK(visit(pfn, type, has_contents(type) ? page(pfn) : nullptr));
        }
        return {};
    }
    std::string page_role(Pfn) override { return {}; }

  private:
    const std::byte *page(Pfn pfn) const { return machine_.memory().data() + pfn * kPageSize; }

    ProcessMachine &machine_;
    const GuestInfo info_;
    std::unique_ptr<WriteTracker> tracker_;
    bool suspended_ = false;
};

ProcessBackend::~ProcessBackend() = default;

Result<ProcessMachine *> ProcessBackend::create_guest(const Uuid &uuid, ProcessGuestSpec spec) {
    const std::size_t bytes = spec.nr_pages * kPageSize;
    void *memory = ::mmap(nullptr, bytes, PROT_READ | PROT_WRITE,
                          MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
    if (memory == MAP_FAILED)
        return fail(errno, "guest {}: {} pages", spec.name, spec.nr_pages);
    ::madvise(memory, bytes, MADV_NOHUGEPAGE); // tracking is by small pages
    std::lock_guard lock(mutex_);
    machines_.push_back(std::make_unique<ProcessMachine>(
        uuid, std::move(spec), std::span(static_cast<std::byte *>(memory), bytes)));
    return machines_.back().get();
}

ProcessMachine *ProcessBackend::find(const Uuid &uuid) {
    std::lock_guard lock(mutex_);
    for (auto &machine : machines_)
        if (machine->uuid() == uuid)
            return machine.get();
    return nullptr;
}

Result<std::vector<GuestInfo>> ProcessBackend::list() {
    std::lock_guard lock(mutex_);
    std::vector<GuestInfo> infos;
    for (auto &machine : machines_)
        infos.push_back(machine->info());
    return infos;
}

Result<std::unique_ptr<Guest>> ProcessBackend::open(const Uuid &uuid) {
    ProcessMachine *machine = find(uuid);
    if (!machine)
        return fail(ENOENT, "guest {}", uuid.to_string());
    return std::make_unique<ProcessGuest>(*machine);
}

Result<unsigned> ProcessBackend::recover(std::span<const Uuid> uuids) {
    unsigned count = 0;
    for (const Uuid &uuid : uuids) {
        ProcessMachine *machine = find(uuid);
        if (!machine || !machine->suspended())
            continue;
        machine->resume();
        count++;
    }
    return count;
}

} // namespace ckpt
