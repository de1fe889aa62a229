// SPDX-License-Identifier: GPL-2.0-only
#include "daemon/cluster/coordination.hh"

#include <charconv>

#include "libckpt/protocol/recovery.hh"

namespace ckpt {

namespace {

constexpr auto kAgain = std::chrono::seconds(1);

// "nodes/7" -> 7 if it begins with "nodes/".
std::optional<NodeId> node_of(std::string_view key, std::string_view kind) {
    if (!key.starts_with(kind))
        return std::nullopt;
    key.remove_prefix(kind.size());
    NodeId node = 0;
    auto [end, error] = std::from_chars(key.data(), key.data() + key.size(), node);
    if (error != std::errc() || end != key.data() + key.size())
        return std::nullopt;
    return node;
}

} // namespace

Result<std::unique_ptr<Coordination>> Coordination::create(EventLoop &loop, Logger &logger,
                                                           CoordinationObserver &observer,
                                                           Settings settings) {
    std::unique_ptr<Coordination> made(
        new Coordination(loop, logger, observer, std::move(settings)));
    made->etcd_ = CKPT_TRY(Etcd::create(loop, made->settings_.etcd));
    made->keep_alive_timer_ = CKPT_TRY(
        loop.add_timer(made->settings_.lease / 4.0 > kAgain
                           ? std::chrono::duration_cast<Duration>(made->settings_.lease) / 4
                           : Duration(kAgain) / 2,
                       [coordination = made.get()] { coordination->keep_alive(); }));
    return made;
}

Coordination::Coordination(EventLoop &loop, Logger &logger, CoordinationObserver &observer,
                           Settings settings)
    : loop_(loop), logger_(logger), observer_(observer), settings_(std::move(settings)) {}

std::string Coordination::own_key(const char *kind) const {
    return key(fmt::format("{}/{}", kind, settings_.self.host.node));
}

// Answers of etcd: the good ones go on, the others start again in a while.
template <typename T, typename Then> Etcd::Done<T> Coordination::guarded(Then then) {
    return [this, then](Result<T> answer) {
        if (!answer) {
            trouble(answer.error());
            return again();
        }
        heard();
        then(*answer);
    };
}

void Coordination::heard() {
    last_contact_ = steady_now();
    if (std::exchange(in_trouble_, false))
        observer_.reachable(std::nullopt);
}

void Coordination::trouble(const Error &error) {
    if (!std::exchange(in_trouble_, true))
        logger_.warning("coordination: {}", error.message());
    observer_.reachable(error);
}

void Coordination::again() {
    auto timer = loop_.add_timer(kAgain, [this] {
        again_timer_ = EventLoop::Source();
        if (joined_)
            read_all();
        else
            take_lease();
    });
    if (timer)
        again_timer_ = std::move(*timer);
}

// --- joining

void Coordination::join() {
    if (!again_timer_)
        take_lease();
}

void Coordination::take_lease() {
    if (lease_)
        return read_all();
    etcd_->grant(settings_.lease, guarded<Etcd::Lease>([this](Etcd::Lease lease) {
                     lease_ = lease;
                     read_all();
                 }));
}

void Coordination::read_all() {
    watch_.end();
    etcd_->range(settings_.prefix, guarded<Etcd::Range>([this](const Etcd::Range &range) {
                     found_or_enter(range);
                 }));
}

// Another program's version or key: better no cluster than a wrong one.
Status Coordination::check_protocol(const std::string *stored) const {
    std::string ours = fmt::format("{} {}", kClusterProtocol, settings_.key_check);
    if (!stored || *stored == ours)
        return {};
    auto version = stored->substr(0, stored->find(' '));
    if (version != std::to_string(kClusterProtocol))
        return fail(EPROTONOSUPPORT,
                    "cluster: its nodes speak protocol version {}, this tlckptd speaks {}", version,
                    kClusterProtocol);
    return fail(EKEYREJECTED, "cluster: this node's key is not the one of the other nodes");
}

void Coordination::found_or_enter(const Etcd::Range &range) {
    nodes_.clear();
    catalogues_.clear();
    guests_.clear();
    record_.reset();
    reports_.clear();
    done_.clear();
    const std::string *protocol = nullptr;
    Etcd::Revision own = 0, record = 0;
    for (const Etcd::KeyValue &one : range.keys) {
        if (one.key == key("protocol"))
            protocol = &one.value;
        else if (one.key == key("record"))
            record = one.revision;
        else if (one.key == own_key("nodes"))
            own = one.revision;
        take(one);
    }
    Status fits = check_protocol(protocol);
    auto self = nodes_.find(settings_.self.host.node);
    if (fits && self != nodes_.end() && self->second.host != settings_.self.host)
        fits = fail(EADDRINUSE,
                    "cluster: node id {} is in use by {} (boot {}); if that was this node before "
                    "it started anew, its lease ends in at most {} s",
                    settings_.self.host.node, self->second.name, self->second.host.boot,
                    settings_.lease.count());
    if (!fits) {
        if (std::exchange(refusal_, fits.error().message()) != fits.error().message())
            observer_.refused(fits.error());
        return again();
    }
    refusal_.clear();
    if (!record)
        return found(own);
    if (self != nodes_.end() && joined_) {
        follow(range.revision + 1);
        tell_all();
        return;
    }
    enter(own);
}

// The founder's own key comes with the record that says it lives: without, a node
// that enters in between would take the founder for lost.
void Coordination::found(Etcd::Revision expected) {
    etcd_->txn({{key("record"), 0}, {key("protocol"), 0}, {own_key("nodes"), expected}},
               {{key("record"), encode(Recovery::founding({settings_.self.host}))},
                {key("protocol"), fmt::format("{} {}", kClusterProtocol, settings_.key_check)},
                {own_key("nodes"), encode(settings_.self), lease_}},
               entered());
}

void Coordination::enter(Etcd::Revision expected) {
    etcd_->txn({{own_key("nodes"), expected}},
               {{own_key("nodes"), encode(settings_.self), lease_}},
               entered());
}

Etcd::Done<Etcd::Txn> Coordination::entered() {
    return guarded<Etcd::Txn>([this](const Etcd::Txn &txn) {
        joined_ = joined_ || txn.succeeded;
        read_all(); // with what happened meanwhile
    });
}

void Coordination::follow(Etcd::Revision from) {
    watch_ = etcd_->watch(
        settings_.prefix, from,
        [this](const std::vector<Etcd::KeyValue> &changes) {
            heard();
            for (const Etcd::KeyValue &change : changes) {
                take(change);
                std::string_view name = std::string_view(change.key).substr(settings_.prefix.size());
                if (name.starts_with("nodes/"))
                    tell_hosts();
                else if (name == "record" && record_)
                    observer_.recovery_event(*record_);
                else if (auto reporter = node_of(name, "report/");
                         reporter && reports_.contains(*reporter))
                    observer_.recovery_event(ReportSeen{reports_[*reporter]});
                else if (auto doer = node_of(name, "done/"); doer && done_.contains(*doer))
                    observer_.recovery_event(done_[*doer]);
            }
            observer_.cluster_changed();
        },
        [this](const Error &error) {
            logger_.info("coordination: {}", error.message());
            again();
        });
}

// --- what is there

// Keeps what one key says; what can't be read is said and left out.
template <typename Map, typename Key, typename Decoded>
static void keep(Map &map, const Key &key, bool deleted, Logger &logger, const Decoded &decode) {
    if (deleted) {
        map.erase(key);
        return;
    }
    if (auto value = decode())
        map[key] = std::move(*value);
    else
        logger.error("{}", value.error().message());
}

void Coordination::take(const Etcd::KeyValue &change) {
    std::string_view name = std::string_view(change.key).substr(settings_.prefix.size());
    const std::string &text = change.value;
    bool gone = change.deleted;
    if (auto node = node_of(name, "nodes/"))
        keep(nodes_, *node, gone, logger_, [&] { return decode_node(text); });
    else if (auto owner = node_of(name, "catalogue/"))
        keep(catalogues_, *owner, gone, logger_, [&] { return decode_catalogue(text); });
    else if (auto reporter = node_of(name, "report/"))
        keep(reports_, *reporter, gone, logger_, [&] { return decode_report(text); });
    else if (auto doer = node_of(name, "done/"))
        keep(done_, *doer, gone, logger_, [&] { return decode_done(text); });
    else if (name.starts_with("guests/"))
        keep(guests_, std::string(name.substr(7)), gone, logger_,
             [&] { return decode_guest(text); });
    else if (name == "record" && !gone)
        take_record(change);
}

void Coordination::take_record(const Etcd::KeyValue &change) {
    auto record = decode_record(change.value);
    if (!record)
        return logger_.error("{}", record.error().message());
    record_ = RecordSeen{std::move(*record), change.revision};
}

void Coordination::tell_hosts() {
    HostsUp up;
    for (const auto &[id, node] : nodes_)
        up.up.push_back(node.host);
    // Our own key may be gone while we live: the record says what that means.
    observer_.recovery_event(up);
}

void Coordination::tell_all() {
    tell_hosts();
    if (record_)
        observer_.recovery_event(*record_);
    for (const auto &[node, report] : reports_)
        observer_.recovery_event(ReportSeen{report});
    for (const auto &[node, done] : done_)
        observer_.recovery_event(done);
    observer_.recovery_event(Retry{});
    observer_.cluster_changed();
    for (const auto &[name, value] : std::exchange(unsent_, {}))
        put(name, value);
}

// --- liveness

void Coordination::keep_alive() {
    if (!lease_)
        return;
    etcd_->keep_alive(lease_, [this](Result<std::chrono::seconds> ttl) {
        if (ttl)
            return heard();
        if (!ttl.error().is(ENOENT))
            return trouble(ttl.error());
        logger_.warning("coordination: this node's lease has run out");
        heard();
        lease_ = 0;
        joined_ = false;
        watch_.end();
        take_lease();
    });
}

// --- what this node says

void Coordination::propose(const Propose &proposal) {
    etcd_->txn({{key("record"), proposal.revision}}, {{key("record"), encode(proposal.record)}},
               [this](Result<Etcd::Txn> done) {
                   // A lost race needs no answer: the watch brings the other record.
                   if (!done) {
                       trouble(done.error());
                       again();
                   }
               });
}

void Coordination::put(const std::string &name, const std::string &value, Etcd::Lease lease) {
    etcd_->put({name, value, lease}, [this, name, value](Result<Etcd::Txn> done) {
        if (done)
            return heard();
        unsent_.emplace(name, value); // a newer value that was sent meanwhile stays
        trouble(done.error());
        if (!again_timer_)
            again();
    });
}

void Coordination::publish(const Report &report) { put(own_key("report"), encode(report)); }

void Coordination::publish_done(Incarnation incarnation) {
    put(own_key("done"), encode_done(settings_.self.host, incarnation));
}

void Coordination::publish(const Catalogue &catalogue) {
    unsent_.erase(own_key("catalogue"));
    put(own_key("catalogue"), encode(catalogue));
}

void Coordination::publish_guest(const std::string &uuid, const GuestRecord &guest) {
    put(key("guests/" + uuid), encode(guest));
}

} // namespace ckpt
