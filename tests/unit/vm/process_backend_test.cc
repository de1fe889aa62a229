// SPDX-License-Identifier: GPL-2.0-only
#include "libckpt/vm/process_backend.hh"

#include <cstring>

#include <gtest/gtest.h>

namespace ckpt {
namespace {

using namespace std::chrono_literals;

constexpr Uuid kUuid{{1}};

// Every processor writes its step count somewhere, again and again.
void scribble(std::span<std::byte> memory, ProcessRegisters &registers) {
    std::uint64_t &random = registers.scratch[0];
    random = random * 6364136223846793005u + 1442695040888963407u;
    std::memcpy(memory.data() + (random >> 33) % (memory.size() / 8) * 8, &registers.steps, 8);
}

class ProcessBackendTest : public ::testing::TestWithParam<WriteTracking> {
  protected:
    void start(std::uint64_t nr_pages, unsigned nr_vcpus, decltype(ProcessGuestSpec::work) work) {
        machine_ = *backend_.create_guest(kUuid, {.name = "g1",
                                                  .nr_pages = nr_pages,
                                                  .nr_vcpus = nr_vcpus,
                                                  .work = std::move(work),
                                                  .tracking = GetParam()});
        guest_ = *backend_.open(kUuid);
        Status status = guest_->start_dirty_log();
        if (!status)
            GTEST_SKIP() << status.error().message();
    }
    Status suspend(Duration limit = 5s) {
        CKPT_CHECK(guest_->request_suspend());
        return guest_->wait_suspended(steady_now() + limit);
    }

