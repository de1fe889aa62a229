// SPDX-License-Identifier: GPL-2.0-only
// What takes snapshots of disks: device-mapper's thin pools (thin_provider.hh), QEMU
// (qcow2_provider.hh), and memory for tests (memory_disks.hh). Of the base, the newest
// committed snapshot, so much is held that it can be told what changed since.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "libckpt/base/result.hh"
#include "libckpt/store/page_store.hh"
#include "libckpt/vm/disk_info.hh"

namespace ckpt {

// Bytes of a disk, whole blocks of 4096 but at the disk's end.
struct DiskExtent {
    enum class Kind : std::uint8_t {
        changed,   // the base has something there, too
        fresh,     // the base has zeroes there
        discarded, // zeroes now
    };
    std::uint64_t begin = 0, length = 0;
    Kind kind = Kind::changed;
    bool operator==(const DiskExtent &) const = default;
};
using DiskExtents = std::vector<DiskExtent>; // ascending, apart

// A snapshot that is open for reading, until destroyed.
class OpenDisk {
  public:
    virtual ~OpenDisk() = default;
    virtual int fd() const = 0;
};

struct DiskDelta {
    bool full = true; // else the extents are what differs from the base
    DiskExtents extents;
    // base: not of a full one; null if what changed is known by blocks, all of which
    // are stored then.
    std::unique_ptr<OpenDisk> now, base;
};

// Which checkpoint: an index may come again in a later incarnation.
struct Cut {
    Sn sn = 0;
    std::uint64_t wall_ns = 0;
    bool operator==(const Cut &) const = default;
};

// One disk under protection. One thread at a time; different disks' calls run
// in parallel.
class GuestDisk {
  public:
    virtual ~GuestDisk() = default;

    // Where its snapshots are held: what DiskEntry::source says.
    virtual std::string source() const = 0;
    // What a snapshot needs is made ready. ENOSPC: there is no room for one.
    virtual Status prepare() = 0;
    // The guest is suspended: its disk as it is now. After an error there is
    // nothing to be given up.
    virtual Status snapshot() = 0;
    // Behind the pause. The size of what was snapped; what of it changed.
    virtual std::uint64_t bytes() const = 0;
    virtual Result<DiskDelta> delta() = 0;
    // The snapshot belongs to a committed checkpoint, and is the base now.
    virtual void keep(const Cut &cut) = 0;
    // It does not; the base stays.
    virtual void discard() = 0;
};

// Thread-safe.
class DiskProvider {
  public:
    virtual ~DiskProvider() = default;

    // The pre-flight: what the host has for these disks; a line each.
    virtual std::vector<GuestNote> examine(const std::vector<DiskInfo> &disks) = 0;
    // Why it can't take this disk, with what to do ("...; ..."); empty: it can.
    virtual std::string refusal(const DiskInfo &disk) = 0;
    // `image`: the disk's name in the store.
    virtual Result<std::unique_ptr<GuestDisk>> open(const Uuid &image, const DiskInfo &disk) = 0;

    // A new disk, for a restored guest.
    struct Volume {
        std::string path;
        bool filled = false; // it is the disk of that index; else all zero
        // If not 0: a block of this size is not zeroed by its first write.
        std::uint64_t zero_bytes = 0;
        std::string fill_path{}; // where its bytes are to be written; empty: `path`
    };
    // `name` is good for a device or file; if it is taken, its like. ENODEV, ENOSPC and
    // others say what is missing.
    virtual Result<Volume> make_volume(const DiskEntry &disk, const Cut &cut,
                                       const std::string &name) = 0;
    // All bytes of a volume with a fill_path are written there: `path` gets them.
    virtual Status finish_volume(const Volume &) { return {}; }
    virtual void drop_volume(const Volume &volume) = 0;
};

// What is done with disks.
struct DiskSettings {
    // Outlives who uses it. Null: disks that can be written are refused.
    DiskProvider *provider = nullptr;
    // Whether a disk is left out of checkpoints; empty: none is.
    std::function<bool(const GuestInfo &guest, const DiskInfo &disk)> excluded{};
};

// The name of a disk's image in the store: the guest's, with the disk's number
// mixed in and version 8, which no guest's own has.
Uuid disk_uuid(const Uuid &guest, std::uint32_t number);

// What of this disk a checkpoint has; an error says why it has nothing, and
// that is not said by the configuration.
Result<DiskKind> judge_disk(const DiskSettings &settings, const GuestInfo &guest,
                            const DiskInfo &disk);

} // namespace ckpt
