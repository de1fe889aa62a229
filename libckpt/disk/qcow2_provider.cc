// SPDX-License-Identifier: GPL-2.0-only
#include "libckpt/disk/qcow2_provider.hh"

#include <filesystem>
#include <set>

#include <fcntl.h>
#include <sys/statvfs.h>

#include "libckpt/base/fd.hh"
#include "libckpt/disk/nbd_source.hh"
#include "libckpt/disk/qemu_snapshot.hh"
#include "libckpt/disk/tool.hh"

namespace ckpt {

namespace {

constexpr const char *kBitmaps[] = {"tlckpt-1", "tlckpt-2"}; // in turns

std::string directory_of(const std::string &path) {
    return std::filesystem::path(path).parent_path().string();
}

// How full a file system would be with `more` bytes on it.
Result<unsigned> percent_used(const std::string &directory, std::uint64_t more = 0) {
    struct statvfs info {};
    if (::statvfs(directory.c_str(), &info) || info.f_blocks == 0)
        return fail(errno ? errno : EIO, "{}", directory);
    const std::uint64_t all = info.f_blocks * info.f_frsize;
    const std::uint64_t used = all - std::min(all, info.f_bavail * info.f_frsize) + more;
    return static_cast<unsigned>(std::min<std::uint64_t>(100, used / (all / 100 + 1)));
}

struct Shared {
    Shared(Qcow2Options o, Logger &l)
        : options(std::move(o)), logger(l), room(options.room, "make room", l) {}

    Status check_room(const std::string &directory, std::uint64_t more = 0) {
        return room.check(directory, CKPT_TRY(percent_used(directory, more)),
                          more ? " with what changed" : "");
    }

    const Qcow2Options options;
    Logger &logger;
    QmpConnections connections;
    Room room;
};

// A file that is gone when it is closed.
class NamelessFile : public OpenDisk {
  public:
    static Result<std::unique_ptr<NamelessFile>> make(const std::string &directory,
                                                      std::uint64_t bytes) {
        std::unique_ptr<NamelessFile> file(new NamelessFile);
        file->fd_ = Fd(::open(directory.c_str(), O_TMPFILE | O_RDWR | O_CLOEXEC, 0600));
        if (!file->fd_ && errno == EOPNOTSUPP) { // NFS
            std::string name = directory + "/tlckpt-XXXXXX";
            file->fd_ = Fd(::mkostemp(name.data(), O_CLOEXEC));
            if (file->fd_)
                ::unlink(name.c_str());
        }
        if (!file->fd_ || ::ftruncate(file->fd_.get(), static_cast<off_t>(bytes)))
            return fail(errno, "a file in {}", directory);
        return file;
    }
    int fd() const override { return fd_.get(); }

  private:
    Fd fd_;
};

class Qcow2Disk : public GuestDisk {
  public:
    Qcow2Disk(Shared &shared, const DiskInfo &disk)
        : shared_(shared), disk_(disk), ours_(fmt::format("tlckpt-{}", disk.number)),
          file_(disk.target + ".tlckpt") {}
    ~Qcow2Disk() override {
        qmp_.reset();
        [[maybe_unused]] auto gone = clear(); // a QEMU that is gone has left but the file
        ::unlink(file_.c_str());
    }

    // Also what an earlier run left in QEMU goes.
    Status clear() {
        auto qmp = CKPT_TRY(shared_.connections.get(disk_.monitor));
        node_ = CKPT_TRY(qemu::find(*qmp, disk_.target));
        CKPT_CHECK(drop_increment(*qmp));
        for (const char *bitmap : kBitmaps)
            CKPT_CHECK(qemu::drop_bitmap(*qmp, node_, bitmap));
        base_ = now_ = {};
        doubtful_ = false;
        return {};
    }

    std::string source() const override { return directory_of(disk_.target); }
    std::uint64_t bytes() const override { return now_.bytes; }

