// SPDX-License-Identifier: GPL-2.0-only
// qcow2 files with a real QEMU, whose guest is its own `qemu-io`: through the store
// and back, and what is left of failures.
#include "libckpt/disk/qcow2_provider.hh"

#include <csignal>
#include <fstream>
#include <sstream>
#include <thread>

#include <fcntl.h>
#include <gmock/gmock.h>
#include <spawn.h>
#include <sys/wait.h>

#include "libckpt/base/fd.hh"
#include "libckpt/disk/qmp.hh"
#include "libckpt/disk/tool.hh"
#include "libckpt/restore/disk_image.hh"
#include "tests/unit/disk/disk_checkpoint.hh"

namespace ckpt {
namespace {

using testing::HasSubstr;

constexpr std::uint64_t kMiB = 1 << 20;
constexpr std::uint64_t kBytes = 8 * kMiB;

class QuietLogger : public Logger {
  public:
    void write(LogLevel, std::string_view) override {}
};

struct Qcow2 : testing::Test {
    TempDir dir;
    StoreRig rig{dir.path("s")};
    QuietLogger logger;
    const std::string file = dir.path("disk.qcow2");
    pid_t qemu = 0;
    std::shared_ptr<Qmp> guest_side; // its own socket, as libxl has one
    std::unique_ptr<DiskProvider> provider;
    std::unique_ptr<GuestDisks> disks;
    GuestInfo guest;
    std::string contents = std::string(kBytes, '\0');
    std::map<Sn, std::string> expected;
    bool fails = false;

