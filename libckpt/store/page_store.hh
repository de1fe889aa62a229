// SPDX-License-Identifier: GPL-2.0-only
// The store: append-only segments of page records, one index per guest and
// checkpoint, one manifest per node checkpoint. A checkpoint exists when its
// manifest is committed; nothing is overwritten in place.
// Documentation/checkpoint-format.rst has every byte.
#pragma once

#include <algorithm>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "libckpt/base/clock.hh"
#include "libckpt/base/log.hh"
#include "libckpt/base/page.hh"
#include "libckpt/base/result.hh"
#include "libckpt/base/uuid.hh"
#include "libckpt/io/disk.hh"
#include "libckpt/io/page_batch.hh"
#include "libckpt/vm/guest_backend.hh"

namespace ckpt {

using Sn = std::uint64_t;

enum class CheckpointKind : std::uint8_t { basic = 1, forced = 2, manual = 3 };

// The stages of one node checkpoint under the paper's names (section 6,
// Figure 4), nanoseconds. A guest's own; the node's are the guests' maxima, but T_c is the
// node's alone.
struct StageTimes {
    std::uint64_t suspend = 0;   // T_s request to suspended
    std::uint64_t registers = 0; // T_a
    std::uint64_t memory = 0;    // T_m last dirty round and copies
    std::uint64_t disk = 0;      // T_d
    std::uint64_t channel = 0;   // T_c the protocol core's cut and captured
    std::uint64_t resume = 0;    // T_r
    std::uint64_t stopped = 0;   // suspended to resumed, Dom0's view

    void raise_to(const StageTimes &other) {
        for (auto stage : {&StageTimes::suspend, &StageTimes::registers, &StageTimes::memory,
                           &StageTimes::disk, &StageTimes::channel, &StageTimes::resume,
                           &StageTimes::stopped})
            this->*stage = std::max(this->*stage, other.*stage);
    }
};

// What one node checkpoint holds of one guest, as its manifest says.
struct GuestEntry {
    Uuid uuid;
    std::string name;
    GuestKind kind = GuestKind::pvh;
    Tracking tracking = Tracking::none;
    bool full = false;           // a full capture, not an increment
    Pfn pfn_limit = 0;
    std::uint64_t nr_pages = 0;  // pages in the image
    std::uint64_t nr_new = 0;    // distinct pages new in this checkpoint (by the store)
    std::uint64_t nr_zero = 0;   // of these: all zero, without contents stored (by the store)
    std::uint64_t nr_early = 0;  // page records written before the pause
    std::uint64_t nr_paused = 0; // pages copied in the pause
    std::uint64_t bytes_written = 0; // to the store, overhead included (by the store)
    StageTimes times;
};

// What one node checkpoint holds of one disk of a guest. A captured disk's image
// is one as a guest's: its blocks of 4096 bytes are the pages.
enum class DiskKind : std::uint8_t {
    captured = 1,
    read_only = 2, // by identity: name, target, size
    excluded = 3,  // left out by the configuration
};

struct DiskEntry {
    Uuid uuid;  // of its image (disk_uuid())
    Uuid guest; // whose disk it is
    std::string name;   // the guest's: "xvda"
    std::string target; // what it was in Dom0
    std::string source; // where a snapshot of it may be held: the pool
    DiskKind kind = DiskKind::captured;
    bool full = false;               // a full capture, not an increment
    std::uint64_t bytes = 0;         // its size
    std::uint64_t nr_new = 0;        // distinct blocks new in this checkpoint (by the store)
    std::uint64_t nr_zero = 0;       // of these: all zero, not stored (by the store)
    std::uint64_t nr_discarded = 0;  // of these: given back by the guest
    std::uint64_t bytes_changed = 0; // what the provider told: its own, larger blocks
    std::uint64_t bytes_written = 0; // to the store (by the store)
    std::uint64_t snapshot_ns = 0;   // T_d: its snapshot, in the pause
};

struct Manifest {
    std::string node;
    Sn sn = 0;
    Sn prev = 0; // the node's preceding capture, durable or not; 0: none (R9)
    std::uint32_t incarnation = 0;
    CheckpointKind kind = CheckpointKind::basic;
    std::uint64_t cut_wall_ns = 0;   // when, Unix epoch
    std::uint64_t durable_ns = 0;    // cut to committed; 0: the store fills it in
    std::uint64_t suspend_skew = 0;  // first to last guest suspended, ns
    StageTimes times;
    std::string producer; // program and version that took it
    std::string platform; // what the guests ran on: "xen 4.17.7"
    // Groups of guests (protocol/line.hh) that this is a capture of, with guests or without.
    std::vector<std::uint32_t> groups;
    std::vector<GuestEntry> guests;
    std::vector<DiskEntry> disks; // of all of them
    // In list(): the manifest can't be used, and why; only sn is set then.
    std::string damage;
};

// One guest's part of the open checkpoint: used by that guest's worker thread
// only. Destroyed without seal(): what it wrote becomes garbage.
class GuestWriter {
  public:
    virtual ~GuestWriter() = default;
    // Queues the batch, does not wait; its slot comes back to the arena once
    // written. A page written again supersedes its earlier record. A failed
    // write is told here or by seal() at the latest.
    virtual Status write(PageBatch batch) = 0;
    // Everything written and flushed, index and state stored; after it the
    // part can be committed, or destroyed. `full`: the image starts anew here.
    // After an error the part can only be destroyed. EINVAL: an increment
    // without a full checkpoint before it, or a pfn not below pfn_limit.
    virtual Status seal(const StateRecords &state, GuestEntry entry) = 0;
    // The same for a disk's image, of a part begun for its uuid.
    virtual Status seal_disk(DiskEntry entry) = 0;
    virtual std::uint64_t bytes_written() const = 0;
};

// A guest's part, and those of its disks behind it.
using GuestParts = std::vector<std::unique_ptr<GuestWriter>>;

// One guest's image at one index.
class ImageReader {
  public:
    virtual ~ImageReader() = default;
    virtual const GuestEntry &entry() const = 0;
    virtual const StateRecords &state() const = 0;
    // Calls `visit` for every page of the image once, in storage order, in
    // groups of up to 256; checks every CRC. EBADMSG: names the damaged record.
    struct Page {
        Pfn pfn;
        PageType type;
        const std::byte *data; // null: no contents
    };
    virtual Status for_each(const std::function<Status(std::span<const Page>)> &visit) = 0;
};

// Told during long work: done of total, in bytes. Returning false cancels.
using Progress = std::function<bool(std::uint64_t done, std::uint64_t total)>;

struct Damage {
    std::string file;
    std::uint64_t offset = 0;
    std::string what;              // "page record: checksum differs"
    std::vector<Sn> checkpoints;   // which kept checkpoints it makes unusable
};

struct VerifyReport {
    std::uint64_t bytes = 0, records = 0, checkpoints = 0;
    std::vector<Damage> damages;
};

struct GcReport {
    std::vector<Sn> dropped;       // checkpoints
    std::uint64_t bytes_freed = 0; // or would be, in a dry run
    std::uint64_t bytes_moved = 0; // live pages rewritten out of sparse segments
    // What could not be collected, and why; a later collection tries again.
    std::vector<std::string> problems;
};

struct StoreUsage {
    std::uint64_t bytes = 0;      // the store's files
    std::uint64_t free_bytes = 0; // what the file system has left
};

struct StoreOptions {
    std::string directory;
    std::string node;
    // Nothing: the one that opened this part last.
    std::optional<std::uint32_t> incarnation{};
    PageArena *arena = nullptr; // whose slots are registered with the rings
    Logger *logger = nullptr;
    bool create = false;        // make a new store if the directory is new or empty
    bool read_only = false;     // tools that only look: no lock, no write
    // A new segment is begun when one has reached this size.
    std::uint64_t segment_bytes = std::uint64_t{256} << 20;
    DiskObserver *disk_observer = nullptr; // tests: sees each step, may fail it
};

// Thread-safe. One process at a time may open a node's part of a store for
// writing, with an incarnation that is not below the one before (R14).
class PageStore {
  public:
    virtual ~PageStore() = default;