    Status prepare() override {
        if (doubtful_)
            CKPT_CHECK(clear());
        CKPT_CHECK(shared_.check_room(source()));
        qmp_ = CKPT_TRY(shared_.connections.get(disk_.monitor));
        const qemu::Node node = CKPT_TRY(qemu::find(*qmp_, disk_.target));
        if (increment_ && node.bytes != node_.bytes)
            CKPT_CHECK(drop_increment(*qmp_));
        node_ = node;
        if (is_full(node.bytes))
            CKPT_CHECK(shared_.check_room(source(), node.allocated));
        return increment_ ? Status() : make_increment();
    }

    Status snapshot() override {
        const auto qmp = std::exchange(qmp_, nullptr);
        now_ = {kBitmaps[base_.bitmap == kBitmaps[0] ? 1 : 0], node_.bytes};
        const std::string last = is_full(node_.bytes) ? "" : base_.bitmap;
        Status made = qmp ? qemu::cut(*qmp, node_, ours_, now_.bitmap, last)
                          : fail(EINVAL, "a snapshot that was not prepared");
        increment_ = false; // it is the snapshot's now
        if (!made) {
            doubtful_ = true;
            now_ = {};
        }
        return made;
    }

    Result<DiskDelta> delta() override {
        DiskDelta delta;
        delta.full = is_full(now_.bytes);
        const std::string last = delta.full ? "" : base_.bitmap;
        CKPT_CHECK(with_qemu(
            [&](Qmp &qmp) { return qemu::finish_increment(qmp, node_, ours_, last); }));
        auto nbd = CKPT_TRY(NbdSource::open(file_, last.empty() ? "" : ours_));
        ::unlink(file_.c_str());
        delta.extents = CKPT_TRY(nbd.extents());
        std::uint64_t total = 0;
        for (const DiskExtent &extent : delta.extents)
            total += extent.length;
        CKPT_CHECK(shared_.check_room(source(), total));
        auto copy = CKPT_TRY(NamelessFile::make(source(), now_.bytes));
        CKPT_CHECK(nbd.copy(delta.extents, copy->fd()));
        delta.now = std::move(copy);
        return delta;
    }

    void keep(const Cut &) override {
        const Snapshot old = std::exchange(base_, std::exchange(now_, {}));
        if (!old.bitmap.empty())
            doubt(with_qemu([&](Qmp &qmp) { return qemu::drop_bitmap(qmp, node_, old.bitmap); }));
    }
    void discard() override {
        const Snapshot gone = std::exchange(now_, {});
        doubt(with_qemu([&](Qmp &qmp) -> Status {
            CKPT_CHECK(drop_increment(qmp));
            return base_.bitmap.empty()
                       ? qemu::drop_bitmap(qmp, node_, gone.bitmap)
                       : qemu::take_back_cut(qmp, node_, gone.bitmap, base_.bitmap);
        }));
    }

  private:
    struct Snapshot {
        std::string bitmap{}; // what was written since; empty: there is none
        std::uint64_t bytes = 0;
    };

    bool is_full(std::uint64_t bytes) const { return base_.bitmap.empty() || base_.bytes != bytes; }

    Status make_increment() {
        ::unlink(file_.c_str());
        CKPT_TRY(run_tool({"qemu-img", "create", "-q", "-f", "qcow2", file_,
                           std::to_string(node_.bytes)}));
        const Status added = qemu::add_increment(*qmp_, ours_, file_);
        increment_ = added.has_value();
        doubtful_ = !increment_;
        return added;
    }
    Status drop_increment(Qmp &qmp) {
        CKPT_CHECK(qemu::drop_increment(qmp, ours_));
        ::unlink(file_.c_str());
        increment_ = false;
        return {};
    }
    template <typename Work> Status with_qemu(Work &&work) {
        auto qmp = CKPT_TRY(shared_.connections.get(disk_.monitor));
        return work(*qmp);
    }
    // What QEMU has of ours is not sure any more: all anew at the next time, in full.
    void doubt(const Status &status) {
        if (status)
            return;
        doubtful_ = true;
        shared_.logger.warning("disk {}: {}", disk_.target, status.error().message());
    }

    Shared &shared_;
    const DiskInfo disk_;
    const std::string ours_; // what is QEMU's for this disk
    const std::string file_; // the increment's
    qemu::Node node_;
    std::shared_ptr<Qmp> qmp_; // from prepare() to snapshot(), which shall not wait for one
    Snapshot base_, now_;
    bool increment_ = false; // there is one that no cut has used yet
    bool doubtful_ = false;
};

class Qcow2Provider : public DiskProvider {
  public:
    Qcow2Provider(Qcow2Options options, Logger &logger) : shared_(std::move(options), logger) {}

