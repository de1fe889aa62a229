// SPDX-License-Identifier: GPL-2.0-only
// Which thin devices of this host's pools are ours: snapshots that are held, and
// volumes of restored guests. On disk before the pool has them, so that a crash
// leaves nothing behind that nobody knows. Thread-safe.
#pragma once

#include <cstdint>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "libckpt/base/result.hh"
#include "libckpt/base/uuid.hh"
#include "libckpt/disk/disk_provider.hh"
#include "libckpt/io/disk.hh"

namespace ckpt {

class SnapshotLedger {
  public:
    struct Item {
        std::string pool{};      // its device's name
        std::uint32_t id = 0;    // of the thin device
        Uuid image{};            // of the disk, in the store
        Cut cut{};               // whose state it is; sn 0: of no committed checkpoint (yet)
        std::uint64_t sectors = 0;
        std::string volume{};    // device name of a restored guest's volume; else empty
    };

    // Made at the first change.
    static Result<SnapshotLedger> load(const std::string &directory);
    SnapshotLedger(SnapshotLedger &&other) noexcept
        : disk_(std::move(other.disk_)), last_(other.last_), items_(std::move(other.items_)) {}

    // In the order in which they were reserved.
    std::vector<Item> items() const;
    std::optional<Item> held(const std::string &pool, const Uuid &image, const Cut &cut) const;
    // A device id that none of ours has, on record from now on for `item`.
    // LVM counts from 1: ours are the upper half of the 24 bits.
    Result<std::uint32_t> reserve(Item item);
    Status set(std::uint32_t id, const Cut &cut, std::uint64_t sectors);
    Status erase(std::uint32_t id);

  private:
    explicit SnapshotLedger(Disk disk) : disk_(std::move(disk)) {}
    Status save() const;

    Disk disk_;
    mutable std::mutex mutex_;
    std::uint32_t last_ = 0;
    std::vector<Item> items_;
};

} // namespace ckpt
