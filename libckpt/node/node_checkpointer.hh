// SPDX-License-Identifier: GPL-2.0-only
// The node level: checkpoints of all protected guests of this node, taken
// together (paper 4.1). A pure sequence (node_sequence.hh) decides, one worker
// thread per guest acts, and everything comes back to the one control thread.
//
//   NodeCheckpointer &node = ...;
//   node.protect(uuid);                         // first full capture, live
//   poll(node.event_fd()) -> node.dispatch();   // observer is called in here
//   node.request(CheckpointKind::manual);       // -> cut, captured, durable
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "libckpt/base/clock.hh"
#include "libckpt/base/log.hh"
#include "libckpt/base/result.hh"
#include "libckpt/base/uuid.hh"
#include "libckpt/disk/disk_provider.hh"
#include "libckpt/io/page_batch.hh"
#include "libckpt/store/page_store.hh"
#include "libckpt/vm/guest_backend.hh"

namespace ckpt {

class ResumeGuard;

// Early write-out: which dirty pages are stored before the pause, while the
// guest runs (paper 4.1, Figure 2).
struct EarlyWriteOptions {
    bool enabled = true;               // off: every dirty page waits for the pause
    std::uint64_t target_pages = 256; // dirty pages of one guest left to the pause
    // The cache may exceed the target rather than write hot pages again and
    // again, up to this; beyond it pages are replaced however hot they are.
    std::uint64_t max_pages = 8192;
    unsigned idle_rounds = 2;  // replaced when not dirtied for this many rounds
    double write_budget = 1.3; // page writes per distinct dirty page
    Duration round_min = std::chrono::milliseconds(50);
    Duration round_max = std::chrono::seconds(2);
};

// Where the node's indexes stand when the program starts: as the kernel keeps
// them, or from the newest committed manifest.
struct NodeIndexes {
    Sn sn = 0;       // what frames are stamped with
    Sn captured = 0; // index of the newest finished capture, <= sn (R5)
    Sn durable = 0;  // index of the newest committed checkpoint, <= captured
};

struct NodeOptions {
    std::string node{};
    std::uint32_t incarnation = 0;
    NodeIndexes start{};
    Duration suspend_timeout = std::chrono::seconds(10); // one guest's
    Duration pause_timeout = std::chrono::seconds(20);   // request to captured, all guests
    // Tries of one request before it is given up. Once the cut has come there
    // is no giving up: the index is tried again, ever more slowly (R7).
    unsigned max_attempts = 3;
    EarlyWriteOptions early{};
    DiskSettings disks{};
    // Told which guests may be suspended, if there is one; outlives the object.
    ResumeGuard *guard = nullptr;
    // Rig only: every image is compared with a full re-read of the suspended
    // guest, in the pause, which makes it long.
    bool verify = false;
};

// What a verification found: pages whose contents or type in the image are not
// those of the suspended guest, with who beside it may have written them
// (Guest::page_role(); empty: nobody, which is an error of ours).
struct VerifyResult {
    struct Difference {
        Pfn pfn = 0;
        std::string role;
    };
    Sn sn = 0;
    Uuid guest;
    std::uint64_t nr_compared = 0;
    std::vector<Difference> differing;
};

// What others do at the steps of a node checkpoint, in this order (R4). Called
// on the control thread, from inside dispatch() or request(); must be quick
// from close_intake() to open_intake(), guests may be suspended. May call the
// NodeCheckpointer's request(), protect() and unprotect(), not dispatch().
class NodeObserver {
  public:
    virtual ~NodeObserver() = default;

    // An attempt begins: frames toward the guests are held from now on. An
    // error fails the attempt before any guest is asked to suspend.
    virtual Status close_intake(Sn) { return {}; }
    // All guests are suspended: sn rises now, to `sn` or, if more is wanted
    // meanwhile (R3), above it. Returns what it is. An error means that it did
    // not rise, and fails the attempt.
    virtual Result<Sn> cut(Sn sn) { return sn; }
    // Every guest's state is in memory; the guests are resumed after this.
    // Returns what the manifest names as `prev`: the node's capture before, or
    // above it if this one can't stand for every index in between (R9). An
    // error fails the attempt, the index stays owed.
    virtual Result<Sn> captured(Sn, Sn prev) { return prev; }
    // The groups of guests that a checkpoint is a capture of, for its manifest.
    virtual std::vector<std::uint32_t> groups() const { return {}; }
    // Without a protected guest: is a checkpoint to say that those of before have ended?
    virtual bool records_end() const { return false; }
    // Every guest of the attempt runs again (or is gone): frames may flow.
    // Called once for every close_intake(), whatever happened between.
    virtual void open_intake(Sn) {}
    // The manifest is committed. `manifest` has all times.
    virtual void durable(const Manifest &) {}
    // An attempt failed; no guest is suspended, sn stays as cut() left it.
    // `will_retry`: the next attempt follows by itself, else the request is
    // given up.
    virtual void failed(Sn, const Error &, [[maybe_unused]] bool will_retry) {}

