// SPDX-License-Identifier: GPL-2.0-only
// The node level with guests in this process that write all the time: every
// committed image is the guest's memory at its suspend, bit for bit, whatever
// failed before.
#include "libckpt/node/node_checkpointer.hh"

#include <poll.h>

#include <cstring>
#include <random>

#include <gtest/gtest.h>

#include "libckpt/vm/process_backend.hh"
#include "tests/unit/disk/memory_disks.hh"
#include "tests/unit/node/faulty_store.hh"
#include "tests/unit/store/store_rig.hh"

namespace ckpt {
namespace {

using namespace std::chrono_literals;

constexpr std::uint64_t kPages = 1000;

struct QuietLogger : Logger {
    void write(LogLevel, std::string_view) override {}
};

// A guest's memory and registers, taken by the backend at its suspend.
struct Snapshot {
    std::vector<std::byte> memory;
    std::vector<ProcessRegisters> registers;
};

// Hot pages, a slow sweep over the rest, and some at random.
void busy(std::span<std::byte> memory, ProcessRegisters &registers) {
    std::uint64_t &random = registers.scratch[0];
    random = random * 6364136223846793005u + registers.steps * 2 + 1442695040888963407u;
    const std::uint64_t nr_pages = memory.size() / kPageSize;
    std::uint64_t page = random >> 60 == 0   ? (random >> 20) % nr_pages
                         : random >> 60 == 1 ? registers.steps / 64 % nr_pages
                                             : (random >> 20) % 40;
    std::uint64_t offset = page * kPageSize + (random >> 8) % 512 * 8;
    std::memcpy(memory.data() + offset, &registers.steps, 8);
    if (registers.steps % 16 == 0)
        std::this_thread::sleep_for(20us);
}

Uuid guest_uuid(unsigned i) {
    return Uuid{{static_cast<std::uint8_t>(i + 1)}};
}

class Observer : public NodeObserver {
  public:
    static constexpr auto kChannelStep = 1ms; // what the core takes for each

    Status close_intake(Sn) override {
        EXPECT_FALSE(intake_closed);
        if (fail_intake > 0 && fail_intake-- > 0)
            return fail(EIO, "injected: intake");
        intake_closed = true;
        return {};
    }
    Result<Sn> cut(Sn index) override {
        EXPECT_TRUE(intake_closed);
        for (ProcessMachine *machine : machines)
            EXPECT_TRUE(machine->suspended() || machine->info().state == RunState::crashed);
        if (fail_cut > 0 && fail_cut-- > 0)
            return fail(EIO, "injected: cut");
        std::this_thread::sleep_for(kChannelStep);
        sn = index;
        return {};
    }
    Result<Sn> captured(Sn index, Sn prev) override {
        EXPECT_EQ(index, sn);
        std::this_thread::sleep_for(kChannelStep);
        return prev;
    }
    void open_intake(Sn) override {
        EXPECT_TRUE(intake_closed);
        intake_closed = false;
    }
    void durable(const Manifest &manifest) override { manifests.push_back(manifest); }
    void failed(Sn, const Error &error, bool will_retry) override {
        EXPECT_FALSE(intake_closed);
        failures.push_back(error.message());
        nr_given_up += !will_retry;
    }
    void guest_primed(const Uuid &) override { nr_primed++; }
    void guest_lost(const Uuid &uuid, const Error &) override { lost.push_back(uuid); }
    void verified(const VerifyResult &result) override { verifications.push_back(result); }

    std::vector<ProcessMachine *> machines;
    bool intake_closed = false;
    int fail_intake = 0, fail_cut = 0;
    Sn sn = 0;
    std::vector<Manifest> manifests;
    std::vector<std::string> failures;
    unsigned nr_given_up = 0, nr_primed = 0;
    std::vector<Uuid> lost;
    std::vector<VerifyResult> verifications;
};

class NodeCheckpointerTest : public ::testing::Test {
  protected:
    void SetUp() override {
        ProcessBackend probe;
        (void)*probe.create_guest(guest_uuid(0), {.name = "probe", .nr_pages = 1});
        Status status = (*probe.open(guest_uuid(0)))->start_dirty_log();
        if (!status)
            GTEST_SKIP() << status.error().message();
    }

