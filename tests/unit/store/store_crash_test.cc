// SPDX-License-Identifier: GPL-2.0-only
// The store after a power cut or a kill at any point: each acknowledged
// checkpoint is there and whole, none is there by half, and it goes on.
// CKPT_STORE_SEED=N repeats one power cut, CKPT_STORE_SEEDS=N tries N of them.
#include "tests/unit/store/store_rig.hh"

#include <sys/wait.h>

#include <csignal>
#include <random>

#include "tests/unit/store/crash_disk.hh"

namespace ckpt {
namespace {

ModelImage change_of(Sn sn) { return pages_from((sn * 53) % 400, sn == 1 ? 400 : 70, sn); }

// The image after checkpoint `sn`: each changes what the one before left.
ModelImage image_of(Sn sn) {
    ModelImage image;
    for (Sn i = 1; i <= sn; i++)
        image = overlay(std::move(image), change_of(i));
    return image;
}

// Every listed checkpoint is whole, and there are all that must be.
void check_store(StoreRig &rig, Sn must_from, Sn must_to, Sn may_to) {
    std::set<Sn> listed;
    const auto list = rig.store().list().value();
    for (const Manifest &manifest : list) {
        EXPECT_EQ(manifest.damage, "");
        EXPECT_LE(manifest.sn, may_to) << "half a checkpoint is listed";
        listed.insert(manifest.sn);
        auto read = read_image(rig.store(), manifest.sn, 1);
        ASSERT_TRUE(read.has_value()) << read.error().message();
        EXPECT_TRUE(*read == image_of(manifest.sn)) << manifest.sn;
    }
    for (Sn sn = must_from; sn <= must_to; sn++)
        EXPECT_TRUE(listed.contains(sn)) << "checkpoint " << sn << " is lost";
}

TEST(StoreCrash, PowerCutAtAnyStep) {
    TempDir dir(TempDir::Where::memory);
    CrashRecorder recorder;
    StoreRig rig(dir.path("s"));
    rig.options.disk_observer = &recorder;
    rig.options.segment_bytes = 160 * kPageSize;
    std::vector<std::size_t> acknowledged{0}; // by sn: how many steps were done then
    struct Dropped {
        std::size_t at;
        Sn below;
    };
    std::vector<Dropped> dropped;
    ASSERT_EQ(message(rig.open()), "no error");
    for (Sn sn = 1; sn <= 14; sn++) {
        if (sn == 5)
            (void)rig.part(1, pages_from(0, 300, 999), false).value(); // given up
        if (sn == 9) {
            ASSERT_EQ(message(rig.open()), "no error");
        }
        ASSERT_EQ(message(rig.checkpoint(sn, 1, change_of(sn), sn == 1)), "no error");
        acknowledged.push_back(recorder.nr_steps());
        if (sn % 4 == 0) {
            dropped.push_back({recorder.nr_steps(), sn - 2});
            ASSERT_TRUE(rig.store().collect_garbage(sn - 2, false).has_value());
        }
    }
    rig.close();

    const std::uint64_t only = number_from_env("CKPT_STORE_SEED", 0);
    const std::uint64_t seeds = number_from_env("CKPT_STORE_SEEDS", 40);
    for (std::uint64_t seed = only ? only : 1; seed <= (only ? only : seeds); seed++) {
        SCOPED_TRACE(fmt::format("CKPT_STORE_SEED={}", seed));
        std::mt19937_64 random(seed);
        const std::size_t at = random() % (recorder.nr_steps() + 1);
        Sn last = 0, from = 1;
        while (last + 1 < acknowledged.size() && acknowledged[last + 1] <= at)
            last++;
        for (const Dropped &one : dropped)
            if (one.at < at)
                from = one.below;
        const std::string copy = dir.path(fmt::format("crash{}", seed));
        recorder.rebuild(at, copy, random);
        StoreRig after(copy, 2);
        ASSERT_EQ(message(after.open()), "no error") << "at step " << at;
        check_store(after, from, last, last + 1);
        const Sn next = last + 2;
        ASSERT_EQ(message(after.checkpoint(next, 1, image_of(next), true)), "no error");
        auto report = after.store().collect_garbage(last > 0 ? last : next, false);
        ASSERT_TRUE(report.has_value()) << report.error().message();
        EXPECT_TRUE(report->problems.empty()) << report->problems[0];
        EXPECT_TRUE(after.store().verify({}).value().damages.empty());
        check_store(after, std::max<Sn>(last, 1), last, next);
        after.close();
        std::filesystem::remove_all(copy);
        if (HasFailure())
            return;
    }
}

// What the child does until it is killed: checkpoints, now and then a
// collection, and word of each committed index.
[[noreturn]] void write_until_killed(const std::string &directory, int report) {
    StoreRig rig(directory, 2);
    rig.options.segment_bytes = 160 * kPageSize;
    if (!rig.open().has_value())
        ::_exit(2);
    const auto list = rig.store().list().value();
    Sn sn = list.empty() ? 0 : list.back().sn;
    // As the daemon does: after a restart the dirty log is lost, all is new.
    bool full = true;
    for (;;) {
        sn++;
        if (!rig.checkpoint(sn, 1, full ? image_of(sn) : change_of(sn), full).has_value())
            ::_exit(3);
        full = false;
        if (::write(report, &sn, sizeof sn) != sizeof sn)
            ::_exit(4);
        if (sn % 5 == 0 && !rig.store().collect_garbage(sn > 3 ? sn - 3 : 1, false).has_value())
            ::_exit(5);
    }
}

TEST(StoreCrash, KilledAtAnyTime) {
    TempDir dir;
    std::mt19937_64 random(7);
    Sn acknowledged = 0;
    for (int round = 0; round < 12; round++) {
        int pipe[2];
        ASSERT_EQ(::pipe(pipe), 0);
        const pid_t child = ::fork();
        if (child == 0)
            write_until_killed(dir.path("s"), pipe[1]);
        ::close(pipe[1]);
        // Some checkpoints, however slow the disk, then any point of the next.
        for (std::uint64_t wanted = random() % 6; wanted-- > 0;) {
            Sn sn = 0;
            ASSERT_EQ(::read(pipe[0], &sn, sizeof sn), static_cast<ssize_t>(sizeof sn));
            acknowledged = sn;
        }
        ::usleep(static_cast<useconds_t>(random() % 30'000));
        ::kill(child, SIGKILL);
        int status = 0;
        ::waitpid(child, &status, 0);
        ASSERT_TRUE(WIFSIGNALED(status)) << "the child ended by itself: " << WEXITSTATUS(status);
        for (Sn sn; ::read(pipe[0], &sn, sizeof sn) == sizeof sn;)
            acknowledged = sn;
        ::close(pipe[0]);
        if (acknowledged == 0)
            continue; // killed before there was a store
        StoreRig rig(dir.path("s"), 2);
        ASSERT_EQ(message(rig.open()), "no error");
        // Killed between commit and word of it: one more.
        check_store(rig, acknowledged, acknowledged, acknowledged + 1);
        acknowledged = rig.store().list().value().back().sn;
        if (round % 3 == 0) {
            ASSERT_TRUE(rig.store().collect_garbage(acknowledged, false).has_value());
            EXPECT_TRUE(rig.store().verify({}).value().damages.empty());
        }
        // What crashes leave does not pile up.
        EXPECT_LT(rig.store().usage().value().bytes, std::uint64_t{100} << 20);
    }
    EXPECT_GT(acknowledged, 10u);
}

} // namespace
} // namespace ckpt