    std::vector<GuestNote> examine(const std::vector<DiskInfo> &disks) override {
        std::set<std::string> directories;
        for (const DiskInfo &disk : disks)
            if (!disk.read_only && refusal(disk).empty())
                directories.insert(directory_of(disk.target));
        std::vector<GuestNote> notes;
        for (const std::string &directory : directories)
            notes.push_back(examine_directory(directory));
        if (auto tool = run_tool({"qemu-img", "--version"}); !tool && !directories.empty())
            notes.push_back({NoteKind::refuse, "qemu-img", tool.error().message(),
                             "install qemu-utils"});
        return notes;
    }

    std::string refusal(const DiskInfo &disk) override {
        if (disk.backend != 0)
            return "it is served by another domain; serve it from Dom0";
        if (disk.format != "qcow2")
            return "it is no qcow2 file; make it one, or put it on a thin volume";
        if (disk.monitor.empty() || ::access(disk.monitor.c_str(), F_OK))
            return fmt::format("the QEMU that serves it can't be asked for snapshots, as there is no "
                               "socket {}; let xl start it, or name the disk in disks.exclude",
                               disk.monitor);
        return {};
    }

    Result<std::unique_ptr<GuestDisk>> open(const Uuid &, const DiskInfo &disk) override {
        auto opened = std::make_unique<Qcow2Disk>(shared_, disk);
        CKPT_CHECK(opened->clear());
        return opened;
    }

    Result<Volume> make_volume(const DiskEntry &disk, const Cut &, const std::string &wanted) override {
        const std::string directory = CKPT_TRY(directory_for(disk));
        CKPT_CHECK(shared_.check_room(directory));
        Volume volume;
        const std::string name = directory + "/" + wanted;
        Fd made;
        for (int i = 1; i < 100 && !made; i++) {
            volume.path = i == 1 ? name + ".qcow2" : fmt::format("{}-{}.qcow2", name, i);
            made = Fd(::open(volume.path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600));
            if (!made && errno != EEXIST)
                break;
        }
        if (!made)
            return fail(errno, "{}", volume.path);
        volume.fill_path = volume.path + ".raw";
        Fd raw(::open(volume.fill_path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600));
        if (!raw || ::ftruncate(raw.get(), static_cast<off_t>(disk.bytes))) {
            const int error = errno;
            drop_volume(volume);
            return fail(error, "{}", volume.fill_path);
        }
        return volume;
    }

    Status finish_volume(const Volume &volume) override {
        CKPT_TRY(run_tool({"qemu-img", "convert", "-f", "raw", "-O", "qcow2", "-t", "none",
                           volume.fill_path, volume.path}));
        if (::unlink(volume.fill_path.c_str()))
            return fail(errno, "{}", volume.fill_path);
        return {};
    }

    void drop_volume(const Volume &volume) override {
        for (const std::string &path : {volume.path, volume.fill_path})
            if (!path.empty() && ::unlink(path.c_str()) && errno != ENOENT)
                shared_.logger.warning("{} stays", path);
    }

  private:
    Result<std::string> directory_for(const DiskEntry &disk) const {
        std::error_code error;
        if (std::filesystem::is_directory(disk.source, error))
            return disk.source;
        if (shared_.options.directory.empty())
            return fail(ENODEV, "its directory {} is not here; name one in disks.directory",
                        disk.source);
        return shared_.options.directory;
    }
    GuestNote examine_directory(const std::string &directory) const {
        auto percent = percent_used(directory);
        if (!percent)
            return {NoteKind::refuse, directory, percent.error().message(), "mend it"};
        return shared_.room.note(directory, *percent);
    }

    Shared shared_;
};

} // namespace

std::unique_ptr<DiskProvider> open_qcow2_provider(Qcow2Options options, Logger &logger) {
    return std::make_unique<Qcow2Provider>(std::move(options), logger);
}

} // namespace ckpt
