// SPDX-License-Identifier: GPL-2.0-only
// The cluster as etcd has it: who lives (one lease per node), what each node
// has, and the one recovery record. Keys, below PREFIX:
//
//   protocol       version and a check of the cluster's key     once
//   nodes/ID       NodeRecord, goes with the node's lease
//   catalogue/ID   Catalogue
//   guests/UUID    GuestRecord, once
//   record         Record, by compare-and-swap only
//   report/ID, done/ID   answers of one node to the recovery of the record
//
// Control thread only.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "daemon/cluster/etcd.hh"
#include "daemon/cluster/words.hh"
#include "libckpt/base/clock.hh"
#include "libckpt/base/log.hh"

namespace ckpt {

class CoordinationObserver {
  public:
    virtual ~CoordinationObserver() = default;
    // What the recovery wants to know: HostsUp, RecordSeen, ReportSeen,
    // DoneSeen, and Retry after everything was read anew.
    virtual void recovery_event(const RecoveryEvent &event) = 0;
    // nodes() or catalogues() changed.
    virtual void cluster_changed() = 0;
    // This node can't be part of the cluster, and why; it goes on trying.
    virtual void refused(const Error &error) = 0;
    // etcd does not answer, or answers again (no error).
    virtual void reachable(const std::optional<Error> &error) = 0;
};

class Coordination {
  public:
    struct Settings {
        EtcdOptions etcd;
        std::string prefix;    // "/tlckpt/1/"
        NodeRecord self;
        std::string key_check; // same for nodes with the same key
        std::chrono::seconds lease{10};
    };

    static Result<std::unique_ptr<Coordination>>
    create(EventLoop &loop, Logger &logger, CoordinationObserver &observer, Settings settings);

    // Reads everything, takes the lease, tells the observer; again and again
    // until it succeeds. Founds the cluster if there is none.
    void join();

    void propose(const Propose &proposal);
    void publish(const Report &report);
    void publish_done(Incarnation incarnation);
    void publish(const Catalogue &catalogue);
    void publish_guest(const std::string &uuid, const GuestRecord &guest);

    bool joined() const { return joined_; }
    // Time since etcd last answered.
    Duration silence() const { return steady_now() - last_contact_; }
    std::chrono::seconds lease_time() const { return settings_.lease; }
    const std::map<NodeId, NodeRecord> &nodes() const { return nodes_; }
    const std::map<NodeId, Catalogue> &catalogues() const { return catalogues_; }
    const std::map<std::string, GuestRecord> &guests() const { return guests_; }

  private:
    Coordination(EventLoop &loop, Logger &logger, CoordinationObserver &observer,
                 Settings settings);
    std::string key(std::string_view name) const { return settings_.prefix + std::string(name); }
    std::string own_key(const char *kind) const;
    template <typename T, typename Then> Etcd::Done<T> guarded(Then then);
    void heard();
    void trouble(const Error &error);
    void again();
    void take_lease();
    void read_all();
    void found_or_enter(const Etcd::Range &range);
    Status check_protocol(const std::string *stored) const;
    void found(Etcd::Revision expected);
    void enter(Etcd::Revision expected);
    Etcd::Done<Etcd::Txn> entered();
    void follow(Etcd::Revision from);
    void take(const Etcd::KeyValue &change);
    void take_record(const Etcd::KeyValue &change);
    void tell_all();
    void keep_alive();
    void tell_hosts();
    void put(const std::string &key, const std::string &value, Etcd::Lease lease = 0);

    EventLoop &loop_;
    Logger &logger_;
    CoordinationObserver &observer_;
    const Settings settings_;
    std::unique_ptr<Etcd> etcd_;
    Etcd::Watch watch_;
    EventLoop::Source keep_alive_timer_, again_timer_;
    Etcd::Lease lease_ = 0;
    bool joined_ = false;
    bool in_trouble_ = false;
    std::string refusal_; // said last
    SteadyTime last_contact_ = steady_now();

    std::map<NodeId, NodeRecord> nodes_;
    std::map<NodeId, Catalogue> catalogues_;
    std::map<std::string, GuestRecord> guests_;
    std::optional<RecordSeen> record_;
    std::map<NodeId, Report> reports_;
    std::map<NodeId, DoneSeen> done_;
    std::map<std::string, std::string> unsent_; // put while etcd did not answer; by key
};

} // namespace ckpt