    // The first full capture of a guest is complete on the node's side: from
    // here on it costs increments only.
    virtual void guest_primed(const Uuid &) {}
    // A guest is not protected any more, and not by unprotect(): it died, or
    // its memory could not be followed.
    virtual void guest_lost(const Uuid &, const Error &) {}
    // With NodeOptions::verify: before captured(), once for each guest.
    virtual void verified(const VerifyResult &) {}
};

enum class NodeStep : std::uint8_t {
    idle,
    preparing,  // guests run; early writes down to what a pause can hold
    suspending, // intake closed, suspend requested
    capturing,  // sn raised, state copied into memory
    resuming,   // all captured
    persisting, // guests run; state on its way to the store
    committing,
    aborting, // failed; waits until every guest runs
    waiting,  // for the next attempt of a failed one
};
const char *to_string(NodeStep step);

// One protected guest as it stands; figures are since it was protected unless
// said otherwise.
struct GuestStatus {
    Uuid uuid;
    std::string name;
    std::uint32_t domid = 0;
    GuestKind kind = GuestKind::pvh;
    Tracking tracking = Tracking::none;
    bool primed = false;            // the first full capture is done
    std::uint64_t nr_pages = 0;     // memory of the guest
    std::uint64_t todo_pages = 0;   // waiting to be written early, now
    std::uint64_t cached_pages = 0; // dirty, left to the pause, now
    std::uint64_t nr_rounds = 0;    // log-dirty rounds
    std::uint64_t nr_dirty = 0;     // pages these found
    std::uint64_t nr_early = 0;     // pages written while the guest ran
    std::uint64_t early_ns = 0;     // time spent on both: the hidden cost
    Duration round_interval{};      // between rounds, now
};

struct NodeStatus {
    NodeIndexes indexes;
    NodeStep step = NodeStep::idle;
    Sn target = 0;        // of the attempt under way, else 0
    unsigned attempt = 0; // of that target, from 1
    std::string failure;  // of the latest attempt; empty if it succeeded
};

class NodeCheckpointer {
  public:
    // All references outlive the object. Errors: EINVAL names a wrong option,
    // EMFILE and others for descriptors.
    static Result<std::unique_ptr<NodeCheckpointer>> create(GuestBackend &backend, PageStore &store,
                                                            PageArena &arena,
                                                            NodeObserver &observer, Logger &logger,
                                                            NodeOptions options);
    // Gives up what is under way, resumes every guest (R7) and waits for the
    // workers. Not from inside an observer.
    virtual ~NodeCheckpointer() = default;

    // Puts a guest under protection: dirty log on, full capture in the
    // background. It is in the checkpoints requested from now on, which wait
    // for it. Errors: EEXIST it is already; what GuestBackend::open() gives.
    virtual Status protect(const Uuid &uuid) = 0;
    // Ends it; once the checkpoint under way, if any, is over. ENOENT: it is
    // not protected.
    virtual Status unprotect(const Uuid &uuid) = 0;

    // Wants a checkpoint with an index of at least `target` (0: the next one).
    // Returns the index that will satisfy it; durable() or failed() tell when.
    // Requests made while one is under way merge into the next (R3).
    // Errors: EALREADY `target` is captured; ENOENT no guest is protected.
    virtual Result<Sn> request(CheckpointKind kind, Sn target = 0) = 0;

    // Readable when dispatch() has something to do. Owned by this object.
    virtual int event_fd() const = 0;
    // Does what is due, without blocking on guests or storage.
    virtual void dispatch() = 0;

    virtual NodeStatus status() const = 0;
    virtual std::vector<GuestStatus> guests() const = 0;
};

} // namespace ckpt