    void SetUp() override {
        auto made = run_tool({"qemu-img", "create", "-q", "-f", "qcow2", file, std::to_string(kBytes)});
        if ((!made && made.error().is(ENOENT)) || !run_tool({"qemu-system-x86_64", "--version"}))
            GTEST_SKIP() << "no QEMU here";
        ASSERT_EQ(message(rig.open()), "no error");
        guest.uuid = guest_id(1);
        guest.name = "g1";
        DiskInfo disk;
        disk.name = "xvdb";
        disk.number = 51728;
        disk.driver = "qdisk";
        disk.format = "qcow2";
        disk.target = file;
        disk.monitor = dir.path("ours");
        guest.disks = {disk};
        start_qemu();
    }
    void TearDown() override {
        disks.reset();
        stop_qemu();
    }
    void start_qemu() {
        // As Xen's disks: a device in a thread of its own. It goes if the test does.
        std::vector<std::string> command{
            "setpriv", "--pdeathsig", "KILL", "qemu-system-x86_64", "-machine", "pc", "-accel", "tcg",
            "-S", "-m", "32", "-nodefaults", "-display", "none", "-object", "iothread,id=thread",
            "-qmp", "unix:" + dir.path("guest") + ",server=on,wait=off",
            "-qmp", "unix:" + dir.path("ours") + ",server=on,wait=off",
            "-blockdev", "driver=file,node-name=x-file,locking=off,filename=" + file,
            "-blockdev", "driver=qcow2,node-name=x-qcow2,discard=unmap,file=x-file",
            "-device", "virtio-scsi-pci,id=bus,iothread=thread",
            "-device", "scsi-hd,id=guest,bus=bus.0,drive=x-qcow2"};
        std::vector<char *> argv;
        for (std::string &word : command)
            argv.push_back(word.data());
        argv.push_back(nullptr);
        posix_spawn_file_actions_t quiet; // qemu-io tells each write
        posix_spawn_file_actions_init(&quiet);
        posix_spawn_file_actions_addopen(&quiet, STDOUT_FILENO, "/dev/null", O_WRONLY, 0);
        ASSERT_EQ(::posix_spawnp(&qemu, argv[0], &quiet, nullptr, argv.data(), environ), 0);
        posix_spawn_file_actions_destroy(&quiet);
        for (int i = 0; i < 500 && !guest_side; i++) {
            if (auto connected = Qmp::connect(dir.path("guest")))
                guest_side = *connected;
            else
                std::this_thread::sleep_for(std::chrono::milliseconds(20));
        }
        ASSERT_TRUE(guest_side);
    }
    void stop_qemu() {
        guest_side.reset();
        if (qemu) {
            ::kill(qemu, SIGKILL);
            ::waitpid(qemu, nullptr, 0);
        }
        qemu = 0;
    }
    void start_daemon(bool killed = false) {
        if (killed) { // nothing of it is undone
            static auto *lost = new std::vector<std::pair<GuestDisks *, DiskProvider *>>;
            lost->emplace_back(disks.release(), provider.release());
        }
        disks.reset();
        provider = open_qcow2_provider({{}, {.refuse_percent = 100}}, logger);
        disks = std::make_unique<GuestDisks>(guest, DiskSettings{provider.get()}, rig.store(), rig.arena());
        ASSERT_EQ(message(disks->open()), "no error");
    }
    QmpJson ask(const std::string &command, const QmpJson &arguments = QmpJson::object()) {
        auto answer = guest_side->execute(command, arguments);
        EXPECT_TRUE(answer.has_value()) << answer.error().message();
        return answer ? *answer : QmpJson();
    }
    void guest_io(const std::string &command) {
        ask("human-monitor-command",
            {{"command-line", fmt::format("qemu-io -d guest \"{}\"", command)}});
    }
    void write(std::uint64_t at, std::uint64_t length, char byte) {
        guest_io(fmt::format("write -P {} {} {}", int{byte}, at, length));
        contents.replace(at, length, length, byte);
    }
    Status checkpoint(Sn sn) {
        return disk_checkpoint(*disks, rig, sn, [&]() -> Status {
            if (fails)
                return fail(EIO, "injected");
            expected[sn] = contents;
            write(0, 8192, '!'); // a block that is always among those that changed
            write(5 * kMiB, 512, '?');
            return {};
        });
    }
    DiskEntry entry(Sn sn) { return rig.store().manifest(sn)->disks.at(0); }
    std::string image_at(Sn sn, const std::string &path) {
        auto image = rig.store().open_image(sn, disk_uuid(guest.uuid, 51728));
        EXPECT_TRUE(image.has_value()) << image.error().message();
        Fd fd(::open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600));
        EXPECT_EQ(::ftruncate(fd.get(), kBytes), 0);
        EXPECT_TRUE(write_disk_image(**image, kBytes, 0, fd.get(), {}).has_value());
        std::ostringstream text;
        text << std::ifstream(path, std::ios::binary).rdbuf();
        return text.str();
    }
    void expect_all() {
        for (const auto &[sn, bytes] : expected)
            EXPECT_TRUE(image_at(sn, dir.path("volume")) == bytes) << sn;
    }
    // Nothing of ours is in QEMU, nor beside the disk.
    void expect_clean() {
        EXPECT_EQ(ask("query-named-block-nodes").dump().find("tlckpt"), std::string::npos);
        EXPECT_EQ(ask("query-jobs").size(), 0u);
        expect_no_files();
    }
    void expect_no_files() {
        for (const auto &one : std::filesystem::directory_iterator(dir.path())) {
            EXPECT_THAT(one.path().string(), testing::Not(HasSubstr("tlckpt-")));
            EXPECT_THAT(one.path().string(), testing::Not(testing::EndsWith(".tlckpt")));
        }
    }
};

TEST_F(Qcow2, FullThenIncrementsAtEveryIndex) {
    start_daemon();
    write(1 * kMiB, 300000, 'a');
    write(kBytes - 512, 512, 'z');
    ASSERT_EQ(message(checkpoint(1)), "no error");
    EXPECT_TRUE(entry(1).full);
    EXPECT_EQ(entry(1).source, dir.path());
    for (Sn sn = 2; sn <= 8; sn++) {
        write(sn * 700000 / 512 * 512, 5120, static_cast<char>('a' + sn));
        if (sn == 4) {
            guest_io("discard 1M 64k");
            contents.replace(kMiB, 65536, 65536, '\0');
        }
        if (sn == 6)
            write(1200000 / 4096 * 4096, 4096, '\0');
        ASSERT_EQ(message(checkpoint(sn)), "no error");
        EXPECT_FALSE(entry(sn).full);
        expect_no_files();
    }
    // Blocks of 4096, not QEMU's clusters: two of each write, two and one of the last cut's.
    EXPECT_LE(entry(7).nr_new, 6u);
    EXPECT_EQ(entry(7).bytes_changed, entry(7).nr_new * 4096);
    EXPECT_GE(entry(4).nr_zero, 16u);
    expect_all();
    disks.reset();
    expect_clean();
}

TEST_F(Qcow2, TheGuestsFileHasAllWheneverQemuEnds) {
    start_daemon();
    write(0, 4096, 'a');
    ASSERT_EQ(message(checkpoint(1)), "no error");
    write(3 * kMiB, 4096, 'b');
    std::uint64_t longest = 0;
    ASSERT_EQ(message(disks->prepare()), "no error");
    disks->begin_snapshots();
    ASSERT_EQ(message(disks->finish_snapshots(longest)), "no error");
    write(0, 65536, 'c');
    guest_io("flush");
    stop_qemu();
    GuestParts parts;
    EXPECT_FALSE(disks->persist(parts));
    disks->discard();
    EXPECT_FALSE(disks->prepare());
    disks.reset();
    ASSERT_TRUE(run_tool({"qemu-img", "check", "-q", file}).has_value());
    ASSERT_TRUE(run_tool({"qemu-img", "convert", "-O", "raw", file, dir.path("now")}).has_value());
    std::ostringstream text;
    text << std::ifstream(dir.path("now"), std::ios::binary).rdbuf();
    EXPECT_TRUE(text.str() == contents);
    expect_no_files();
}

TEST_F(Qcow2, AFailureLeavesTheBase) {
    start_daemon();
    write(0, 4096, 'a');
    ASSERT_EQ(message(checkpoint(1)), "no error");
    fails = true;
    for (char byte : {'b', 'c'}) {
        write(2 * kMiB + static_cast<std::uint64_t>(byte) * 8192, 4096, byte);
        EXPECT_FALSE(checkpoint(2));
        EXPECT_EQ(ask("query-jobs").size(), 0u);
    }
    fails = false;
    write(4 * kMiB, 4096, 'd');
    ASSERT_EQ(message(checkpoint(2)), "no error");
    EXPECT_FALSE(entry(2).full);
    expect_all();
}

TEST_F(Qcow2, FullAgainAfterADaemonThatWasKilled) {
    start_daemon();
    write(0, 4096, 'a');
    ASSERT_EQ(message(checkpoint(1)), "no error");
    ASSERT_EQ(message(disks->prepare()), "no error");
    std::uint64_t longest = 0;
    disks->begin_snapshots();
    ASSERT_EQ(message(disks->finish_snapshots(longest)), "no error");
    EXPECT_EQ(ask("query-jobs").size(), 1u);
    start_daemon(true);
    expect_clean();
    ASSERT_EQ(message(checkpoint(2)), "no error");
    EXPECT_TRUE(entry(2).full);
    write(kMiB, 4096, 'b');
    ASSERT_EQ(message(checkpoint(3)), "no error");
    EXPECT_FALSE(entry(3).full);
    expect_all();
}

TEST_F(Qcow2, FullAgainAfterAnotherSize) {
    start_daemon();
    ASSERT_EQ(message(checkpoint(1)), "no error");
    ask("block_resize", {{"node-name", "x-qcow2"}, {"size", 2 * kBytes}});
    ASSERT_EQ(message(checkpoint(2)), "no error");
    EXPECT_TRUE(entry(2).full);
    EXPECT_EQ(entry(2).bytes, 2 * kBytes);
}

TEST_F(Qcow2, AVolumeForARestoredGuest) {
    start_daemon();
    write(kMiB, 70000 / 512 * 512, 'a');
    ASSERT_EQ(message(checkpoint(1)), "no error");
    auto volume = provider->make_volume(entry(1), {1, 1}, "tlckpt-g1-xvdb-1");
    ASSERT_TRUE(volume.has_value()) << volume.error().message();
    EXPECT_FALSE(volume->filled);
    EXPECT_EQ(volume->path, dir.path("tlckpt-g1-xvdb-1.qcow2"));
    image_at(1, volume->fill_path);
    ASSERT_EQ(message(provider->finish_volume(*volume)), "no error");
    EXPECT_FALSE(std::filesystem::exists(volume->fill_path));
    ASSERT_TRUE(run_tool({"qemu-img", "convert", "-f", "qcow2", "-O", "raw", volume->path, dir.path("back")}));
    std::ostringstream text;
    text << std::ifstream(dir.path("back"), std::ios::binary).rdbuf();
    EXPECT_TRUE(text.str() == expected[1]);
    auto another = provider->make_volume(entry(1), {1, 1}, "tlckpt-g1-xvdb-1");
    ASSERT_TRUE(another.has_value());
    EXPECT_EQ(another->path, dir.path("tlckpt-g1-xvdb-1-2.qcow2"));
    provider->drop_volume(*another);
    EXPECT_FALSE(std::filesystem::exists(another->path));
    DiskEntry away = entry(1);
    away.source = "/nowhere";
    EXPECT_TRUE(provider->make_volume(away, {1, 1}, "x").error().is(ENODEV));
}

TEST_F(Qcow2, RefusedWithAReason) {
    start_daemon();
    DiskInfo disk = guest.disks[0];
    EXPECT_EQ(provider->refusal(disk), "");
    disk.monitor = "/nowhere";
    EXPECT_THAT(provider->refusal(disk), HasSubstr("there is no socket /nowhere; let xl"));
    disk = guest.disks[0];
    disk.target = "/nowhere.qcow2";
    EXPECT_TRUE(provider->open(guest_id(2), disk).error().is(ENODEV));
    disks.reset();
    provider = open_qcow2_provider({{}, {.refuse_percent = 0}}, logger);
    disks = std::make_unique<GuestDisks>(guest, DiskSettings{provider.get()}, rig.store(), rig.arena());
    ASSERT_EQ(message(disks->open()), "no error");
    EXPECT_TRUE(disks->prepare().error().is(ENOSPC));
}

} // namespace
} // namespace ckpt
