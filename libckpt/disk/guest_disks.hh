// SPDX-License-Identifier: GPL-2.0-only
// The disks of one guest in its node checkpoints: the paper's ind. Its tracker
// calls it, in the order of the methods.
#pragma once

#include <cstdint>
#include <future>
#include <memory>
#include <optional>
#include <vector>

#include "libckpt/disk/disk_provider.hh"
#include "libckpt/store/page_store.hh"

namespace ckpt {

class GuestDisks {
  public:
    // The references, and the provider, outlive the object.
    GuestDisks(const GuestInfo &guest, DiskSettings settings, PageStore &store, PageArena &arena);
    ~GuestDisks();

    // EOPNOTSUPP: a disk can be neither captured nor left alone, and why.
    Status open();
    // Before the pause. ENOSPC: no room for snapshots.
    Status prepare();
    // In the pause: one thread for each disk, until finish_snapshots().
    void begin_snapshots();
    // The first error; `longest_ns`: of one snapshot, T_d.
    Status finish_snapshots(std::uint64_t &longest_ns);
    // Behind the pause: stores what changed, adds a part for each captured disk.
    Status persist(GuestParts &parts);
    // The disks that have no part: read-only or left out.
    std::vector<DiskEntry> others() const;
    // The parts were committed; or not.
    void keep(const Cut &cut);
    void discard();

  private:
    struct Captured {
        DiskEntry entry;
        std::unique_ptr<GuestDisk> disk;
        std::future<Status> snapping{};
        std::uint64_t snapped_ns = 0;
        bool snapped = false;
    };

    DiskEntry make_entry(const DiskInfo &disk, DiskKind kind) const;

    const GuestInfo guest_;
    const DiskSettings settings_;
    PageStore &store_;
    PageArena &arena_;
    std::vector<Captured> captured_;
    std::vector<DiskEntry> others_;
};

} // namespace ckpt
