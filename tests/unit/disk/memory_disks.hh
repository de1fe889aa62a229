// SPDX-License-Identifier: GPL-2.0-only
// Disks in memory, thin as a pool's: what the tests of disks share.
#pragma once

#include <functional>
#include <map>
#include <mutex>
#include <string>
#include <vector>

#include "libckpt/disk/disk_provider.hh"

namespace ckpt {

class MemoryDisks : public DiskProvider {
  public:
    static constexpr std::uint64_t kBlock = 64 * 1024;

    // A disk's contents: blocks that were never written, or were discarded, read
    // as zeroes. Written at all, a block is another one.
    struct Contents {
        std::string bytes;
        std::vector<std::uint64_t> blocks; // when each was written; 0: not there

        void write(std::uint64_t at, const std::string &data, std::uint64_t now);
        void discard(std::uint64_t block);
    };

    // Calls that may be made to fail: "prepare", "snapshot", "delta". Zero or an errno.
    std::function<int(const std::string &call)> decide = [](auto &) { return 0; };

    void add(const std::string &target, std::uint64_t bytes);
    void write(const std::string &target, std::uint64_t at, const std::string &data);
    void discard(const std::string &target, std::uint64_t block);
    std::string bytes(const std::string &target);
    // Snapshots that are there now.
    int nr_held();

    std::vector<GuestNote> examine(const std::vector<DiskInfo> &) override { return {}; }
    std::string refusal(const DiskInfo &disk) override;
    Result<std::unique_ptr<GuestDisk>> open(const Uuid &image, const DiskInfo &disk) override;
    Result<Volume> make_volume(const DiskEntry &, const Cut &, const std::string &) override {
        return fail(EOPNOTSUPP, "not of memory");
    }
    void drop_volume(const Volume &) override {}

  private:
    friend class MemoryDisk;
    std::mutex mutex_;
    std::map<std::string, Contents> disks_;
    std::uint64_t now_ = 1;
    int nr_held_ = 0;
};

} // namespace ckpt
