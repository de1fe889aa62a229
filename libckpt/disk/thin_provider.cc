// SPDX-License-Identifier: GPL-2.0-only
#include "libckpt/disk/thin_provider.hh"

#include <algorithm>
#include <mutex>
#include <set>
#include <thread>

#include <fcntl.h>

#include "libckpt/base/fd.hh"
#include "libckpt/disk/snapshot_ledger.hh"
#include "libckpt/disk/thin_pool.hh"
#include "libckpt/disk/tool.hh"

namespace ckpt {

namespace {

constexpr std::uint64_t kSector = 512;
constexpr int kResumeTries = 50;

struct Snapshot {
    std::uint32_t id = 0; // 0: none
    std::uint64_t sectors = 0;
};

// What all disks share.
struct Shared {
    Shared(ThinOptions o, Logger &l, SnapshotLedger s)
        : options(std::move(o)), logger(l), ledger(std::move(s)),
          room(options.room, "extend it, or discard in the guests", l) {}

    // Gone from the pool, then from the ledger; what fails stays on record.
    void drop(const SnapshotLedger::Item &item) {
        auto pool = ThinPool::find(item.pool);
        Status gone = pool ? pool->remove(item.id) : Status(tl::unexpected(pool.error()));
        if (!gone && gone.error().is(ENODATA)) // it never was
            gone = {};
        if (gone)
            gone = ledger.erase(item.id);
        if (!gone)
            logger.warning("thin device {} of pool {} stays for now: {}", item.id, item.pool,
                           gone.error().message());
    }
    // Nothing was made with this id. If the pool has a device of it, it is a stranger's.
    void forget(std::uint32_t id) {
        if (auto gone = ledger.erase(id); !gone)
            logger.warning("thin device {}: {}", id, gone.error().message());
    }
    // All but the newest of an image.
    void prune(const Uuid &image) {
        auto items = ledger.items();
        std::erase_if(items, [&](const auto &item) {
            return item.image != image || !item.volume.empty() || item.cut.sn == 0;
        });
        for (std::size_t i = 0; i + std::max(options.held, 1u) < items.size(); i++)
            drop(items[i]);
    }
    // ENOSPC, or what is wrong with the pool.
    Status check_room(const ThinPool &pool) {
        return room.check("pool " + pool.device.name, CKPT_TRY(pool.usage()));
    }

    const ThinOptions options;
    Logger &logger;
    SnapshotLedger ledger;
    Room room;
    std::mutex maps; // one look at a pool's maps at a time
};

class ActiveSnapshot : public OpenDisk {
  public:
    static Result<std::unique_ptr<OpenDisk>> open(Shared &shared, const ThinPool &pool,
                                                  const Snapshot &snapshot) {
        std::unique_ptr<ActiveSnapshot> active(new ActiveSnapshot(shared));
        const std::string name = fmt::format("tlckpt-read-{}-{}", pool.device.minor, snapshot.id);
        auto device = pool.activate(snapshot.id, snapshot.sectors, name, true);
        if (!device && device.error().is(EBUSY)) { // left by one that was killed
            CKPT_CHECK(dm::remove(name));
            device = pool.activate(snapshot.id, snapshot.sectors, name, true);
        }
        const std::string node = CKPT_TRY(std::move(device)).node();
        active->name_ = name;
        active->fd_ = Fd(::open(node.c_str(), O_RDONLY | O_DIRECT | O_CLOEXEC));
        if (!active->fd_)
            return fail(errno, "{}", node);
        return std::unique_ptr<OpenDisk>(std::move(active));
    }
    ~ActiveSnapshot() override {
        fd_.reset();
        if (name_.empty())
            return;
        if (auto gone = dm::remove(name_); !gone)
            shared_.logger.warning("{}", gone.error().message());
    }
    int fd() const override { return fd_.get(); }

  private:
    explicit ActiveSnapshot(Shared &shared) : shared_(shared) {}
    Shared &shared_;
    std::string name_;
    Fd fd_;
};

class ThinDisk : public GuestDisk {
  public:
    ThinDisk(Shared &shared, const Uuid &image, const DiskInfo &disk, ThinDevice thin)
        : shared_(shared), image_(image), disk_(disk), thin_(std::move(thin)) {}
    ~ThinDisk() override { give_up(next_); }

    std::string source() const override { return thin_.pool; }
    std::uint64_t bytes() const override { return now_.sectors * kSector; }