    void start(unsigned nr_guests, NodeOptions options = {}, unsigned nr_batches = 40) {
        arena_ = *PageArena::create(nr_batches);
        store_ = *PageStore::open({.directory = directory_.path(),
                                   .node = "n1",
                                   .incarnation = 1,
                                   .arena = arena_.get(),
                                   .logger = &logger_,
                                   .create = true});
        faulty_ = std::make_unique<FaultyStore>(
            *store_, [this](const std::string &call) { return decide_(call); });
        for (unsigned i = 0; i < nr_guests; i++) {
            auto *machine = *backend_.create_guest(
                guest_uuid(i),
                {.name = fmt::format("g{}", i), .nr_pages = kPages, .nr_vcpus = 2, .work = busy});
            machine->on_suspended([this, i](ProcessMachine &stopped) {
                Snapshot &snapshot = snapshots_[i];
                snapshot.memory.assign(stopped.memory().begin(), stopped.memory().end());
                snapshot.registers = stopped.registers();
            });
            observer_.machines.push_back(machine);
        }
        snapshots_.resize(nr_guests);
        options.node = "n1";
        options.early.round_min = 2ms;
        options.early.round_max = 50ms;
        node_ = *NodeCheckpointer::create(backend_, *faulty_, *arena_, observer_, logger_, options);
        for (unsigned i = 0; i < nr_guests; i++) {
            Status status = node_->protect(guest_uuid(i));
            ASSERT_TRUE(status) << status.error().message();
        }
    }

    // Dispatches until `done` holds; false after a long time.
    bool run_until(const std::function<bool()> &done, Duration limit = 120s) {
        for (SteadyTime end = steady_now() + limit; !done() && steady_now() < end;) {
            pollfd ready{node_->event_fd(), POLLIN, 0};
            ::poll(&ready, 1, 10);
            node_->dispatch();
        }
        return done();
    }
    bool checkpoint(CheckpointKind kind = CheckpointKind::manual) {
        auto sn = node_->request(kind);
        EXPECT_TRUE(sn) << sn.error().message();
        unsigned given_up = observer_.nr_given_up;
        run_until([&] {
            return node_->status().indexes.durable >= *sn || observer_.nr_given_up > given_up;
        });
        return node_->status().indexes.durable >= *sn;
    }
    // The newest committed image of guest i is its memory at the last suspend.
    void expect_image(unsigned i) {
        Sn sn = node_->status().indexes.durable;
        auto image = store_->open_image(sn, guest_uuid(i));
        ASSERT_TRUE(image) << image.error().message();
        std::vector<bool> seen(kPages);
        std::vector<Pfn> wrong;
        ASSERT_TRUE((*image)->for_each([&](std::span<const ImageReader::Page> pages) -> Status {
            for (const ImageReader::Page &page : pages) {
                seen[page.pfn] = true;
                const std::byte *now = snapshots_[i].memory.data() + page.pfn * kPageSize;
                if (!page.data || std::memcmp(page.data, now, kPageSize) != 0)
                    wrong.push_back(page.pfn);
            }
            return {};
        }));
        EXPECT_EQ(std::count(seen.begin(), seen.end(), true), static_cast<long>(kPages));
        EXPECT_TRUE(wrong.empty()) << "checkpoint " << sn << " guest " << i << ": " << wrong.size()
                                   << " pages differ, the first is " << wrong[0];
        const StateRecords &state = (*image)->state();
        auto registers = std::as_bytes(std::span(snapshots_[i].registers));
        EXPECT_TRUE(
            std::equal(state.tail.begin(), state.tail.end(), registers.begin(), registers.end()));
    }
    void expect_running() {
        for (ProcessMachine *machine : observer_.machines) {
            if (machine->info().state == RunState::crashed)
                continue;
            for (int i = 0; i < 2000 && machine->suspended(); i++)
                std::this_thread::sleep_for(1ms);
            EXPECT_FALSE(machine->suspended()) << machine->spec().name;
        }
    }

