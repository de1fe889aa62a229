// SPDX-License-Identifier: GPL-2.0-only
// The recovery procedure of one node (Rules R9, R10, R14, R15): events in, actions
// out, no I/O and no clock. Every node runs one. They agree through a single record
// that is changed by compare-and-swap, so any of them can lead: the live host with
// the lowest id does, and when it fails the next one takes over with the same inputs;
// when all have failed, the first that boots again.
//
//     idle --a host is lost--> gather --all frozen, reported, fenced--> decided
//      ^                          ^                                       |
//      |                          +------------ a host is lost -----------+
//      +----------------------------------------------- all have done ----+
//
// Every action may be taken twice; a daemon that starts again feeds what the store
// holds and goes on.
#pragma once

#include <map>
#include <set>
#include <vector>

#include "libckpt/protocol/plan.hh"
#include "libckpt/protocol/recovery_types.hh"

namespace ckpt {

class Recovery {
  public:
    struct Self {
        Host host;
        // Incarnation of the core; none: started anew.
        std::optional<Incarnation> applied;
        bool thawed = true;  // the core takes part in the run
    };

    explicit Recovery(Self self, Placement place = place_least_loaded);

    std::vector<RecoveryAction> step(const RecoveryEvent &event);

    const Record &record() const { return record_; }
    bool leads() const;
    // The first record of a cluster: `live` are the nodes that exist, each with its
    // own guests. Written once, with revision 0 expected.
    static Record founding(const std::vector<Host> &live);

  private:
    void on(const HostsUp &event);
    void on(const RecordSeen &event);
    void on(const Settled &event);
    void on(const ReportSeen &event);
    void on(const FenceConfirmed &event);
    void on(const HistoryRead &event);
    void on(const Applied &event);
    void on(const DoneSeen &event);
    void on(const Retry &event);

    // Each adds what is due now and was not said before.
    void take_part();
    void take_part_in_gather();
    void take_part_in_decided();
    void lead();
    void lead_gather();
    void lead_decided();

    std::vector<Host> lost() const;
    std::vector<Host> newcomers() const;
    Record gather(const std::vector<Host> &lost) const;
    std::vector<GroupId> groups_on(NodeId node) const;
    std::set<GroupId> running_groups() const;
    bool all_reported() const;
    tlckpt_rollback core_step(const Decision &decision, const std::set<GroupId> &running,
                              std::set<GroupId> &here) const;
    void give_groups(Record &record) const;
    Apply what_to_apply() const;
    void propose(Record record);

    const Host self_;
    const Placement place_;
    std::optional<Incarnation> applied_;
    bool thawed_;
    bool member_ = false;  // the record has had this host among the live ones

    std::set<Host> up_;
    Record record_;
    u64 revision_ = 0;
    bool record_known_ = false;

    // About the recovery of record_.incarnation; emptied when that changes.
    std::optional<Report> own_report_;
    std::map<Host, Report> reports_;
    std::set<Host> fenced_;
    std::map<Host, std::vector<GuestGroup>> histories_;
    std::set<Host> done_;

    // What has been said already; emptied by Retry too.
    struct Said {
        bool freeze = false, report = false, apply = false, done = false, stuck = false;
        bool stand_down = false;
        std::set<Host> fence, read;
        std::optional<u64> proposal;  // at this revision
    } said_;
    std::vector<RecoveryAction> actions_;
};

} // namespace ckpt
