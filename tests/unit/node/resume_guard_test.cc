// SPDX-License-Identifier: GPL-2.0-only
// The guard with real processes that are really killed.
#include "libckpt/node/resume_guard.hh"

#include <signal.h>
#include <sys/mman.h>
#include <sys/wait.h>

#include <atomic>
#include <random>
#include <thread>

#include <gtest/gtest.h>

namespace ckpt {
namespace {

using namespace std::chrono_literals;

constexpr unsigned kGuests = 4;

Uuid guest_uuid(unsigned i) {
    return Uuid{{static_cast<std::uint8_t>(i + 1)}};
}

// What the three processes share: the "hypervisor".
struct World {
    std::atomic<bool> suspended[kGuests];
    std::atomic<unsigned> nr_recovered, nr_calls, nr_rounds;
};

class ResumeGuardTest : public ::testing::Test {
  protected:
    ResumeGuardTest() {
        world_ = static_cast<World *>(::mmap(nullptr, sizeof(World), PROT_READ | PROT_WRITE,
                                             MAP_SHARED | MAP_ANONYMOUS, -1, 0));
    }
    ~ResumeGuardTest() override { ::munmap(world_, sizeof(World)); }

    // Fails the first `nr_failures` times.
    ResumeGuard::Recover recover(unsigned nr_failures = 0) {
        return [world = world_, nr_failures](std::span<const Uuid> guests) -> Status {
            if (world->nr_calls++ < nr_failures)
                return fail(EAGAIN, "not yet");
            for (const Uuid &guest : guests)
                world->nr_recovered += world->suspended[guest.bytes[0] - 1].exchange(false);
            return {};
        };
    }
    // A program that suspends and resumes its guests over and over.
    [[noreturn]] void program(unsigned seed) {
        auto guard = ResumeGuard::start(recover());
        if (!guard)
            ::_exit(1);
        std::mt19937 random(seed);
        for (;; world_->nr_rounds++) {
            for (unsigned i = 0; i < kGuests; i++) {
                if (!(*guard)->mark(guest_uuid(i)))
                    ::_exit(1);
                world_->suspended[i] = true;
            }
            if (random() % 8 == 0)
                std::this_thread::sleep_for(1ms);
            for (unsigned i = 0; i < kGuests; i++) {
                world_->suspended[i] = false;
                (*guard)->unmark(guest_uuid(i));
            }
        }
    }
    bool any_suspended() const {
        for (auto &suspended : world_->suspended)
            if (suspended)
                return true;
        return false;
    }

    World *world_;
};

TEST_F(ResumeGuardTest, KilledAtAnyPointNobodyStaysSuspended) {
    std::mt19937 random(5);
    for (unsigned i = 0; i < 20; i++) {
        const unsigned before = world_->nr_rounds;
        pid_t pid = ::fork();
        ASSERT_GE(pid, 0);
        if (pid == 0)
            program(i);
        for (int tries = 0; world_->nr_rounds == before && tries < 20000; tries++)
            std::this_thread::sleep_for(1ms);
        std::this_thread::sleep_for(std::chrono::microseconds(random() % 2000));
        ::kill(pid, SIGKILL);
        int status;
        ASSERT_EQ(::waitpid(pid, &status, 0), pid);
        ASSERT_TRUE(WIFSIGNALED(status)) << "the program ended by itself";
        for (int tries = 0; any_suspended() && tries < 20000; tries++)
            std::this_thread::sleep_for(1ms);
        ASSERT_FALSE(any_suspended()) << "kill " << i;
    }
    EXPECT_GT(world_->nr_recovered, 0u) << "no kill came at a point that matters";
}

TEST_F(ResumeGuardTest, AProgramThatEndsWellHasNothingRecovered) {
    auto guard = *ResumeGuard::start(recover());
    ASSERT_TRUE(guard->mark(guest_uuid(0)));
    guard->unmark(guest_uuid(0));
    pid_t pid = guard->pid();
    guard.reset();
    EXPECT_EQ(::kill(pid, 0), -1) << "the guard is gone";
    EXPECT_EQ(world_->nr_calls, 0u);
}

TEST_F(ResumeGuardTest, TriesAgainWhileRecoveryFails) {
    pid_t pid = ::fork();
    ASSERT_GE(pid, 0);
    if (pid == 0) {
        auto guard = ResumeGuard::start(recover(3));
        world_->suspended[2] = true;
        ::_exit(guard && (*guard)->mark(guest_uuid(2)) ? 0 : 1);
    }
    int status;
    ASSERT_EQ(::waitpid(pid, &status, 0), pid);
    ASSERT_EQ(status, 0);
    for (int tries = 0; world_->suspended[2] && tries < 5000; tries++)
        std::this_thread::sleep_for(1ms);
    EXPECT_FALSE(world_->suspended[2]);
    EXPECT_EQ(world_->nr_calls, 4u);
}

TEST_F(ResumeGuardTest, TooManyGuests) {
    auto guard = *ResumeGuard::start(recover());
    for (unsigned i = 0; i < ResumeGuard::kMaxGuests; i++)
        ASSERT_TRUE(guard->mark(guest_uuid(i % kGuests)));
    EXPECT_TRUE(guard->mark(guest_uuid(0)).error().is(ENOSPC));
    for (unsigned i = 0; i < ResumeGuard::kMaxGuests; i++)
        guard->unmark(guest_uuid(i % kGuests));
    EXPECT_TRUE(guard->mark(guest_uuid(0)));
    guard->unmark(guest_uuid(0));
}

} // namespace
} // namespace ckpt
