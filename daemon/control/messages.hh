// SPDX-License-Identifier: GPL-2.0-only
// What the verbs of the control protocol take and give: each struct is one JSON
// object with these member names, which `tlckptctl -j` prints as they are.
// Members are added, never renamed or removed. Times are nanoseconds (..._ns,
// ..._wall_ns since the Unix epoch) or milliseconds (..._ms); sizes are bytes.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include <nlohmann/json.hpp>

namespace ckpt::control {

// The verbs.
inline constexpr const char *kStatus = "status";         // -> StatusReply
inline constexpr const char *kGuests = "guests";         // -> GuestsReply
inline constexpr const char *kCheckpoint = "checkpoint"; // CheckpointRequest -> Requested,
                                                         // or Checkpoint if waited for
inline constexpr const char *kList = "list";             // ListRequest -> ListReply
inline constexpr const char *kShow = "show";             // ShowRequest -> Checkpoint
inline constexpr const char *kRestore = "restore";       // RestoreRequest -> RestoreReply
inline constexpr const char *kVerify = "verify";         // -> VerifyReply
inline constexpr const char *kGc = "gc";                 // GcRequest -> GcReply
inline constexpr const char *kPlan = "plan";             // PlanRequest -> PlanReply
inline constexpr const char *kRecover = "recover";       // -> Cluster
inline constexpr const char *kDoctor = "doctor";         // -> DoctorReply

struct Progress {
    std::string stage;
    std::uint64_t done = 0, total = 0; // total 0: not known
};

// A guest of the node as it is now.
struct Guest {
    std::string uuid, name;
    std::uint32_t domid = 0;
    std::string kind;     // pv, pvh, hvm, process
    std::string state;    // running, paused, suspended, crashed, dying
    std::string tracking; // none, log-dirty, compare, write-protect
    std::uint64_t memory = 0;
    std::uint32_t vcpus = 0;
    bool is_protected = false;
    std::string refusal;       // why it can't be protected, or is not now
    bool primed = false;       // its first full capture is complete
    std::uint64_t todo_pages = 0, cached_pages = 0; // to be written early; left to the pause
    std::uint64_t rounds = 0, dirty_pages = 0, early_pages = 0, early_ns = 0; // the hidden cost
    std::uint64_t last_sn = 0; // its newest durable checkpoint of this run; 0: none yet
    std::uint64_t last_wall_ns = 0;
    std::uint64_t last_stopped_ns = 0;
};

struct Store {
    std::string directory;
    std::uint64_t bytes = 0, free_bytes = 0;
    std::uint64_t checkpoints = 0, oldest_sn = 0, newest_sn = 0;
    std::uint64_t keep = 0; // 0: all
};

// Pages by `checkpoint.verify` in this run.
struct Verification {
    std::uint64_t compared = 0;
    std::uint64_t differing = 0;         // unexplained: the image is wrong
    std::uint64_t written_by_others = 0; // rings and such, written after the cut
};

// A node of the cluster, as the coordination store has it.
struct Member {
    std::uint64_t id = 0;
    std::string name;
    bool alive = false; // has its lease
    bool leads = false; // this node, and it leads recoveries
    std::uint64_t sn = 0, durable = 0; // as it told last
};

struct Cluster {
    std::uint64_t id = 0, node_id = 0; // node_id 0: a node alone
    std::string mode;          // ms, bcs
    bool joined = false;
    std::string etcd;          // why it does not answer; empty: it does
    std::string refusal;       // why this node is not let in
    std::string recovery;      // none, gathering, decided
    std::string stuck;         // why it does not get on
    bool automatic = true;     // recoveries begin by themselves
    std::uint64_t incarnation = 0;
    std::uint64_t captured = 0, durable = 0;
    bool frozen = false;
    std::uint64_t held_frames = 0, log_frames = 0, log_lost = 0;
    std::uint64_t forced = 0, basic = 0; // durable checkpoints of this run; basic: and manual
    std::string cause;         // of the newest forced one
    std::uint64_t recoveries = 0, recovery_ns = 0; // of this run; the newest's time on this node
    std::uint64_t replayed = 0; // frames given to guests again after a rollback
    std::vector<Member> members;
};

struct StatusReply {
    std::string version, node, backend;
    std::int64_t pid = 0;
    std::uint64_t started_wall_ns = 0;
    std::uint64_t sn = 0;        // newest index used, durable or not
    std::uint64_t period_ms = 0; // 0: no basic checkpoints
    std::string activity;        // "idle", or the stage of the checkpoint under way
    std::uint64_t taken = 0, failed = 0; // checkpoints of this run
    std::string last_error;      // why the newest checkpoint failed, if it did
    Verification verification;
    Store store;
    Cluster cluster;
    std::vector<Guest> guests;
};

struct PlanRequest {
    std::vector<std::string> lost; // names of nodes; none: those without a lease
};

// What becomes of the guests that began on one node.
struct PlannedGroup {
    std::string group;       // "2", or "2.1": of node 2, which joined anew in incarnation 1
    std::uint64_t node = 0;  // where they run after it
    bool goes_back = false;            // else they keep their present state
    std::uint64_t checkpoint = 0;
    std::uint64_t lost_ns = 0;         // of their work, as of now
    std::uint64_t bytes = 0, frames = 0; // to be read, to be replayed
    std::vector<std::string> guests;
};

struct PlanReply {
    std::uint64_t incarnation = 0;
    std::uint64_t line = 0;
    std::string limiting; // the group without which the line could be newer; empty: none
    std::vector<std::uint64_t> lost;
    std::vector<std::string> unprotected; // groups that have no checkpoint at all: gone
    std::vector<PlannedGroup> groups;
};

struct GuestsReply {
    std::vector<Guest> guests;
};

// The paper's stages (section 6, Figure 4).
struct Times {
    std::uint64_t suspend_ns = 0, registers_ns = 0, memory_ns = 0, disk_ns = 0, channel_ns = 0,
                  resume_ns = 0;
    std::uint64_t stopped_ns = 0; // suspended to resumed, as Dom0 sees it
};

// A disk in a checkpoint.
struct DiskPart {
    std::string name;   // the guest's: "xvda"
    std::string target; // what it was in Dom0
    std::string kind;   // captured, read-only, excluded
    bool full = false;
    std::uint64_t bytes = 0;            // its size
    std::uint64_t new_blocks = 0;       // of 4096 bytes, stored for this checkpoint
    std::uint64_t zero_blocks = 0;      // of these: all zero, stored without contents
    std::uint64_t discarded_blocks = 0; // of these: given back by the guest
    std::uint64_t bytes_changed = 0;    // as the pool tells, by its own, larger blocks
    std::uint64_t bytes_written = 0;
    std::uint64_t snapshot_ns = 0; // T_d
};

// One guest's part of a checkpoint.
struct GuestPart {
    std::string uuid, name, kind, tracking;
    bool full = false;           // the whole memory, not an increment: a chain starts here
    std::uint64_t pages = 0;     // pages in the image
    std::uint64_t new_pages = 0; // distinct pages stored for this checkpoint
    std::uint64_t zero_pages = 0;   // of these: all zero, stored without contents
    std::uint64_t early_pages = 0;  // page records written before the pause
    std::uint64_t paused_pages = 0; // pages copied in the pause
    std::uint64_t bytes_written = 0;
    Times times;
    std::vector<DiskPart> disks;
};

struct Checkpoint {
    std::uint64_t sn = 0, prev = 0;
    std::string node;
    std::uint32_t incarnation = 0;
    std::string kind; // basic, forced, manual
    std::uint64_t cut_wall_ns = 0;
    std::uint64_t durable_ns = 0; // cut to committed; as stored, without the commit itself
    std::uint64_t skew_ns = 0;    // first to last guest suspended
    Times times;
    std::vector<GuestPart> guests;
    // com, of `show`: frames in transit at it that are kept, and those of them that are
    // between guests of the node; bytes of all.
    std::uint64_t com_frames = 0, com_local = 0, com_bytes = 0;
    std::string damage; // why it can't be read; then only sn is known
};

struct CheckpointRequest {
    bool wait = false;
};

// Without wait: what will be.
struct Requested {
    std::uint64_t sn = 0;
};

struct ListRequest {
    std::uint64_t last = 0; // only the newest so many; 0: all
};

struct ListReply {
    std::vector<Checkpoint> checkpoints; // ascending sn
};

struct ShowRequest {
    std::uint64_t sn = 0;
};

struct RestoreRequest {
    std::uint64_t sn = 0;
    std::string guest;     // name or uuid; empty: all of the checkpoint
    bool to_file = false;  // into the descriptor that comes with the request
};

struct RestoredGuest {
    std::string uuid, name;
    std::uint64_t bytes = 0; // of the stream
    std::vector<std::string> disks; // "xvdb on /dev/mapper/..., from its snapshot"
};

struct RestoreReply {
    std::uint64_t sn = 0;
    std::vector<RestoredGuest> guests;
    std::uint64_t replayed = 0, lost = 0; // frames between them that were in transit
};

struct Damage {
    std::string file;
    std::uint64_t offset = 0;
    std::string what;
    std::vector<std::uint64_t> checkpoints; // which can't be restored for it
};

struct VerifyReply {
    std::uint64_t bytes = 0, records = 0, checkpoints = 0;
    std::vector<Damage> damages;
};

struct GcRequest {
    bool dry_run = false;
};

struct GcReply {
    bool dry_run = false;
    std::vector<std::uint64_t> dropped;
    std::uint64_t bytes_freed = 0, bytes_moved = 0;
};

// The verdicts of the pre-flight.
inline constexpr const char *kOk = "ok";
inline constexpr const char *kWarn = "warn";     // works, with a loss that is told
inline constexpr const char *kRefuse = "refuse"; // does not work until it is changed
// What Finding::of is for what concerns no single guest.
inline constexpr const char *kNodeItself = "node";

struct Finding {
    std::string of;      // "node", or "guest NAME"
    std::string subject; // "kernel", "store", "disk xvda"
    std::string verdict;
    std::string found;
    std::string advice;  // what to do about it; empty: nothing
};

struct DoctorReply {
    std::string verdict; // the worst of them
    std::vector<Finding> findings;
};

NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE(Progress, stage, done, total)
NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE(Guest, uuid, name, domid, kind, state, tracking, memory, vcpus,
                                   is_protected, refusal, primed, todo_pages, cached_pages, rounds,
                                   dirty_pages, early_pages, early_ns, last_sn, last_wall_ns, last_stopped_ns)
NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE(Store, directory, bytes, free_bytes, checkpoints, oldest_sn,
                                   newest_sn, keep)
NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE(Verification, compared, differing, written_by_others)
NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE(Member, id, name, alive, leads, sn, durable)
NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE(Cluster, id, node_id, mode, joined, etcd, refusal, recovery, stuck,
                                   automatic, incarnation, captured, durable, frozen, held_frames, log_frames,
                                   log_lost, forced, basic, cause, recoveries, recovery_ns, replayed, members)
NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE(StatusReply, version, node, backend, pid, started_wall_ns, sn,
                                   period_ms, activity, taken, failed, last_error, verification, store, cluster, guests)
NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE(PlanRequest, lost)
NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE(PlannedGroup, group, node, goes_back, checkpoint, lost_ns, bytes, frames, guests)
NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE(PlanReply, incarnation, line, limiting, lost, unprotected, groups)
NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE(GuestsReply, guests)
NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE(Times, suspend_ns, registers_ns, memory_ns, disk_ns, channel_ns,
                                   resume_ns, stopped_ns)
NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE(DiskPart, name, target, kind, full, bytes, new_blocks, zero_blocks,
                                   discarded_blocks, bytes_changed, bytes_written, snapshot_ns)
NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE(GuestPart, uuid, name, kind, tracking, full, pages, new_pages, zero_pages,
                                   early_pages, paused_pages, bytes_written, times, disks)
NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE(Checkpoint, sn, prev, node, incarnation, kind, cut_wall_ns,
                                   durable_ns, skew_ns, times, guests, com_frames, com_local, com_bytes,
                                   damage)
NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE(CheckpointRequest, wait)
NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE(Requested, sn)
NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE(ListRequest, last)
NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE(ListReply, checkpoints)
NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE(ShowRequest, sn)
NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE(RestoreRequest, sn, guest, to_file)
NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE(RestoredGuest, uuid, name, bytes, disks)
NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE(RestoreReply, sn, guests, replayed, lost)
NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE(Damage, file, offset, what, checkpoints)
NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE(VerifyReply, bytes, records, checkpoints, damages)
NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE(Finding, of, subject, verdict, found, advice)
NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE(DoctorReply, verdict, findings)
NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE(GcRequest, dry_run)
NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE(GcReply, dry_run, dropped, bytes_freed, bytes_moved)

} // namespace ckpt::control