    Status prepare() override {
        thin_ = CKPT_TRY(ThinDevice::find(disk_.major, disk_.minor)); // it may have grown
        pool_ = CKPT_TRY(ThinPool::find(thin_.pool));
        CKPT_CHECK(shared_.check_room(pool_));
        if (!next_.id)
            next_.id = CKPT_TRY(shared_.ledger.reserve({.pool = thin_.pool, .image = image_}));
        return {};
    }

    Status snapshot() override {
        CKPT_CHECK(dm::suspend(thin_.device.name));
        const Status made = pool_.create_snapshot(next_.id, thin_.id);
        const Status resumed = resume();
        if (made) {
            now_ = {next_.id, thin_.device.sectors};
            next_ = {};
        } else {
            shared_.forget(std::exchange(next_, {}).id);
        }
        if (made && !resumed)
            discard();
        return made ? resumed : made;
    }

    Result<DiskDelta> delta() override {
        DiskDelta delta;
        delta.full = !base_.id || base_.sectors != now_.sectors;
        {
            std::lock_guard lock(shared_.maps);
            delta.extents = CKPT_TRY(pool_.extents(now_.id, delta.full ? 0 : base_.id, bytes()));
        }
        delta.now = CKPT_TRY(ActiveSnapshot::open(shared_, pool_, now_));
        if (!delta.full)
            delta.base = CKPT_TRY(ActiveSnapshot::open(shared_, pool_, base_));
        return delta;
    }

    void keep(const Cut &cut) override {
        base_ = std::exchange(now_, {});
        if (auto noted = shared_.ledger.set(base_.id, cut, base_.sectors); !noted)
            shared_.logger.warning("disk {}: {}", disk_.target, noted.error().message());
        shared_.prune(image_);
    }
    void discard() override { give_up(std::exchange(now_, {})); }

  private:
    // A disk that stays suspended is worse than anything else here.
    Status resume() {
        Status status;
        for (int i = 0; i < kResumeTries; i++) {
            status = dm::resume(thin_.device.name);
            if (status)
                return status;
            std::this_thread::sleep_for(std::chrono::milliseconds(20));
        }
        shared_.logger.error("disk {} is suspended: {}; dmsetup resume {}", disk_.target,
                             status.error().message(), thin_.device.name);
        return status;
    }
    void give_up(const Snapshot &snapshot) {
        for (const auto &item : shared_.ledger.items())
            if (snapshot.id && item.id == snapshot.id)
                shared_.drop(item);
    }

    Shared &shared_;
    const Uuid image_;
    const DiskInfo disk_;
    ThinDevice thin_;
    ThinPool pool_;
    Snapshot base_, now_, next_;
};

class ThinProvider : public DiskProvider {
  public:
    explicit ThinProvider(Shared *shared) : shared_(shared) {}

    void start() {
        for (const auto &item : shared_->ledger.items()) {
            if (item.volume.empty() && item.cut.sn == 0) {
                interrupted_.insert(item.image);
                shared_->drop(item);
            }
            if (item.volume.empty() || dm::find(item.volume))
                continue;
            auto pool = ThinPool::find(item.pool);
            auto device = pool ? pool->activate(item.id, item.sectors, item.volume, false)
                               : Result<dm::Device>(tl::unexpected(pool.error()));
            if (!device)
                shared_->logger.warning("volume {} of a restored guest: {}", item.volume,
                                        device.error().message());
        }
    }

    std::vector<GuestNote> examine(const std::vector<DiskInfo> &disks) override {
        std::set<std::string> pools;
        for (const DiskInfo &disk : disks)
            if (auto thin = ThinDevice::find(disk.major, disk.minor); thin && !disk.read_only)
                pools.insert(thin->pool);
        std::vector<GuestNote> notes;
        for (const std::string &pool : pools)
            notes.push_back(examine_pool(pool));
        if (auto tool = run_tool({"thin_delta", "--version"}); !tool && !pools.empty())
            notes.push_back({NoteKind::refuse, "thin_delta", tool.error().message(),
                             "install thin-provisioning-tools"});
        return notes;
    }

    std::string refusal(const DiskInfo &disk) override {
        if (disk.backend != 0)
            return "it is served by another domain; serve it from Dom0";
        if (disk.driver != "phy" || disk.major == 0)
            return "a device model or file serves it, of which no snapshot can be taken; put it on a "
                   "thin volume (phy:), or name it in disks.exclude";
        if (auto thin = ThinDevice::find(disk.major, disk.minor); !thin)
            return "no snapshot of it can be taken, as it is no device-mapper thin volume; put it on "
                   "one, make it read-only, or name it in disks.exclude";
        return {};
    }

