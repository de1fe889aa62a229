// SPDX-License-Identifier: GPL-2.0-only
#include "tests/unit/disk/memory_disks.hh"

#include <optional>

#include <sys/mman.h>
#include <unistd.h>

#include "libckpt/base/fd.hh"

namespace ckpt {

namespace {

class MemoryFile : public OpenDisk {
  public:
    explicit MemoryFile(const std::string &bytes) : fd_(::memfd_create("disk", MFD_CLOEXEC)) {
        [[maybe_unused]] auto n = ::pwrite(fd_.get(), bytes.data(), bytes.size(), 0);
    }
    int fd() const override { return fd_.get(); }

  private:
    Fd fd_;
};

} // namespace

class MemoryDisk : public GuestDisk {
  public:
    MemoryDisk(MemoryDisks &disks, std::string target) : disks_(disks), target_(std::move(target)) {}
    ~MemoryDisk() override {
        hold(now_, std::nullopt);
        hold(base_, std::nullopt);
    }

    std::string source() const override { return "memory"; }
    Status prepare() override { return may("prepare"); }
    Status snapshot() override {
        CKPT_CHECK(may("snapshot"));
        std::lock_guard lock(disks_.mutex_);
        now_ = disks_.disks_.at(target_);
        disks_.nr_held_++;
        return {};
    }
    std::uint64_t bytes() const override { return now_->bytes.size(); }
    Result<DiskDelta> delta() override {
        CKPT_CHECK(may("delta"));
        DiskDelta delta;
        delta.full = !base_ || base_->bytes.size() != now_->bytes.size();
        for (std::size_t i = 0; i < now_->blocks.size(); i++) {
            const std::uint64_t was = delta.full ? 0 : base_->blocks[i], is = now_->blocks[i];
            if (was == is)
                continue;
            const std::uint64_t begin = i * MemoryDisks::kBlock;
            delta.extents.push_back({begin, std::min(MemoryDisks::kBlock, bytes() - begin),
                                     !is    ? DiskExtent::Kind::discarded
                                     : !was ? DiskExtent::Kind::fresh
                                            : DiskExtent::Kind::changed});
        }
        delta.now = std::make_unique<MemoryFile>(now_->bytes);
        if (!delta.full)
            delta.base = std::make_unique<MemoryFile>(base_->bytes);
        return delta;
    }
    void keep(const Cut &) override {
        hold(base_, std::nullopt);
        base_ = std::exchange(now_, std::nullopt);
    }
    void discard() override { hold(now_, std::nullopt); }

  private:
    Status may(const std::string &call) {
        if (int error = disks_.decide(call))
            return fail(error, "injected at {}", call);
        return {};
    }
    void hold(std::optional<MemoryDisks::Contents> &one, std::optional<MemoryDisks::Contents> next) {
        std::lock_guard lock(disks_.mutex_);
        disks_.nr_held_ -= one ? 1 : 0;
        one = std::move(next);
    }

    MemoryDisks &disks_;
    const std::string target_;
    std::optional<MemoryDisks::Contents> base_, now_;
};

void MemoryDisks::Contents::write(std::uint64_t at, const std::string &data, std::uint64_t now) {
    bytes.replace(at, data.size(), data);
    for (std::uint64_t i = at / kBlock; i <= (at + data.size() - 1) / kBlock; i++)
        blocks[i] = now;
}

void MemoryDisks::Contents::discard(std::uint64_t block) {
    const std::uint64_t begin = block * kBlock, length = std::min(kBlock, bytes.size() - begin);
    bytes.replace(begin, length, length, '\0');
    blocks[block] = 0;
}

void MemoryDisks::add(const std::string &target, std::uint64_t bytes) {
    disks_[target] = {std::string(bytes, '\0'),
                      std::vector<std::uint64_t>((bytes + kBlock - 1) / kBlock)};
}

void MemoryDisks::write(const std::string &target, std::uint64_t at, const std::string &data) {
    std::lock_guard lock(mutex_);
    disks_.at(target).write(at, data, ++now_);
}

void MemoryDisks::discard(const std::string &target, std::uint64_t block) {
    std::lock_guard lock(mutex_);
    disks_.at(target).discard(block);
}

std::string MemoryDisks::bytes(const std::string &target) {
    std::lock_guard lock(mutex_);
    return disks_.at(target).bytes;
}

int MemoryDisks::nr_held() {
    std::lock_guard lock(mutex_);
    return nr_held_;
}

std::string MemoryDisks::refusal(const DiskInfo &disk) {
    return disks_.contains(disk.target) ? "" : "it is not in memory; put it there";
}

Result<std::unique_ptr<GuestDisk>> MemoryDisks::open(const Uuid &, const DiskInfo &disk) {
    return std::make_unique<MemoryDisk>(*this, disk.target);
}

} // namespace ckpt