    // Checks format version and owner, ignores what was never committed.
    // Errors: ENOENT no store here, EPROTONOSUPPORT unknown format version
    // (names it and the known one), EROFS, EBUSY a second writer (names it),
    // ESTALE an older incarnation, EBADMSG damaged superblock, ENOTEMPTY not a
    // store and not to be made one.
    static Result<std::unique_ptr<PageStore>> open(const StoreOptions &options);

    // Starts one guest's part of the next node checkpoint (early writes go
    // here). Only one is open per guest (EBUSY); the next may begin once it is
    // sealed, before it is committed. An increment builds on the guest's part
    // sealed before it, or else on its newest committed checkpoint.
    virtual Result<std::unique_ptr<GuestWriter>> begin_guest(const Uuid &uuid) = 0;
    // Makes sealed parts one durable node checkpoint: all or nothing. The
    // guests' entries come from the parts, and so do those of captured disks,
    // node and incarnation from the store's options. Errors: EEXIST this sn is committed; EINVAL it is not
    // above all of this incarnation; ESTALE an increment builds on a part that
    // was not committed (a full one is needed); ENOSPC and others. With any,
    // nothing of it is listed, and the parts can be tried again.
    virtual Status commit(Manifest manifest,
                          std::span<const std::unique_ptr<GuestWriter>> parts) = 0;

    // Committed checkpoints of this node, ascending sn; unreadable ones too,
    // with their `damage`.
    virtual Result<std::vector<Manifest>> list() = 0;
    virtual Result<Manifest> manifest(Sn sn) = 0;
    virtual Result<std::unique_ptr<ImageReader>> open_image(Sn sn, const Uuid &uuid) = 0;

    // Reads everything that this node's checkpoints refer to. ECANCELED.
    virtual Result<VerifyReport> verify(const Progress &progress) = 0;
    // Drops the checkpoints older than `keep_from` (R13: the node's member of
    // L(K)) and the space that no kept one refers to. Checkpoints go on
    // meanwhile. What a reader uses stays until the next collection. Errors:
    // EINVAL nothing would be kept; EBADMSG a kept manifest is damaged.
    virtual Result<GcReport> collect_garbage(Sn keep_from, bool dry_run) = 0;
    virtual Result<StoreUsage> usage() = 0;

    // The node goes on in a later incarnation. `undone` says which of its
    // checkpoints the rollbacks since have undone (R11): they are dropped. No
    // guest's part is open. Each guest's next part must be full.
    virtual Status enter_incarnation(std::uint32_t incarnation,
                                     const std::function<bool(const Manifest &)> &undone) = 0;
    // ESTALE: another node has fenced this one's part (R14), nothing will be
    // committed any more.
    virtual Status check_owner() = 0;

    // For a recovery, about another node's part, whoever holds it. Fences it
    // against all incarnations below this one (R14).
    static Status fence(const std::string &directory, const std::string &node,
                        std::uint32_t incarnation);
    // Drops what rollbacks have undone in a fenced part.
    static Status drop(const std::string &directory, const std::string &node,
                       const std::function<bool(const Manifest &)> &undone);
    // The nodes that have a part here.
    static Result<std::vector<std::string>> nodes(const std::string &directory);
};

} // namespace ckpt
