// SPDX-License-Identifier: GPL-2.0-only
#include "libckpt/node/resume_guard.hh"

#include <fcntl.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>

#include <array>
#include <atomic>
#include <thread>
#include <vector>

namespace ckpt {

// Slots are taken by compare-and-swap. A slot whose owner died before it wrote
// the uuid is not marked yet, and its guest not asked to suspend.
struct ResumeGuard::Table {
    enum State : std::uint32_t { free, taken, marked };
    struct Slot {
        std::atomic<std::uint32_t> state;
        Uuid guest;
    };
    std::array<Slot, kMaxGuests> slots;
};

Result<std::unique_ptr<ResumeGuard>> ResumeGuard::start(Recover recover, Duration patience) {
    void *memory =
        ::mmap(nullptr, sizeof(Table), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED)
        return fail(errno, "resume guard: shared memory");
    auto *table = static_cast<Table *>(memory); // zero: all slots free
    int ends[2];
    if (::pipe2(ends, O_CLOEXEC) != 0) {
        ::munmap(memory, sizeof(Table));
        return fail(errno, "resume guard: pipe");
    }
    Fd ours(ends[1]), theirs(ends[0]);
    pid_t pid = ::fork();
    if (pid < 0) {
        ::munmap(memory, sizeof(Table));
        return fail(errno, "resume guard: fork");
    }
    if (pid == 0) {
        ours.reset();
        watch(*table, theirs.get(), recover, patience);
        ::_exit(0);
    }
    return std::unique_ptr<ResumeGuard>(new ResumeGuard(table, std::move(ours), pid));
}

ResumeGuard::~ResumeGuard() {
    alive_.reset();
    while (::waitpid(pid_, nullptr, 0) < 0 && errno == EINTR)
        ;
    ::munmap(table_, sizeof(Table));
}

void ResumeGuard::watch(const Table &table, int alive, const Recover &recover, Duration patience) {
    ::prctl(PR_SET_NAME, "resume-guard");
    ::setsid(); // not killed with the program's group
    for (int signal : {SIGTERM, SIGINT, SIGHUP, SIGQUIT, SIGPIPE, SIGUSR1, SIGUSR2})
        ::signal(signal, SIG_IGN);
    char byte;
    while (::read(alive, &byte, 1) < 0 && errno == EINTR)
        ;
    std::vector<Uuid> guests;
    for (const Table::Slot &slot : table.slots)
        if (slot.state.load(std::memory_order_acquire) == Table::marked)
            guests.push_back(slot.guest);
    if (guests.empty())
        return;
    const SteadyTime end = steady_now() + patience;
    while (!recover(guests) && steady_now() < end)
        std::this_thread::sleep_for(std::chrono::milliseconds(50));
}

Status ResumeGuard::mark(const Uuid &guest) {
    for (Table::Slot &slot : table_->slots) {
        std::uint32_t expected = Table::free;
        if (!slot.state.compare_exchange_strong(expected, Table::taken))
            continue;
        slot.guest = guest;
        slot.state.store(Table::marked, std::memory_order_release);
        return {};
    }
    return fail(ENOSPC, "resume guard: more than {} guests", kMaxGuests);
}

void ResumeGuard::unmark(const Uuid &guest) {
    for (Table::Slot &slot : table_->slots)
        if (slot.state.load(std::memory_order_acquire) == Table::marked && slot.guest == guest)
            return slot.state.store(Table::free, std::memory_order_release);
}

} // namespace ckpt
