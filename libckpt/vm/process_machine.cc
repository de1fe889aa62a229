// SPDX-License-Identifier: GPL-2.0-only
#include <sys/mman.h>

#include <algorithm>

#include "libckpt/vm/process_backend.hh"

namespace ckpt {

ProcessMachine::ProcessMachine(const Uuid &uuid, ProcessGuestSpec spec, std::span<std::byte> memory)
    : uuid_(uuid), spec_(std::move(spec)), memory_(memory), holes_(spec_.nr_pages),
      ballooned_(spec_.nr_pages), registers_(spec_.nr_vcpus) {
    for (unsigned vcpu = 0; vcpu < spec_.nr_vcpus; vcpu++)
        vcpus_.emplace_back([this, vcpu] { run_vcpu(vcpu); });
}

ProcessMachine::~ProcessMachine() {
    {
        std::lock_guard lock(mutex_);
        ending_ = true;
        stop_wanted_ = true;
    }
    changed_.notify_all();
    for (std::thread &vcpu : vcpus_)
        vcpu.join();
    ::munmap(memory_.data(), memory_.size());
}

GuestInfo ProcessMachine::info() const {
    std::lock_guard lock(mutex_);
    GuestInfo info;
    info.uuid = uuid_;
    info.name = spec_.name;
    info.kind = GuestKind::process;
    info.tracking = Tracking::write_protect;
    info.state = crashed_                    ? RunState::crashed
                 : parked_ == spec_.nr_vcpus ? RunState::suspended
                                             : RunState::running;
    info.nr_pages = spec_.nr_pages - holes_.count();
    info.pfn_limit = spec_.nr_pages;
    info.nr_vcpus = spec_.nr_vcpus;
    info.disks = spec_.disks;
    return info;
}

void ProcessMachine::inject(const ProcessFault &fault) {
    std::lock_guard lock(mutex_);
    faults_.push_back(fault);
}

void ProcessMachine::crash() {
    std::lock_guard lock(mutex_);
    crashed_ = true;
    stop_wanted_ = true;
    changed_.notify_all();
}

void ProcessMachine::balloon_out(Pfn pfn) {
    std::lock_guard lock(mutex_);
    ::madvise(memory_.data() + pfn * kPageSize, kPageSize, MADV_DONTNEED);
    holes_.insert(pfn);
    ballooned_.insert(pfn);
}

void ProcessMachine::balloon_in(Pfn pfn) {
    std::lock_guard lock(mutex_);
    memory_[pfn * kPageSize] = std::byte{0}; // populated, so that it can be protected
    holes_.erase(pfn);
    ballooned_.insert(pfn);
}

bool ProcessMachine::suspended() const {
    std::lock_guard lock(mutex_);
    return parked_ == spec_.nr_vcpus;
}

// What every call of a handle goes through: is the guest there, and is this
// call to go wrong?
Status ProcessMachine::enter(ProcessCall call, bool *loses) {
    std::unique_lock lock(mutex_);
    if (crashed_)
        return fail(ESHUTDOWN, "guest {} crashed", spec_.name);
    auto fault = std::find_if(faults_.begin(), faults_.end(),
                              [&](const ProcessFault &f) { return f.call == call; });
    if (fault == faults_.end())
        return {};
    if (fault->skip > 0) {
        fault->skip--;
        return {};
    }
    const ProcessFault now = *fault;
    if (--fault->shots == 0)
        faults_.erase(fault);
    lock.unlock();
    std::this_thread::sleep_for(now.delay);
    if (now.dies) {
        crash();
        return fail(ESHUTDOWN, "guest {} crashed", spec_.name);
    }
    if (loses)
        *loses = now.loses;
    if (now.error != 0)
        return fail(now.error, "guest {}: injected fault", spec_.name);
    return {};
}

void ProcessMachine::request_suspend() {
    stop_wanted_ = true;
}

Status ProcessMachine::wait_suspended(SteadyTime deadline) {
    Status fault = enter(ProcessCall::suspend);
    std::unique_lock lock(mutex_);
    bool stopped = changed_.wait_until(
        lock, deadline, [&] { return crashed_ || !fault || parked_ == spec_.nr_vcpus; });
    if (crashed_)
        return fail(ESHUTDOWN, "guest {} crashed", spec_.name);
    if (!fault || !stopped) {
        lock.unlock();
        resume();
        return fault ? fail(ETIMEDOUT, "guest {} did not suspend", spec_.name) : fault;
    }
    suspended_at_ = steady_now();
    lock.unlock();
    if (look_)
        look_(*this);
    return {};
}

void ProcessMachine::resume() {
    std::lock_guard lock(mutex_);
    if (crashed_ || ending_)
        return;
    stop_wanted_ = false;
    resumed_at_ = steady_now();
    changed_.notify_all();
}

// False: the thread ends.
bool ProcessMachine::park() {
    std::unique_lock lock(mutex_);
    parked_++;
    changed_.notify_all();
    changed_.wait(lock, [&] { return !stop_wanted_ || ending_; });
    parked_--;
    return !ending_;
}

void ProcessMachine::run_vcpu(unsigned vcpu) {
    ProcessRegisters &registers = registers_[vcpu];
    for (;;) {
        if (stop_wanted_) {
            if (!park())
                return;
        } else if (spec_.work) {
            spec_.work(memory_, registers);
            registers.steps++;
        } else {
            std::this_thread::sleep_for(std::chrono::microseconds(200));
        }
    }
}

PageType ProcessMachine::type_of(Pfn pfn) const {
    return holes_.contains(pfn) ? PageType::hole : PageType::normal;
}

void ProcessMachine::take_ballooned(PageSet &pages) {
    std::lock_guard lock(mutex_);
    pages.merge(ballooned_);
    ballooned_.clear();
}

} // namespace ckpt