    QuietLogger logger_;
    MemoryDisks disks_;
    ProcessBackend backend_;
    TempDir directory_;
    std::unique_ptr<PageArena> arena_;
    std::unique_ptr<PageStore> store_;
    std::function<int(const std::string &)> decide_ = [](auto &) { return 0; };
    std::unique_ptr<FaultyStore> faulty_;
    Observer observer_;
    std::vector<Snapshot> snapshots_;
    std::unique_ptr<NodeCheckpointer> node_;
};

// The disk is written to at the very moment of the suspend, and again behind it.
TEST_F(NodeCheckpointerTest, DisksAreOfTheSameCut) {
    disks_.add("data", 1024 * 1024);
    DiskInfo disk;
    disk.name = "xvda";
    disk.target = "data";
    disk.number = 51712;
    auto *machine = *backend_.create_guest(
        guest_uuid(9), {.name = "g9", .nr_pages = 64, .work = busy, .disks = {disk}});
    std::uint64_t steps = 0;
    machine->on_suspended([&](ProcessMachine &stopped) {
        steps = stopped.registers()[0].steps;
        disks_.write("data", 0, fmt::format("{:20}", steps));
    });
    start(1, {.disks = {&disks_, {}}});
    ASSERT_TRUE(node_->protect(guest_uuid(9)));
    for (Sn sn = 1; sn <= 6; sn++) {
        int shots = sn == 3 ? 1 : 0;
        disks_.decide = [&](const std::string &call) {
            return call == "snapshot" && shots-- > 0 ? EIO : 0;
        };
        ASSERT_TRUE(checkpoint()) << observer_.failures.back();
        const std::string cut = fmt::format("{:20}", steps);
        disks_.write("data", 0, "later");
        expect_running();
        EXPECT_EQ(observer_.failures.size(), sn < 3 ? 0u : 1u);
        const Manifest &manifest = observer_.manifests.back();
        ASSERT_EQ(manifest.guests.size(), 2u);
        ASSERT_EQ(manifest.disks.size(), 1u);
        EXPECT_EQ(manifest.disks[0].full, sn == 1);
        EXPECT_EQ(manifest.disks[0].guest, guest_uuid(9));
        EXPECT_GT(manifest.times.disk, 0u);
        for (int i = 0; i < 2000 && disks_.nr_held() != 1; i++) // the worker drops the base of before
            std::this_thread::sleep_for(1ms);
        EXPECT_EQ(disks_.nr_held(), 1);
        auto image = store_->open_image(manifest.sn, manifest.disks[0].uuid);
        ASSERT_TRUE(image) << image.error().message();
        std::string found;
        ASSERT_TRUE((*image)->for_each([&](std::span<const ImageReader::Page> pages) -> Status {
            for (const auto &page : pages)
                if (page.pfn == 0)
                    found.assign(reinterpret_cast<const char *>(page.data), 20);
            return {};
        }));
        EXPECT_EQ(found, cut);
    }
}

TEST_F(NodeCheckpointerTest, TenCheckpointsOfThreeGuests) {
    start(3, {.early = {.target_pages = 100, .max_pages = 400}, .verify = true});
    for (Sn sn = 1; sn <= 10; sn++) {
        ASSERT_TRUE(checkpoint()) << observer_.failures.back();
        for (unsigned i = 0; i < 3; i++)
            expect_image(i);
        const Manifest &manifest = observer_.manifests.back();
        EXPECT_EQ(manifest.sn, sn);
        EXPECT_EQ(manifest.prev, sn - 1);
        ASSERT_EQ(manifest.guests.size(), 3u);
        EXPECT_GT(manifest.durable_ns, 0u);
        EXPECT_GE(Duration(manifest.times.channel), 2 * Observer::kChannelStep);
        EXPECT_GE(manifest.times.stopped, manifest.times.channel);
        for (const GuestEntry &guest : manifest.guests) {
            EXPECT_EQ(guest.full, sn == 1);
            EXPECT_GT(guest.times.stopped, 0u);
            EXPECT_GE(guest.times.stopped, guest.times.registers + guest.times.resume);
            EXPECT_GT(guest.times.memory, 0u);
            EXPECT_GE(guest.nr_new, guest.nr_paused);
        }
        run_until([] { return false; }, 10ms);
    }
    EXPECT_EQ(observer_.nr_primed, 3u);
    ASSERT_EQ(observer_.verifications.size(), 30u);
    for (const VerifyResult &result : observer_.verifications) {
        EXPECT_EQ(result.nr_compared, kPages);
        EXPECT_TRUE(result.differing.empty()) << result.differing.size();
    }
    EXPECT_GE(node_->guests()[0].nr_early, kPages);
    node_.reset();
    expect_running();
}

// Faults of every kind at every step, at random, for 20 checkpoints.
class RandomFaults : public NodeCheckpointerTest, public ::testing::WithParamInterface<bool> {
  protected:
    unsigned below(unsigned n) { return static_cast<unsigned>(random_() % n); }
    bool one_in(unsigned n) { return below(n) == 0; }

