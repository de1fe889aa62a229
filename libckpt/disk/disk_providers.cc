// SPDX-License-Identifier: GPL-2.0-only
#include "libckpt/disk/disk_providers.hh"

namespace ckpt {

namespace {

class Providers : public DiskProvider {
  public:
    Providers(std::unique_ptr<DiskProvider> thin, std::unique_ptr<DiskProvider> qcow2)
        : thin_(std::move(thin)), qcow2_(std::move(qcow2)) {}

    std::vector<GuestNote> examine(const std::vector<DiskInfo> &disks) override {
        std::vector<GuestNote> notes = thin_->examine(disks), more = qcow2_->examine(disks);
        notes.insert(notes.end(), more.begin(), more.end());
        return notes;
    }
    std::string refusal(const DiskInfo &disk) override { return of(disk).refusal(disk); }
    Result<std::unique_ptr<GuestDisk>> open(const Uuid &image, const DiskInfo &disk) override {
        return of(disk).open(image, disk);
    }
    Result<Volume> make_volume(const DiskEntry &disk, const Cut &cut,
                               const std::string &name) override {
        return (disk.source.starts_with('/') ? *qcow2_ : *thin_).make_volume(disk, cut, name);
    }
    Status finish_volume(const Volume &volume) override { return of(volume).finish_volume(volume); }
    void drop_volume(const Volume &volume) override { of(volume).drop_volume(volume); }

  private:
    DiskProvider &of(const DiskInfo &disk) { return disk.format == "qcow2" ? *qcow2_ : *thin_; }
    DiskProvider &of(const Volume &volume) {
        return volume.path.ends_with(".qcow2") ? *qcow2_ : *thin_;
    }

    const std::unique_ptr<DiskProvider> thin_, qcow2_;
};

} // namespace

std::unique_ptr<DiskProvider> join_providers(std::unique_ptr<DiskProvider> thin,
                                             std::unique_ptr<DiskProvider> qcow2) {
    return std::make_unique<Providers>(std::move(thin), std::move(qcow2));
}

} // namespace ckpt
