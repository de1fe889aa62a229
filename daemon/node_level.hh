// SPDX-License-Identifier: GPL-2.0-only
// The node level as the daemon runs it: which guests are protected, when
// checkpoints are taken, how many are kept, and who waits for them. Control
// thread only.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "daemon/config.hh"
#include "daemon/control/messages.hh"
#include "daemon/control_server.hh"
#include "daemon/event_loop.hh"
#include "daemon/node_state.hh"
#include "daemon/node_steps.hh"
#include "libckpt/node/node_checkpointer.hh"

namespace ckpt {

class NodeLevel final : private NodeObserver {
  public:
    // What it works with; all of it outlives this object.
    struct Parts {
        EventLoop &loop;
        Logger &logger;
        GuestBackend &backend;
        PageStore &store;
        PageArena &arena;
        NodeState &state;
        ResumeGuard *guard; // none: nullptr
        const Config &config;
        NodeSteps *steps; // null: a node alone
        DiskSettings disks;
    };

    // Resumes what an earlier run left suspended, then starts to protect.
    static Result<std::unique_ptr<NodeLevel>> create(const Parts &parts);
    ~NodeLevel();

    // A checkpoint by hand, of the index that is returned. With `waiter`, that
    // call is answered when it is durable or given up. ENOENT: no guest.
    Result<Sn> checkpoint(std::shared_ptr<Call> waiter);
    // Leaves those who wait without their checkpoint: the daemon ends.
    void abandon_waiters() { waiters_.clear(); }

    // For the system level. Protects from now on, at these indexes; with
    // `at_rest`, guests that were put back and have not run yet too. stop(): no
    // guest is protected any more, all run but those at rest.
    Status run(NodeIndexes indexes, std::uint32_t incarnation, bool at_rest = false);
    void stop();
    bool runs() const { return node_ != nullptr; }
    // A checkpoint of at least index `target` is wanted.
    void want(CheckpointKind kind, Sn target);
    // No attempt is under way.
    bool idle() const;
    std::vector<std::string> protected_names() const;
    // Xen's pause, not a suspend: they do nothing until it is taken back.
    void pause_guests(bool pause);

    // All guests of the node, protected or not.
    Result<std::vector<control::Guest>> guests();
    // Fills in what this object knows of the daemon's status.
    void fill(control::StatusReply &status) const;

    // While a pin lives, retention keeps its checkpoint and all newer ones.
    using Pin = std::shared_ptr<void>;
    Pin pin(Sn sn);
    // A garbage collection under R13, the configured number and today's pins;
    // the function may be called on any thread, with whether only to try.
    std::function<Result<GcReport>(bool dry_run)> collection() const;

  private:
    // What is remembered of a guest beside the library's own status.
    struct Known {
        std::string refusal;
        std::vector<DiskInfo> disks; // as it was protected
        control::Guest last; // only its last_... members are used
    };
    struct Waiter {
        Sn sn;
        std::shared_ptr<Call> call;
    };

    explicit NodeLevel(const Parts &parts) : parts_(parts) {}
    Status start();
    Status recover();
    Status start_timers();
    Status wait_for_tick();
    void look_for_guests();
    bool wanted(const GuestInfo &guest) const;
    void protect(const GuestInfo &guest);
    void remember_refusal(const GuestInfo &guest, const std::string &refusal);
    void basic();
    void collect_garbage();
    void tell_waiters();
    void check_pause();

    // NodeObserver
    Status close_intake(Sn sn) override;
    Result<Sn> cut(Sn sn) override;
    Result<Sn> captured(Sn sn, Sn prev) override;
    std::vector<std::uint32_t> groups() const override;
    bool records_end() const override;
    void open_intake(Sn sn) override;
    void durable(const Manifest &manifest) override;
    void failed(Sn sn, const Error &error, bool will_retry) override;
    void guest_primed(const Uuid &uuid) override;
    void guest_lost(const Uuid &uuid, const Error &error) override;
    void verified(const VerifyResult &result) override;

    const Parts parts_;
    std::unique_ptr<NodeCheckpointer> node_; // null: stopped
    EventLoop::Source node_source_;
    std::vector<EventLoop::Source> sources_;
    EventLoop::Source tick_; // of the basic period
    std::map<Uuid, Known> known_;
    std::vector<Waiter> waiters_;
    std::multiset<Sn> pins_;
    std::uint64_t taken_ = 0, failed_ = 0;
    control::Verification verification_;
    std::string last_error_;
    bool at_rest_ = false;
    SteadyTime pause_began_{}; // when a step with suspended guests was first seen; else zero
    std::thread collector_;
    bool collecting_ = false;
};

} // namespace ckpt
