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
#include "tests/unit/node/memory_store.hh"

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
    Status close_intake(Sn) override {
        EXPECT_FALSE(intake_closed);
        if (fail_intake > 0 && fail_intake-- > 0)
            return fail(EIO, "injected: intake");
        intake_closed = true;
        return {};
    }
    Status cut(Sn index) override {
        EXPECT_TRUE(intake_closed);
        for (ProcessMachine *machine : machines)
            EXPECT_TRUE(machine->suspended() || machine->info().state == RunState::crashed);
        if (fail_cut > 0 && fail_cut-- > 0)
            return fail(EIO, "injected: cut");
        sn = index;
        return {};
    }
    void captured(Sn index) override { EXPECT_EQ(index, sn); }
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
        node_ = *NodeCheckpointer::create(backend_, faulty_, *arena_, observer_, logger_, options);
        for (unsigned i = 0; i < nr_guests; i++) {
            Status status = node_->protect(guest_uuid(i));
            ASSERT_TRUE(status) << status.error().message();
        }
    }

    // Dispatches until `done` holds; false after a long time.
    bool run_until(const std::function<bool()> &done, Duration limit = 20s) {
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
        auto image = store_.open_image(sn, guest_uuid(i));
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
    ProcessBackend backend_;
    MemoryStore store_;
    std::function<int(const std::string &)> decide_ = [](auto &) { return 0; };
    FaultyStore faulty_{store_, [this](const std::string &call) { return decide_(call); }};
    std::unique_ptr<PageArena> arena_;
    Observer observer_;
    std::vector<Snapshot> snapshots_;
    std::unique_ptr<NodeCheckpointer> node_;
};

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
    EXPECT_GT(node_->guests()[0].nr_early, kPages);
    node_.reset();
    expect_running();
}

} // namespace
} // namespace ckpt