    ProcessBackend backend_;
    ProcessMachine *machine_ = nullptr;
    std::unique_ptr<Guest> guest_;
};

TEST_P(ProcessBackendTest, FindsExactlyTheWrittenPages) {
    start(1000, 1, {});
    if (IsSkipped())
        return;
    PageSet dirty(1000);
    ASSERT_TRUE(guest_->collect_dirty(dirty, false));
    dirty.clear();
    for (Pfn pfn : {0, 63, 64, 999})
        machine_->memory()[pfn * kPageSize + 17] = std::byte{1};
    ASSERT_EQ(guest_->collect_dirty(dirty, false)->nr_found, 4u);
    for (Pfn pfn : {0, 63, 64, 999})
        EXPECT_TRUE(dirty.contains(pfn)) << pfn;
    dirty.clear();
    EXPECT_EQ(guest_->collect_dirty(dirty, false)->nr_found, 0u);
    machine_->memory()[64 * kPageSize] = std::byte{2}; // found again after it was collected
    EXPECT_EQ(guest_->collect_dirty(dirty, false)->nr_found, 1u);
}

// A copy kept up to date by rounds alone is the guest's memory at each stop.
TEST_P(ProcessBackendTest, RoundsAndCopiesGiveTheMemoryOfTheStop) {
    start(256, 3, scribble);
    if (IsSkipped())
        return;
    auto arena = *PageArena::create(1);
    std::vector<std::byte> copy(256 * kPageSize);
    auto take = [&](const PageSet &pages) {
        std::vector<Pfn> pfns;
        pages.for_each([&](Pfn pfn) { pfns.push_back(pfn); });
        PageBatch batch = arena->get();
        PageSet deferred(256);
        ASSERT_EQ(*guest_->copy_pages(pfns, batch, deferred), pfns.size());
        for (std::size_t i = 0; i < batch.size(); i++)
            std::memcpy(copy.data() + batch.pfn(i) * kPageSize, batch.data(i), kPageSize);
    };
    PageSet all(256);
    ASSERT_TRUE(guest_->all_pages(all));
    take(all);
    for (unsigned stop = 0; stop < 20; stop++) {
        PageSet dirty(256);
        for (unsigned round = 0; round < 5; round++) {
            dirty.clear();
            ASSERT_TRUE(guest_->collect_dirty(dirty, false));
            take(dirty);
            std::this_thread::sleep_for(200us);
        }
        ASSERT_TRUE(suspend());
        dirty.clear();
        ASSERT_TRUE(guest_->collect_dirty(dirty, true));
        take(dirty);
        ASSERT_EQ(std::memcmp(copy.data(), machine_->memory().data(), copy.size()), 0) << stop;
        ASSERT_TRUE(guest_->resume());
    }
}

TEST_P(ProcessBackendTest, ASuspendedGuestStandsStill) {
    start(64, 2, scribble);
    if (IsSkipped())
        return;
    ASSERT_TRUE(suspend());
    EXPECT_EQ(machine_->info().state, RunState::suspended);
    StateRecords before = *guest_->read_state();
    std::this_thread::sleep_for(10ms);
    EXPECT_EQ(guest_->read_state()->tail, before.tail);
    ASSERT_TRUE(guest_->resume());
    ASSERT_TRUE(guest_->resume()) << "safe to call again";
    EXPECT_GE(guest_->resumed_at() - guest_->suspended_at(), 10ms);
    std::this_thread::sleep_for(10ms);
    ASSERT_TRUE(suspend());
    EXPECT_NE(guest_->read_state()->tail, before.tail);
    guest_.reset(); // Rule R7: the handle's end resumes it
    for (int i = 0; i < 1000 && machine_->suspended(); i++)
        std::this_thread::sleep_for(1ms);
    EXPECT_FALSE(machine_->suspended());
}

TEST_P(ProcessBackendTest, GoesWrongAsTold) {
    start(64, 1, scribble);
    if (IsSkipped())
        return;
    machine_->inject({.call = ProcessCall::suspend, .error = ETIMEDOUT});
    Status refused = suspend();
    ASSERT_FALSE(refused);
    EXPECT_TRUE(refused.error().is(ETIMEDOUT));
    ASSERT_TRUE(suspend());
    machine_->inject({.call = ProcessCall::copy_pages, .skip = 1, .dies = true});
    auto arena = *PageArena::create(1);
    PageBatch batch = arena->get();
    PageSet deferred(64);
    Pfn pfn = 1;
    EXPECT_TRUE(guest_->copy_pages({&pfn, 1}, batch, deferred));
    EXPECT_TRUE(guest_->copy_pages({&pfn, 1}, batch, deferred).error().is(ESHUTDOWN));
    EXPECT_TRUE(guest_->read_state().error().is(ESHUTDOWN));
    EXPECT_EQ(machine_->info().state, RunState::crashed);
    batch = PageBatch();
}

TEST_P(ProcessBackendTest, BalloonedPagesAreHolesAndDirty) {
    start(64, 1, {});
    if (IsSkipped())
        return;
    PageSet dirty(64);
    ASSERT_TRUE(guest_->collect_dirty(dirty, false));
    dirty.clear();
    machine_->balloon_out(5);
    ASSERT_TRUE(guest_->collect_dirty(dirty, false));
    EXPECT_TRUE(dirty.contains(5));
    auto arena = *PageArena::create(1);
    PageBatch batch = arena->get();
    Pfn pfn = 5;
    ASSERT_TRUE(guest_->copy_pages({&pfn, 1}, batch, dirty));
    EXPECT_EQ(batch.type(0), PageType::hole);
    machine_->balloon_in(5);
    machine_->memory()[5 * kPageSize] = std::byte{1};
    dirty.clear();
    ASSERT_TRUE(guest_->collect_dirty(dirty, false));
    EXPECT_TRUE(dirty.contains(5));
    dirty.clear();
    machine_->memory()[5 * kPageSize] = std::byte{2};
    ASSERT_TRUE(guest_->collect_dirty(dirty, false));
    EXPECT_TRUE(dirty.contains(5));
}

TEST(ProcessBackend, RecoverResumesWhatWasLeftSuspended) {
    ProcessBackend backend;
    ProcessMachine *machine =
        *backend.create_guest(kUuid, {.name = "g1", .nr_pages = 16, .work = scribble});
    Guest *leaked = backend.open(kUuid)->release(); // a program that died
    ASSERT_TRUE(leaked->request_suspend());
    ASSERT_TRUE(leaked->wait_suspended(steady_now() + 5s));
    EXPECT_EQ(*backend.recover(std::span(&kUuid, 1)), 1u);
    EXPECT_EQ(*backend.recover({}), 0u);
    for (int i = 0; i < 1000 && machine->suspended(); i++)
        std::this_thread::sleep_for(1ms);
    EXPECT_FALSE(machine->suspended());
    delete leaked;
}

INSTANTIATE_TEST_SUITE_P(Tracking, ProcessBackendTest,
                         ::testing::Values(WriteTracking::scan, WriteTracking::faults),
                         [](const auto &test) {
                             return test.param == WriteTracking::scan ? "scan" : "faults";
                         });

} // namespace
} // namespace ckpt
