// SPDX-License-Identifier: GPL-2.0-only
// The system level: this node among the others. It brings together the protocol
// core (ProtocolPort), the coordination store (Coordination), the recovery
// procedure (libckpt's Recovery, whose actions it carries out) and the node
// level, which takes the checkpoints. Control thread only.
#pragma once

#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "daemon/cluster/coordination.hh"
#include "daemon/control/messages.hh"
#include "daemon/node_steps.hh"
#include "daemon/system/background.hh"
#include "daemon/system/channel_keeper.hh"
#include "daemon/system/history.hh"
#include "daemon/system/port.hh"
#include "libckpt/disk/disk_provider.hh"
#include "libckpt/protocol/recovery.hh"

namespace ckpt {

class NodeLevel;

class SystemLevel final : public NodeSteps, private CoordinationObserver {
  public:
    struct Parts {
        EventLoop &loop;
        Logger &logger;
        const Config &config;
        DiskProvider *disks; // null: none
    };
    // Opens the core, makes this host a node if it is none yet. Joins nothing
    // before start(). One clear error each: no module, no key, another node's id.
    static Result<std::unique_ptr<SystemLevel>> create(const Parts &parts);
    ~SystemLevel() override;

    // With which incarnation the store is to be opened; nothing: as the store
    // has it, for the cluster's is not known yet.
    std::optional<Incarnation> store_incarnation() const { return store_incarnation_; }
    // Both outlive this object's work. Starts to protect if the node takes part
    // in the run, and joins the cluster.
    Status start(NodeLevel &node, PageStore &store);

    // Before those are destroyed.
    void finish();

    // Why the daemon ends, if this level ended it.
    const std::optional<Error> &verdict() const { return verdict_; }

    control::Cluster status() const;
    // What a recovery would decide if the named nodes (none: those without a
    // lease) were lost. Errors: what is wrong with the names; ENODATA, EBUSY.
    Result<control::PlanReply> plan(const std::vector<std::string> &lost) const;
    // Gives frames to the guests again that were in transit at a checkpoint they were
    // restored from (R12); returns how many could not be.
    u64 replay(const std::vector<ChannelFrame> &frames);
    // Begins the recovery from nodes whose leases have run out. ENOENT: none has.
    Status recover();

  private:
    // Why a checkpoint is forced: what its frame said, and the sentence for users.
    struct Cause {
        Sn target = 0;
        std::string frame, text;
    };

    explicit SystemLevel(const Parts &parts);

    // NodeSteps
    Result<Sn> ask(CheckpointKind kind) override;
    Status close_intake(Sn sn) override;
    Result<Sn> cut(Sn sn) override;
    Result<Sn> captured(Sn sn) override;
    std::vector<std::uint32_t> groups() const override { return groups_here(); }
    bool records_end() const override;
    void open_intake() override;
    void durable(const Manifest &manifest) override;
    void ended() override;
    Sn keep_from() const override;
    Status admit(const GuestInfo &guest) override;

    // CoordinationObserver
    void recovery_event(const RecoveryEvent &event) override;
    void cluster_changed() override;
    void refused(const Error &error) override;
    void reachable(const std::optional<Error> &error) override;

    // The core.
    Status open_core();
    void wanted(Sn target, u8 reason, NodeId peer, Sn sn);
    void tell_cause(Sn target);
    void look_at_core();
    Result<ProtocolPort::Answer> step(tlckpt_event_type type, Sn index = 0);
    Status run_node();

    // The catalogue.
    StoreView store_view() const;
    std::vector<GroupId> groups_here() const;
    bool has_guests(GroupId group) const;
    void recall_groups();
    void publish_catalogue();

    // What the recovery asks for.
    void on(const Propose &action);
    void on(const Freeze &action);
    void on(const PublishReport &action);
    void on(const Fence &action);
    void on(const ReadHistory &action);
    void on(const Apply &action);
    void on(const PublishDone &action);
    void on(const Stuck &action);
    void on(const StandDown &action);
    void settle_if_quiet();
    void settle(Incarnation incarnation);
    void restored(const Apply &apply, const BroughtBack &back);
    Status take_steps(const Apply &apply);
    tlckpt_view replay_view(const Apply &apply) const;
    bool must_take_over() const;
    std::vector<std::string> names_here() const;
    void take_over(const Apply &apply, const BroughtBack &back);
    void go_on_taking_over();
    void takeover_ended();
    void run_guests(const Apply &apply, const BroughtBack &back);
    void thaw(const Apply &apply, const std::vector<ChannelFrame> &frames, const Groups &groups);
    void apply_failed(const Apply &apply, const Error &error);
    void retry_later();
    std::vector<Rollback> rollbacks() const;
    std::vector<Host> up() const;
    void watch_over_ourselves();
    void stand_down(const std::string &why);

    const Parts parts_;
    NodeLevel *node_ = nullptr;
    PageStore *store_ = nullptr;
    std::unique_ptr<ProtocolPort> port_;
    std::unique_ptr<Recovery> recovery_;
    std::unique_ptr<Coordination> coordination_;
    Background background_;
    std::unique_ptr<ChannelKeeper> channel_;
    std::vector<EventLoop::Source> sources_;
    EventLoop::Source retry_timer_;

    NodeRecord self_;
    std::optional<Incarnation> store_incarnation_;
    bool fresh_ = true;         // the core never took part in a run
    bool attempt_open_ = false; // CLOSE without CAPTURED or ABORT
    Incarnation settle_for_ = 0;
    bool frozen_ = true;       // no checkpoints: a recovery is under way, or not joined yet
    bool applying_ = false;
    std::optional<std::pair<Apply, BroughtBack>> takeover_; // until its capture
    bool events_busy_ = false;
    std::vector<RecoveryEvent> events_;
    std::set<Host> hosts_up_;
    std::set<Host> approved_;  // may be recovered from though not `auto`
    std::optional<Error> refusal_, unreachable_, stuck_, verdict_;
    SteadyTime store_answered_ = steady_now();
    bool store_asked_ = false, self_fenced_ = false;
    Groups groups_; // of those that run here: durable captures
    bool groups_recalled_ = false;
    u64 forced_ = 0, basic_ = 0;
    Cause cause_; // of the newest forced checkpoint
    u64 recoveries_ = 0, recovery_ns_ = 0, replayed_ = 0;
    SteadyTime recovery_began_{}, recovery_decided_{}, recovery_restored_{};
};

} // namespace ckpt