    void inject_guest_fault() {
        constexpr ProcessCall calls[] = {ProcessCall::collect_dirty, ProcessCall::copy_pages,
                                         ProcessCall::suspend, ProcessCall::read_state,
                                         ProcessCall::resume};
        ProcessFault fault{.call = calls[below(5)], .skip = below(4)};
        if (fault.call == ProcessCall::collect_dirty && one_in(2))
            fault.loses = true;
        else if (fault.call == ProcessCall::resume || one_in(4))
            fault.delay = std::chrono::milliseconds(below(5));
        else
            fault.error = fault.call == ProcessCall::suspend ? ETIMEDOUT : EIO;
        if (fault.call == ProcessCall::resume && one_in(2))
            fault.error = EAGAIN;
        observer_.machines[below(2)]->inject(fault);
    }
    void inject_faults() {
        for (unsigned i = below(3); i > 0; i--)
            inject_guest_fault();
        observer_.fail_cut = one_in(8);
        observer_.fail_intake = one_in(8);
    }

    std::mt19937 random_{7};
    std::mt19937 store_random_{11}; // used on other threads, under the store's lock
};

TEST_P(RandomFaults, EveryCommittedImageIsTheMemoryOfItsSuspend) {
    decide_ = [this](const std::string &call) {
        return store_random_() % (call == "write" ? 25 : 12) == 0 ? ENOSPC : 0;
    };
    start(2, {.early = {.enabled = GetParam(), .target_pages = 50, .max_pages = 200}});
    unsigned nr_committed = 0;
    Sn last = 0;
    for (unsigned i = 0; nr_committed < 20; i++) {
        ASSERT_LT(i, 400u);
        inject_faults();
        bool committed = checkpoint(one_in(2) ? CheckpointKind::basic : CheckpointKind::forced);
        for (; !observer_.lost.empty(); observer_.lost.pop_back()) // failed too often
            ASSERT_TRUE(node_->protect(observer_.lost.back()));
        if (!committed) {
            expect_running();
            continue;
        }
        nr_committed++;
        for (unsigned guest = 0; guest < 2; guest++)
            expect_image(guest);
        const Manifest &manifest = observer_.manifests.back();
        EXPECT_GE(manifest.prev, last);
        EXPECT_LT(manifest.prev, manifest.sn);
        last = manifest.sn;
        if (HasFailure())
            break;
        run_until([] { return false; }, std::chrono::milliseconds(below(15)));
    }
    EXPECT_GT(observer_.failures.size(), 0u);
    node_.reset();
    expect_running();
}

INSTANTIATE_TEST_SUITE_P(EarlyWrites, RandomFaults, ::testing::Bool(),
                         [](const auto &test) { return test.param ? "on" : "off"; });

TEST_F(NodeCheckpointerTest, AGuestThatDiesIsLeftOutOfTheNext) {
    start(3, {.early = {.enabled = false}});
    ASSERT_TRUE(checkpoint());
    struct Death {
        ProcessCall call;
        unsigned guest;
    };
    for (Death death : {Death{ProcessCall::suspend, 0}, Death{ProcessCall::copy_pages, 1}}) {
        observer_.failures.clear();
        // The copy in the pause: nothing is written early.
        observer_.machines[death.guest]->inject({.call = death.call, .dies = true});
        ASSERT_TRUE(checkpoint());
        ASSERT_EQ(observer_.failures.size(), 1u);
        EXPECT_NE(observer_.failures[0].find("crashed"), std::string::npos);
        EXPECT_EQ(observer_.manifests.back().guests.size(), 2u - death.guest);
        expect_image(2);
        expect_running();
        ASSERT_TRUE(run_until([&] { return observer_.lost.size() == death.guest + 1; }));
        EXPECT_EQ(observer_.lost.back(), guest_uuid(death.guest));
    }
    observer_.machines[2]->inject({.call = ProcessCall::suspend, .dies = true});
    EXPECT_FALSE(checkpoint());
    EXPECT_EQ(observer_.nr_given_up, 1u);
    ASSERT_TRUE(run_until([&] { return observer_.lost.size() == 3; }));
    EXPECT_TRUE(node_->request(CheckpointKind::manual).error().is(ENOENT));
}

TEST_F(NodeCheckpointerTest, AGuestThatDiesAfterItsCaptureIsInTheCheckpoint) {
    start(2);
    ASSERT_TRUE(checkpoint());
    observer_.machines[0]->inject({.call = ProcessCall::resume, .dies = true});
    ASSERT_TRUE(checkpoint());
    EXPECT_TRUE(observer_.failures.empty());
    expect_image(0);
    expect_image(1);
    ASSERT_TRUE(run_until([&] { return observer_.lost.size() == 1; }));
    ASSERT_TRUE(checkpoint());
    EXPECT_EQ(observer_.manifests.back().guests.size(), 1u);
}

TEST_F(NodeCheckpointerTest, AGuestThatRefusesToSuspendKeepsNobodyStopped) {
    start(2);
    ASSERT_TRUE(checkpoint());
    observer_.machines[1]->inject({.call = ProcessCall::suspend, .shots = 3, .error = ETIMEDOUT});
    EXPECT_FALSE(checkpoint());
    EXPECT_EQ(observer_.failures.size(), 3u);
    EXPECT_EQ(node_->status().indexes.sn, 1u) << "sn rises at the cut only";
    expect_running();
    ASSERT_TRUE(checkpoint());
    EXPECT_EQ(observer_.manifests.back().sn, 2u);
    expect_image(0);
    expect_image(1);
}

TEST_F(NodeCheckpointerTest, ASlowCaptureIsGivenUpAndTheIndexTriedAgain) { // Rule R7
    start(2, {.pause_timeout = 4s});
    ASSERT_TRUE(checkpoint());
    observer_.machines[0]->inject({.call = ProcessCall::read_state, .delay = 6s});
    ASSERT_TRUE(checkpoint());
    ASSERT_GE(observer_.failures.size(), 1u);
    EXPECT_NE(observer_.failures[0].find("pause took too long"), std::string::npos);
    EXPECT_EQ(observer_.manifests.back().sn, 2u);
    EXPECT_EQ(observer_.manifests.back().prev, 1u);
    expect_image(0);
    expect_image(1);
}

// While one guest takes its time to suspend, the other dirties more than the
// arena can hold: it is resumed, and the next try has room.
TEST_F(NodeCheckpointerTest, NoRoomInTheArenaFailsBeforeTheCut) {
    // On a busy machine the store may not have given the room back by the next attempt.
    start(2, {.max_attempts = 100, .early = {.enabled = false}}, 4);
    ASSERT_TRUE(checkpoint());
    ProcessMachine *machine = observer_.machines[1];
    machine->inject({.call = ProcessCall::collect_dirty, .delay = 0ms});
    machine->inject({.call = ProcessCall::suspend, .delay = 0ms});
    // Memory written behind the guest's back, as by a burst: at the first
    // suspend, after prepare() has made room.
    bool burst = true;
    machine->on_suspended([&](ProcessMachine &stopped) {
        if (std::exchange(burst, false))
            for (Pfn pfn = 0; pfn < kPages; pfn++)
                stopped.memory()[pfn * kPageSize + 4095] = std::byte{0x5a};
        snapshots_[1].memory.assign(stopped.memory().begin(), stopped.memory().end());
        snapshots_[1].registers = stopped.registers();
    });
    ASSERT_TRUE(checkpoint());
    ASSERT_GE(observer_.failures.size(), 1u);
    EXPECT_NE(observer_.failures[0].find("page arena had room for"), std::string::npos);
    EXPECT_EQ(observer_.manifests.back().sn, 2u) << "sn was not used up";
    expect_image(0);
    expect_image(1);
}

TEST_F(NodeCheckpointerTest, AFullStoreCostsTheCheckpointOnly) {
    bool full = false;
    decide_ = [&](const std::string &call) { return full && call == "write" ? ENOSPC : 0; };
    start(2);
    ASSERT_TRUE(checkpoint());
    full = true;
    EXPECT_FALSE(checkpoint());
    EXPECT_NE(observer_.failures[0].find("No space left"), std::string::npos);
    expect_running();
    full = false;
    ASSERT_TRUE(checkpoint());
    EXPECT_EQ(observer_.manifests.back().prev, node_->status().indexes.captured == 2 ? 1u : 2u);
    expect_image(0);
    expect_image(1);
    EXPECT_EQ(store_->list()->size(), 2u);
}

TEST_F(NodeCheckpointerTest, GuestsComeAndGo) {
    start(2);
    ASSERT_TRUE(checkpoint());
    EXPECT_TRUE(node_->protect(guest_uuid(1)).error().is(EEXIST));
    EXPECT_TRUE(node_->protect(guest_uuid(9)).error().is(ENOENT));
    EXPECT_TRUE(node_->unprotect(guest_uuid(9)).error().is(ENOENT));
    ASSERT_TRUE(node_->request(CheckpointKind::manual));
    ASSERT_TRUE(node_->unprotect(guest_uuid(0))); // after the one under way
    ASSERT_TRUE(run_until([&] { return node_->status().indexes.durable == 2; }));
    EXPECT_EQ(observer_.manifests.back().guests.size(), 2u);
    observer_.machines.erase(observer_.machines.begin());
    ASSERT_TRUE(checkpoint());
    EXPECT_EQ(observer_.manifests.back().guests.size(), 1u);
    bool again = false; // once the worker has let it go
    ASSERT_TRUE(
        run_until([&] { return again || (again = node_->protect(guest_uuid(0)).has_value()); }));
    ASSERT_TRUE(checkpoint());
    ASSERT_EQ(observer_.manifests.back().guests.size(), 2u);
    expect_image(0);
    expect_image(1);
    EXPECT_TRUE(observer_.lost.empty());
}

TEST_F(NodeCheckpointerTest, RefusesWhatMakesNoSense) {
    start(1);
    ASSERT_TRUE(checkpoint());
    EXPECT_TRUE(node_->request(CheckpointKind::forced, 1).error().is(EALREADY));
    EXPECT_EQ(*node_->request(CheckpointKind::forced, 5), 5u);
    ASSERT_TRUE(run_until([&] { return node_->status().indexes.durable == 5; }));
    EXPECT_EQ(observer_.manifests.back().prev, 1u);
    for (EarlyWriteOptions early :
         {EarlyWriteOptions{.target_pages = 10, .max_pages = 9},
          EarlyWriteOptions{.idle_rounds = 0}, EarlyWriteOptions{.write_budget = 0.5},
          EarlyWriteOptions{.round_min = 0ns}})
        EXPECT_TRUE(NodeCheckpointer::create(backend_, *store_, *arena_, observer_, logger_,
                                             {.early = early})
                        .error()
                        .is(EINVAL));
    EXPECT_TRUE(NodeCheckpointer::create(backend_, *store_, *arena_, observer_, logger_,
                                         {.start = {.sn = 1, .captured = 2}})
                    .error()
                    .is(EINVAL));
}

// Rule R7: the program may end at any point of the sequence.
TEST_F(NodeCheckpointerTest, EndingAtAnyPointLeavesNobodySuspended) {
    start(2);
    ASSERT_TRUE(checkpoint());
    std::mt19937 random(3);
    for (unsigned i = 0; i < 30; i++) {
        ASSERT_TRUE(node_->request(CheckpointKind::manual));
        unsigned dispatches = static_cast<unsigned>(random() % 12);
        for (unsigned n = 0; n < dispatches; n++) {
            pollfd ready{node_->event_fd(), POLLIN, 0};
            ::poll(&ready, 1, 5);
            node_->dispatch();
        }
        NodeIndexes indexes = node_->status().indexes;
        node_.reset();
        EXPECT_FALSE(observer_.intake_closed);
        expect_running();
        indexes.sn = indexes.captured = indexes.durable = std::max(observer_.sn, indexes.sn);
        node_ = *NodeCheckpointer::create(backend_, *faulty_, *arena_, observer_, logger_,
                                          {.start = indexes});
        for (unsigned guest = 0; guest < 2; guest++)
            ASSERT_TRUE(node_->protect(guest_uuid(guest)));
    }
    ASSERT_TRUE(checkpoint());
    expect_image(0);
    expect_image(1);
}

} // namespace
} // namespace ckpt