    Result<std::unique_ptr<GuestDisk>> open(const Uuid &image, const DiskInfo &disk) override {
        auto thin = CKPT_TRY(ThinDevice::find(disk.major, disk.minor));
        // By an earlier run that was killed in the pause.
        if (thin.device.suspended && interrupted_.contains(image)) {
            CKPT_CHECK(dm::resume(thin.device.name));
            shared_->logger.warning("disk {}: resumed, an earlier run had suspended it",
                                    disk.target);
        }
        return std::make_unique<ThinDisk>(*shared_, image, disk, std::move(thin));
    }

    Result<Volume> make_volume(const DiskEntry &disk, const Cut &cut,
                               const std::string &wanted) override {
        const ThinPool pool = CKPT_TRY(pool_for(disk));
        CKPT_CHECK(shared_->check_room(pool));
        drop_unused(disk.uuid);
        const std::string name = CKPT_TRY(free_name(wanted));
        const std::uint64_t sectors = disk.bytes / kSector;
        const auto held = shared_->ledger.held(pool.device.name, disk.uuid, cut);
        const std::uint32_t id = CKPT_TRY(shared_->ledger.reserve({.pool = pool.device.name,
                                                                   .image = disk.uuid,
                                                                   .cut = cut,
                                                                   .sectors = sectors,
                                                                   .volume = name}));
        if (auto made = held ? pool.create_snapshot(id, held->id) : pool.create_thin(id); !made) {
            shared_->forget(id);
            return tl::unexpected(made.error());
        }
        Volume volume{"/dev/mapper/" + name, held.has_value(),
                      pool.zeroes ? 0 : pool.block_bytes};
        auto device = pool.activate(id, sectors, name, false);
        if (!device) {
            drop_volume(volume);
            return tl::unexpected(device.error());
        }
        return volume;
    }

    void drop_volume(const Volume &volume) override {
        for (const auto &item : shared_->ledger.items())
            if (!item.volume.empty() && volume.path == "/dev/mapper/" + item.volume)
                drop_item(item);
    }

  private:
    Result<ThinPool> pool_for(const DiskEntry &disk) {
        auto own = ThinPool::find(disk.source);
        if (own || shared_->options.pool.empty()) {
            if (!own)
                return fail(ENODEV, "its pool {} is not here ({}); name one in disks.pool",
                            disk.source, own.error().message());
            return own;
        }
        return ThinPool::find(shared_->options.pool);
    }
    GuestNote examine_pool(const std::string &name) {
        auto pool = ThinPool::find(name);
        auto percent = pool ? pool->usage() : Result<unsigned>(tl::unexpected(pool.error()));
        const std::string subject = "pool " + name;
        if (!percent)
            return {NoteKind::refuse, subject, percent.error().message(), "mend it (thin_check)"};
        return shared_->room.note(subject, *percent);
    }
    // Of an earlier restore of this disk, if nobody has it.
    void drop_unused(const Uuid &image) {
        for (const auto &item : shared_->ledger.items())
            if (!item.volume.empty() && item.image == image) {
                auto device = dm::find(item.volume);
                if (!device || !device->open)
                    drop_item(item);
            }
    }
    void drop_item(const SnapshotLedger::Item &item) {
        if (dm::find(item.volume))
            if (auto gone = dm::remove(item.volume); !gone) {
                shared_->logger.warning("{}", gone.error().message());
                return;
            }
        shared_->drop(item);
    }
    static Result<std::string> free_name(const std::string &wanted) {
        std::string name = wanted;
        for (int i = 2; i < 100; i++) {
            if (!dm::find(name))
                return name;
            name = fmt::format("{}-{}", wanted, i);
        }
        return fail(EEXIST, "{}", wanted);
    }

    std::unique_ptr<Shared> shared_;
    std::set<Uuid> interrupted_; // images whose disk may have been left suspended
};

} // namespace

Result<std::unique_ptr<DiskProvider>> open_thin_provider(ThinOptions options, Logger &logger) {
    auto ledger = CKPT_TRY(SnapshotLedger::load(options.state_directory));
    auto provider = std::make_unique<ThinProvider>(
        new Shared(std::move(options), logger, std::move(ledger)));
    provider->start();
    return provider;
}

} // namespace ckpt
