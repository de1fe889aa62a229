// SPDX-License-Identifier: GPL-2.0-only
// The words of a recovery (Rules R9..R15): what nodes report, what is decided and
// written once, what each node then does.
#pragma once

#include <compare>
#include <optional>
#include <variant>
#include <vector>

#include <tlckpt/proto.h>

#include "libckpt/base/result.hh"
#include "libckpt/protocol/line.hh"

namespace ckpt {

// One run of a node's Dom0: a node that rebooted, or that lost its lease and fenced
// itself, is another host and comes with another `boot`.
struct Host {
    NodeId node = 0;
    u64 boot = 0;

    auto operator<=>(const Host &) const = default;
};

// What becomes of one group.
struct Place {
    GroupId group = 0;
    NodeId node = 0;             // that runs its guests from now on
    std::optional<Sn> member;    // it goes back to this checkpoint; none: present state

    bool operator==(const Place &) const = default;
};

// What is decided once for all (Rule R15).
struct Decision {
    Incarnation incarnation = 0;  // that begins with it
    Incarnation previous = 0;     // of the decision before it
    Sn k = 0;                     // the line
    std::vector<Place> places;    // every group
    std::vector<GroupId> unprotected;  // groups that had no durable checkpoint: gone

    bool operator==(const Decision &) const = default;
};

enum class Stage : u8 {
    idle,     // nothing is going on; `live` is the cluster
    gather,   // live hosts freeze and report, failed ones are fenced
    decided,  // everyone does its part
};

// A rollback that all have done, for nodes that start anew: to judge frames and logs
// of older incarnations (Rule R11).
struct PastRollback {
    Incarnation incarnation = 0;
    Incarnation previous = 0;
    Sn k = 0;

    bool operator==(const PastRollback &) const = default;
};

// The one record in the coordination store, changed by compare-and-swap only.
struct Record {
    Stage stage = Stage::idle;
    // Of the recovery under way, or of the last one. A recovery that meets a further
    // failure is given up for one with a higher incarnation (Rule R15).
    Incarnation incarnation = 0;
    std::vector<Host> live;
    std::vector<Host> failed;       // of this recovery; fenced before it is decided (R14)
    std::vector<Decision> pending;  // decided, not yet known to be done by all; oldest first
    Incarnation done = 0;           // the last decision that all have done
    std::vector<Place> places;      // groups and where they run, after `done`
    std::vector<PastRollback> history;  // up to `done`, oldest first, the newest 64

    // Where the groups run as decided, which may not be done yet; and in which incarnation.
    const std::vector<Place> &decided_places() const {
        return pending.empty() ? places : pending.back().places;
    }
    Incarnation decided_incarnation() const {
        return pending.empty() ? done : pending.back().incarnation;
    }

    bool operator==(const Record &) const = default;
};

// What one host says when it is frozen and all its captures are durable or lost.
struct Report {
    Host host;
    Incarnation incarnation = 0;    // of the recovery it answers
    std::vector<GuestGroup> groups;  // that run on it, as they stand after record.pending

    bool operator==(const Report &) const = default;
};

// ---- what happens to the recovery of one node

struct HostsUp {                    // hosts whose lease lives, this one's too, after every change
    std::vector<Host> up;
};
struct RecordSeen {                 // the record changed, or was read
    Record record;
    u64 revision = 0;               // for the next compare-and-swap
};
// Answer to Freeze: the groups that run here or that record.pending places here,
// with their captures (durable ones only) and, if they run, their present state.
struct Settled {
    Incarnation incarnation = 0;
    std::vector<GuestGroup> groups;
};
struct ReportSeen {
    Report report;
};
struct FenceConfirmed {             // answer to Fence (Rule R14)
    Host host;
};
struct HistoryRead {                // answer to ReadHistory
    Host host;
    std::vector<GuestGroup> groups;  // as asked, from the store, present: none
};
struct Applied {                    // answer to Apply: the node thawed
    Incarnation incarnation = 0;
};
struct DoneSeen {
    Host host;
    Incarnation incarnation = 0;
};
struct Retry {};                    // the store answers again: say all that is open once more

using RecoveryEvent = std::variant<HostsUp, RecordSeen, Settled, ReportSeen, FenceConfirmed,
                                   HistoryRead, Applied, DoneSeen, Retry>;

// ---- what the caller does

// Compare-and-swap the record, expecting `revision`. A lost race needs no answer:
// the other record will be seen. No answer from the store: Retry later.
struct Propose {
    Record record;
    u64 revision = 0;
};
// TLCKPT_EV_FREEZE; end the checkpoint under way (Rule R7); make captures durable or
// give them up; answer Settled. An Apply under way is dropped if it has not fed the
// core, else finished and answered first.
struct Freeze {
    Incarnation incarnation = 0;
};
struct PublishReport {
    Report report;
};
// Fence the host, see that the store refuses it; answer FenceConfirmed.
struct Fence {
    Host host;
};
// Read from the store what the fenced host's groups left; answer HistoryRead.
struct ReadHistory {
    Host host;
    std::vector<GroupId> groups;
};
// A group is put to a checkpoint: its guests, those of a live node included, are
// built anew from it, later checkpoints are dropped, and the channel log is replayed
// by tlckpt_view_replays(line) (Rule R12).
struct Restore {
    GroupId group = 0;
    Sn index = 0;
    Sn line = 0;

    bool operator==(const Restore &) const = default;
};
// In this order: suspend own guests if the last step has `raise`; restore (paused);
// feed `steps` to the core; if it says CUT, CAPTURED, and that capture's channel log
// begins with what is about to be replayed; replay; THAW; answer Applied.
// A daemon that starts again says how far it came by Recovery::Self: feeding and
// replaying are one step to it. No steps: only the THAW is due.
struct Apply {
    Incarnation incarnation = 0;
    std::vector<tlckpt_rollback> steps;
    std::vector<Restore> restores;
};
struct PublishDone {
    Incarnation incarnation = 0;
};
// No decision is possible as things stand: a person must look.
struct Stuck {
    Error error;
};
// This host was declared failed, or its lease is gone: its guests run elsewhere or
// will. Stop them, start anew as another boot.
struct StandDown {};

using RecoveryAction = std::variant<Propose, Freeze, PublishReport, Fence, ReadHistory, Apply,
                                    PublishDone, Stuck, StandDown>;

} // namespace ckpt
