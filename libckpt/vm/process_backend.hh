// SPDX-License-Identifier: GPL-2.0-only
// Guests in this process: their memory is real and really tracked, their
// processors are threads that stop at safe points. For tests, and for
// measuring at native speed where no hypervisor is.
#pragma once

#include <atomic>
#include <condition_variable>
#include <functional>
#include <memory>
#include <mutex>
#include <span>
#include <string>
#include <thread>
#include <vector>

#include "libckpt/vm/guest_backend.hh"
#include "libckpt/vm/write_tracker.hh"

namespace ckpt {

// What a guest's processor keeps outside of memory: part of the state records.
struct ProcessRegisters {
    std::uint64_t steps = 0; // calls of the work function
    std::uint64_t scratch[7] = {};
};

struct ProcessGuestSpec {
    std::string name{};
    std::uint64_t nr_pages = 0;
    unsigned nr_vcpus = 1;
    // One step of a processor: writes to the memory as it likes, then returns
    // so that the guest can be suspended. Empty: the guest sleeps.
    std::function<void(std::span<std::byte> memory, ProcessRegisters &registers)> work{};
    WriteTracking tracking = WriteTracking::best;
    std::vector<DiskInfo> disks{}; // for a provider of the test's
};

// The calls of Guest at which something may be made to go wrong.
enum class ProcessCall { collect_dirty, copy_pages, suspend, read_state, resume };

struct ProcessFault {
    ProcessCall call = ProcessCall::suspend;
    unsigned skip = 0;  // that many calls go well first
    unsigned shots = 1; // then that many are affected
    Duration delay{};   // takes longer
    int error = 0;      // fails so; for suspend: ETIMEDOUT, the guest refuses
    bool dies = false;  // the guest crashes there
    bool loses = false; // collect_dirty: what was dirty is forgotten, and said so
};

// The guest itself; lives in the backend, whoever has it open.
class ProcessMachine {
  public:
    ProcessMachine(const Uuid &uuid, ProcessGuestSpec spec, std::span<std::byte> memory);
    ~ProcessMachine();

    const Uuid &uuid() const { return uuid_; }
    const ProcessGuestSpec &spec() const { return spec_; }
    std::span<std::byte> memory() const { return memory_; }
    GuestInfo info() const;

    void inject(const ProcessFault &fault);
    void crash();
    // Takes a page away from the guest, which must not be using it, and gives
    // it back, zeroed.
    void balloon_out(Pfn pfn);
    void balloon_in(Pfn pfn);

    bool suspended() const;
    // Registers of all processors; the guest is suspended.
    std::vector<ProcessRegisters> registers() const { return registers_; }
    // A test's look at the suspended guest, on the thread that suspended it.
    void on_suspended(std::function<void(ProcessMachine &)> look) { look_ = std::move(look); }

  private:
    friend class ProcessGuest;
    friend class ProcessBackend;

    Status enter(ProcessCall call, bool *loses = nullptr);
    void request_suspend();
    Status wait_suspended(SteadyTime deadline);
    void resume();
    void run_vcpu(unsigned vcpu);
    bool park();
    PageType type_of(Pfn pfn) const;
    void take_ballooned(PageSet &pages);

    const Uuid uuid_;
    const ProcessGuestSpec spec_;
    const std::span<std::byte> memory_;
    std::function<void(ProcessMachine &)> look_;
    mutable std::mutex mutex_;
    std::condition_variable changed_;
    std::atomic<bool> stop_wanted_ = false; // by a suspend or by the end
    bool ending_ = false, crashed_ = false;
    unsigned parked_ = 0;
    SteadyTime suspended_at_{}, resumed_at_{};
    std::vector<ProcessFault> faults_;
    PageSet holes_, ballooned_; // ballooned_: since the last take_ballooned()
    std::vector<ProcessRegisters> registers_;
    std::vector<std::thread> vcpus_;
};

class ProcessBackend : public GuestBackend {
  public:
    ~ProcessBackend() override;

    // Starts a guest. ENOMEM.
    Result<ProcessMachine *> create_guest(const Uuid &uuid, ProcessGuestSpec spec);
    // The machine, or null.
    ProcessMachine *find(const Uuid &uuid);

    std::string name() const override { return "in-process"; }
    Result<std::vector<GuestInfo>> list() override;
    // EPERM, EOPNOTSUPP: userfaultfd can't be had.
    Result<std::unique_ptr<Guest>> open(const Uuid &uuid) override;
    Result<unsigned> recover(std::span<const Uuid> uuids) override;

  private:
    std::mutex mutex_; // machines_, not what they hold
    std::vector<std::unique_ptr<ProcessMachine>> machines_;
};

} // namespace ckpt
