// SPDX-License-Identifier: GPL-2.0-only
#include "daemon/system/system_level.hh"

#include <unistd.h>

#include <algorithm>
#include <fstream>

#include <tlckpt/stamp.h>

#include "daemon/node_level.hh"

namespace ckpt {

namespace {

constexpr auto kCoreInterval = std::chrono::seconds(1);

std::string first_line(const std::string &path) {
    std::ifstream file(path);
    std::string line;
    std::getline(file, line);
    return line;
}

// A setting that names a file of etcd's; libcurl's own words would not say which.
Status check_readable(const char *setting, const std::string &path) {
    if (!path.empty() && ::access(path.c_str(), R_OK) != 0)
        return fail(errno, "etcd.{} {}", setting, path);
    return {};
}

std::string boot_file(const Config &config) { return config.state_directory + "/boot"; }

// The same for all daemons of one run of this host, another one after it
// rebooted or stood down (recovery_types.hh, Host).
u64 boot_of(const Config &config) {
    std::string kernel = first_line("/proc/sys/kernel/random/boot_id");
    std::ifstream known(boot_file(config));
    std::string id;
    u64 boot = 0;
    if (known >> id >> boot && id == kernel && boot)
        return boot;
    boot = wall_clock_ns() / 1'000'000;
    std::ofstream(boot_file(config)) << kernel << " " << boot << "\n";
    return boot;
}

// What nodes with the same key have in common, and nobody else can know.
std::string key_check(const std::string &digits, u64 cluster) {
    u64 words[2] = {std::stoull(digits.substr(0, 16), nullptr, 16),
                    std::stoull(digits.substr(16), nullptr, 16)};
    std::string text = fmt::format("tlckpt cluster {}", cluster);
    return fmt::format("{:016x}", tlckpt_siphash24(words, text.data(), text.size()));
}

} // namespace

SystemLevel::SystemLevel(const Parts &parts) : parts_(parts), background_(parts.loop) {}
SystemLevel::~SystemLevel() = default;

Result<std::unique_ptr<SystemLevel>> SystemLevel::create(const Parts &parts) {
    std::unique_ptr<SystemLevel> level(new SystemLevel(parts));
    CKPT_CHECK(level->open_core());
    const ClusterConfig &cluster = parts.config.cluster;
    Coordination::Settings settings;
    settings.etcd.endpoints = cluster.etcd;
    settings.etcd.ca_file = cluster.etcd_ca;
    settings.etcd.cert_file = cluster.etcd_cert;
    settings.etcd.key_file = cluster.etcd_key;
    settings.etcd.user = cluster.etcd_user;
    CKPT_CHECK(check_readable("ca_file", cluster.etcd_ca));
    CKPT_CHECK(check_readable("cert_file", cluster.etcd_cert));
    CKPT_CHECK(check_readable("key_file", cluster.etcd_key));
    CKPT_CHECK(check_readable("password_file", cluster.etcd_password_file));
    if (!cluster.etcd_password_file.empty())
        settings.etcd.password = first_line(cluster.etcd_password_file);
    settings.prefix = fmt::format("/tlckpt/{}/", cluster.id);
    settings.self = level->self_;
    settings.key_check = key_check(CKPT_TRY(read_key(cluster.key_file)), cluster.id);
    settings.lease = std::chrono::seconds(cluster.lease_s);
    level->coordination_ = CKPT_TRY(
        Coordination::create(parts.loop, parts.logger, *level, std::move(settings)));
    return level;
}

Status SystemLevel::open_core() {
    const Config &config = parts_.config;
    auto want = [this](Sn target, u8 reason, NodeId peer, Sn sn) {
        wanted(target, reason, peer, sn);
    };
    if (config.backend == "process")
        port_ = CKPT_TRY(open_process_port(parts_.loop, config, want));
    else
        port_ = CKPT_TRY(
            open_kernel_port(parts_.loop, config, [this] { look_at_core(); }, want));
    const bool same_boot = std::ifstream(boot_file(config)).good();
    self_.host = {static_cast<NodeId>(config.cluster.node_id), boot_of(config)};
    self_.name = config.node;
    self_.exempt = config.cluster.exempt;
    for (const std::string &link : config.cluster.links)
        for (const char *device : {"", "/brport/bridge"})
            if (auto address = first_line("/sys/class/net/" + link + device + "/address");
                !address.empty())
                self_.exempt.push_back(address);
    auto state = port_->state();
    if (state && state->node != self_.host.node)
        return fail(EBUSY, "cluster.node_id is {}, but the kernel module has this host as node {}",
                    self_.host.node, state->node);
    if (state && !same_boot) {
        CKPT_CHECK(port_->end());
        state = fail(ENOENT, "");
    }
    if (!state) {
        if (!state.error().is(ENOENT))
            return tl::unexpected(state.error());
        CKPT_CHECK(port_->begin(0, 0));
        state = CKPT_TRY(port_->state());
    }
    CKPT_CHECK(port_->own());
    for (const std::string &address : self_.exempt)
        CKPT_CHECK(port_->exempt(address));
    channel_ = std::make_unique<ChannelKeeper>(background_, *port_, parts_.logger,
                                               config.store_directory, config.node);
    fresh_ = state->frozen && !state->incarnation && !state->sn;
    if (!fresh_)
        store_incarnation_ = state->incarnation;
    frozen_ = state->frozen;
    recovery_ = std::make_unique<Recovery>(Recovery::Self{
        self_.host, fresh_ ? std::nullopt : std::optional(state->incarnation), !state->frozen});
    return {};
}

Status SystemLevel::start(NodeLevel &node, PageStore &store) {
    node_ = &node;
    store_ = &store;
    if (!frozen_)
        CKPT_CHECK(run_node());
    sources_.push_back(CKPT_TRY(parts_.loop.add_timer(kCoreInterval, [this] {
        look_at_core();
        channel_->round();
        watch_over_ourselves();
    })));
    coordination_->join();
    return {};
}

void SystemLevel::finish() {
    sources_.clear();
    retry_timer_ = EventLoop::Source();
    coordination_.reset();
    background_.finish();
}

// The node level protects from now on, in the core's incarnation and indexes.
Status SystemLevel::run_node() {
    auto state = CKPT_TRY(port_->state());
    frozen_ = false;
    for (const Manifest &manifest : CKPT_TRY(store_->list()))
        if (manifest.damage.empty())
            channel_->durable({manifest.sn, manifest.prev, manifest.incarnation, true});
    return node_->run({state.sn, state.captured, state.durable}, state.incarnation);
}

// --- the core

Result<ProtocolPort::Answer> SystemLevel::step(tlckpt_event_type type, Sn index) {
    tlckpt_event event{};
    event.type = type;
    event.index = index;
    return port_->step(event);
}

void SystemLevel::wanted(Sn target, u8 reason, NodeId peer, Sn sn) {
    if (frozen_)
        return;
    if (reason == TLCKPT_FORCED && peer) {
        auto found = coordination_->nodes().find(peer);
        auto state = port_->state();
        cause_.frame = fmt::format("{}: its sn {} > {}",
                                   found != coordination_->nodes().end()
                                       ? found->second.name
                                       : fmt::format("node {}", peer),
                                   sn, state ? state->sn : 0);
        tell_cause(target);
    }
    node_->want(reason == TLCKPT_MANUAL  ? CheckpointKind::manual
                : reason == TLCKPT_BASIC ? CheckpointKind::basic
                                         : CheckpointKind::forced,
                target);
}

void SystemLevel::tell_cause(Sn target) {
    cause_.target = target;
    cause_.text = fmt::format("checkpoint {} is forced by a frame from {}", target, cause_.frame);
    parts_.logger.info("{}", cause_.text);
}

// What an event told that was lost, and what the node level gave up before the
// cut: the core goes on wanting it (R7).
void SystemLevel::look_at_core() {
    go_on_taking_over();
    auto state = port_->state();
    if (!state) {
        parts_.logger.error("{}", state.error().message());
        return;
    }
    if (!frozen_ && !state->frozen && state->phase == TLCKPT_REQUESTED &&
        state->target > state->captured && node_->idle())
        node_->want(state->reason == TLCKPT_BASIC    ? CheckpointKind::basic
                    : state->reason == TLCKPT_MANUAL ? CheckpointKind::manual
                                                     : CheckpointKind::forced,
                    state->target);
}

Result<Sn> SystemLevel::ask(CheckpointKind kind) {
    if (frozen_)
        return fail(EBUSY, "a recovery is under way, or this node has not joined its cluster yet");
    CKPT_TRY(step(kind == CheckpointKind::basic ? TLCKPT_EV_TICK : TLCKPT_EV_REQUEST));
    auto state = CKPT_TRY(port_->state());
    return state.target > state.captured ? state.target : 0;
}

Status SystemLevel::close_intake(Sn) {
    if (takeover_)
        return {}; // since the rollback
    auto closed = step(TLCKPT_EV_CLOSE);
    if (!closed)
        return tl::unexpected(closed.error());
    attempt_open_ = true;
    return {};
}

Result<Sn> SystemLevel::cut(Sn) {
    if (!takeover_)
        CKPT_TRY(step(TLCKPT_EV_SUSPENDED));
    return CKPT_TRY(step(TLCKPT_EV_CUT)).sn;
}

Result<Sn> SystemLevel::captured(Sn sn) {
    Sn prev = CKPT_TRY(step(TLCKPT_EV_CAPTURED, sn)).prev;
    attempt_open_ = false;
    // A basic one that was due meanwhile has raised the index (R3): that does the work now.
    if (prev < cause_.target && cause_.target < sn)
        tell_cause(sn);
    return prev;
}

// CAPTURED has opened it already, unless the attempt failed before.
void SystemLevel::open_intake() {
    if (!std::exchange(attempt_open_, false))
        return;
    if (auto done = step(TLCKPT_EV_ABORT); !done)
        parts_.logger.error("abort: {}", done.error().message());
}

void SystemLevel::durable(const Manifest &manifest) {
    if (auto done = step(TLCKPT_EV_DURABLE, manifest.sn); !done)
        parts_.logger.error("durable: {}", done.error().message());
    channel_->durable({manifest.sn, manifest.prev, manifest.incarnation, true});
    channel_->round();
    (manifest.kind == CheckpointKind::forced ? forced_ : basic_)++;
    const StoreView view = store_view();
    for (GroupId group : manifest.groups)
        groups_[group].push_back(catalogue_entry(manifest, group, view));
    publish_catalogue();
}

void SystemLevel::ended() {
    if (takeover_)
        takeover_ended();
    else
        settle_if_quiet();
}

// --- the cluster

std::vector<GroupId> SystemLevel::groups_here() const {
    const Record &record = recovery_->record();
    std::vector<GroupId> groups;
    for (const Place &place : record.decided_places())
        if (place.node == self_.host.node)
            groups.push_back(place.group);
    return groups;
}

// Did it ever have one? A group without must not keep others from a line.
bool SystemLevel::has_guests(GroupId group) const {
    return std::ranges::any_of(coordination_->guests(),
                               [&](const auto &one) { return one.second.group == group; });
}

bool SystemLevel::records_end() const {
    return std::ranges::any_of(groups_here(), [&](GroupId group) {
        auto has = groups_.find(group);
        return has != groups_.end() && !has->second.empty() && !has->second.back().capture.empty;
    });
}

StoreView SystemLevel::store_view() const {
    StoreView view{parts_.config.store_directory, {}, {}, parts_.disks};
    for (const auto &[id, catalogue] : coordination_->catalogues())
        view.parts[catalogue.name] = id;
    for (const auto &[id, node] : coordination_->nodes())
        view.parts[node.name] = id;
    view.parts[self_.name] = self_.host.node;
    for (const auto &[uuid, guest] : coordination_->guests())
        view.groups[uuid] = guest.group;
    return view;
}

// A daemon that starts again among guests that run: what they have so far.
void SystemLevel::recall_groups() {
    if (frozen_ || std::exchange(groups_recalled_, true))
        return;
    background_.run([view = store_view()] { return read_groups(view); },
                    [this](Result<Groups> groups) {
                        if (!groups) {
                            groups_recalled_ = false;
                            return parts_.logger.error("{}", groups.error().message());
                        }
                        for (GroupId group : groups_here()) {
                            auto &entries = (*groups)[group];
                            for (const CatalogueEntry &entry : groups_[group]) // durable meanwhile
                                if (entries.empty() ||
                                    entries.back().capture.index < entry.capture.index)
                                    entries.push_back(entry);
                            groups_[group] = std::move(entries);
                        }
                        publish_catalogue();
                    });
}

void SystemLevel::publish_catalogue() {
    auto state = port_->state();
    if (!state)
        return;
    const Sn oldest = keep_from();
    Catalogue catalogue{self_.name, state->incarnation, state->sn, state->captured, {}};
    for (GroupId group : groups_here()) {
        auto &entries = groups_[group];
        std::erase_if(entries, [&](const CatalogueEntry &e) { return e.capture.index < oldest; });
        catalogue.groups[group] = entries;
    }
    coordination_->publish(catalogue);
}

// Rule R13, over all groups of the cluster.
Sn SystemLevel::keep_from() const {
    const Record &record = recovery_->record();
    if (record.stage != Stage::idle || !record.pending.empty())
        return 0;
    std::vector<GuestGroup> all;
    for (const Place &place : record.places) {
        if (!has_guests(place.group))
            continue;
        auto catalogue = coordination_->catalogues().find(place.node);
        if (catalogue == coordination_->catalogues().end() ||
            !catalogue->second.groups.contains(place.group))
            return 0;
        all.push_back(to_group(place.group, catalogue->second.groups.at(place.group)));
    }
    const Sn line = garbage_line(all);
    if (!line)
        return 0;
    Sn oldest = ~Sn{0};
    for (const GuestGroup &group : all)
        if (std::ranges::count(groups_here(), group.id))
            oldest = std::min(oldest, ckpt::keep_from(group, line));
    return oldest == ~Sn{0} ? 0 : oldest;
}

// A guest stays in the group that it was first protected in. If the cluster has that no
// more, it is one of this node's own, or of those that live here.
Status SystemLevel::admit(const GuestInfo &guest) {
    const std::string uuid = guest.uuid.to_string();
    if (auto known = coordination_->guests().find(uuid); known != coordination_->guests().end())
        for (const Place &place : recovery_->record().decided_places())
            if (place.group == known->second.group)
                return place.node == self_.host.node
                           ? Status()
                           : fail(EXDEV, "its group {} runs on node {} now",
                                  group_name(place.group), place.node);
    const auto here = groups_here();
    if (here.empty())
        return fail(EAGAIN, "the cluster has no group for this node's guests yet");
    const GroupId group = *std::ranges::max_element(here, {}, [&](GroupId one) {
        return std::pair(home_of(one) == self_.host.node, one);
    });
    coordination_->publish_guest(uuid, {group, guest.name});
    return {};
}

void SystemLevel::cluster_changed() {
    refusal_.reset();
    for (const auto &[id, node] : coordination_->nodes())
        for (const std::string &address : node.exempt)
            if (auto done = port_->exempt(address); !done)
                parts_.logger.error("{}", done.error().message());
    recall_groups();
}

void SystemLevel::refused(const Error &error) {
    refusal_ = error;
    parts_.logger.error("not in the cluster: {}", error.message());
}

void SystemLevel::reachable(const std::optional<Error> &error) { unreachable_ = error; }

// --- what people ask

control::Cluster SystemLevel::status() const {
    control::Cluster out;
    const Record &record = recovery_->record();
    out.id = parts_.config.cluster.id;
    out.node_id = self_.host.node;
    out.mode = parts_.config.cluster.mode;
    out.joined = coordination_->joined();
    out.etcd = unreachable_ ? unreachable_->message() : "";
    out.refusal = refusal_ ? refusal_->message() : "";
    out.stuck = stuck_ ? stuck_->message() : "";
    out.recovery = record.stage == Stage::idle     ? "none"
                   : record.stage == Stage::gather ? "gathering"
                                                   : "decided";
    out.automatic = parts_.config.cluster.automatic;
    out.incarnation = record.incarnation;
    if (auto state = port_->state()) {
        out.captured = state->captured;
        out.durable = state->durable;
        out.frozen = state->frozen;
        out.held_frames = state->held_frames;
        out.log_frames = state->log_frames;
        out.log_lost = state->log_lost;
    }
    out.forced = forced_;
    out.basic = basic_;
    out.cause = cause_.text;
    out.recoveries = recoveries_;
    out.replayed = replayed_;
    out.recovery_ns = recovery_ns_;
    for (const auto &[id, catalogue] : coordination_->catalogues()) {
        control::Member member;
        member.id = id;
        member.name = catalogue.name;
        member.sn = catalogue.sn;
        for (const auto &[group, entries] : catalogue.groups)
            if (!entries.empty())
                member.durable = std::max(member.durable, entries.back().capture.index);
        member.alive = coordination_->nodes().contains(id);
        member.leads = !record.live.empty() && recovery_->leads() && id == self_.host.node;
        out.members.push_back(std::move(member));
    }
    return out;
}

Result<control::PlanReply> SystemLevel::plan(const std::vector<std::string> &names) const {
    const Record &record = recovery_->record();
    PlanInput input;
    input.incarnation = record.incarnation + 1;
    input.previous = record.done;
    control::PlanReply reply;
    const auto &catalogues = coordination_->catalogues();
    std::set<NodeId> lost;
    for (const std::string &name : names) {
        auto found = std::ranges::find_if(
            catalogues, [&](const auto &one) { return one.second.name == name; });
        if (found == catalogues.end())
            return fail(ENOENT, "no node {} in this cluster", name);
        lost.insert(found->first);
    }
    for (const Host &host : record.live) {
        if (names.empty() ? !coordination_->nodes().contains(host.node) : lost.contains(host.node)) {
            lost.insert(host.node);
            continue;
        }
        input.live.push_back(host);
        input.reports.push_back({host, input.incarnation, {}});
    }
    for (const Place &place : record.places) {
        if (!has_guests(place.group))
            continue;
        auto catalogue = catalogues.find(place.node);
        std::vector<CatalogueEntry> none;
        const auto &entries = catalogue != catalogues.end() &&
                                      catalogue->second.groups.contains(place.group)
                                  ? catalogue->second.groups.at(place.group)
                                  : none;
        GuestGroup group = to_group(place.group, entries);
        if (lost.contains(place.node)) {
            input.lost.push_back(std::move(group));
            continue;
        }
        group.present = catalogue != catalogues.end() ? catalogue->second.sn : 0;
        for (Report &report : input.reports)
            if (report.host.node == place.node)
                report.groups.push_back(group);
    }
    Plan plan = CKPT_TRY(make_plan(input));
    reply.incarnation = input.incarnation;
    reply.line = plan.decision.k;
    if (plan.limiting)
        reply.limiting = group_name(plan.limiting);
    for (GroupId group : plan.decision.unprotected)
        reply.unprotected.push_back(group_name(group));
    for (NodeId node : lost)
        reply.lost.push_back(node);
    const u64 now = wall_clock_ns();
    for (const Place &place : plan.decision.places) {
        control::PlannedGroup group;
        group.group = group_name(place.group);
        group.node = place.node;
        group.goes_back = place.member.has_value();
        group.checkpoint = place.member.value_or(0);
        for (const auto &[id, catalogue] : catalogues)
            if (auto has = catalogue.groups.find(place.group); has != catalogue.groups.end())
                for (const CatalogueEntry &entry : has->second)
                    if (place.member && entry.capture.index == *place.member) {
                        group.lost_ns = now > entry.cut_wall_ns ? now - entry.cut_wall_ns : 0;
                        group.bytes = entry.bytes;
                        group.frames = entry.frames;
                    }
        for (const auto &[uuid, guest] : coordination_->guests())
            if (guest.group == place.group)
                group.guests.push_back(guest.name);
        reply.groups.push_back(std::move(group));
    }
    return reply;
}

} // namespace ckpt
