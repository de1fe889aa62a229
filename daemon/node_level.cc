// SPDX-License-Identifier: GPL-2.0-only
#include "daemon/node_level.hh"

#include <algorithm>
#include <cstdlib>

#include <sys/epoll.h>

#include "daemon/basic_tick.hh"
#include "daemon/report.hh"
#include "daemon/retention.hh"
#include "daemon/xl.hh"

namespace ckpt {

namespace {

constexpr auto kTellInterval = std::chrono::milliseconds(200);
constexpr auto kPauseCheckInterval = std::chrono::seconds(1);
// How much longer than its own time limits a pause may seem to last before the
// program gives itself up.
constexpr auto kPauseGrace = std::chrono::seconds(30);

bool guests_may_be_suspended(NodeStep step) {
    return step == NodeStep::suspending || step == NodeStep::capturing ||
           step == NodeStep::resuming || step == NodeStep::aborting;
}

NodeOptions node_options(const Config &config, NodeIndexes start, std::uint32_t incarnation,
                         ResumeGuard *guard, const DiskSettings &disks) {
    NodeOptions options;
    options.disks = disks;
    options.guard = guard;
    options.node = config.node;
    options.incarnation = incarnation;
    options.start = start;
    options.suspend_timeout = std::chrono::milliseconds(config.suspend_timeout_ms);
    options.pause_timeout = std::chrono::milliseconds(config.pause_timeout_ms);
    options.max_attempts = static_cast<unsigned>(config.max_attempts);
    options.early = config.early;
    options.verify = config.verify;
    return options;
}

} // namespace

Result<std::unique_ptr<NodeLevel>> NodeLevel::create(const Parts &parts) {
    std::unique_ptr<NodeLevel> level(new NodeLevel(parts));
    CKPT_CHECK(level->start());
    return level;
}

NodeLevel::~NodeLevel() {
    sources_.clear();
    tick_ = EventLoop::Source();
    stop();
    if (collector_.joinable())
        collector_.join();
}

Status NodeLevel::start() {
    CKPT_CHECK(recover());
    CKPT_CHECK(start_timers());
    if (parts_.steps)
        return {}; // which knows the indexes, and when to begin
    auto manifests = CKPT_TRY(parts_.store.list());
    Sn durable = manifests.empty() ? 0 : manifests.back().sn;
    // An index that an earlier run may have captured and lost counts as
    // captured: the next manifest names it as its `prev` (Rule R9).
    Sn used = std::max(durable, parts_.state.used_sn());
    if (used > durable)
        parts_.logger.warning("checkpoint {} was not durable when an earlier run ended; "
                              "going on above it",
                              used);
    return run({.sn = used, .captured = used, .durable = durable}, 0);
}

Status NodeLevel::run(NodeIndexes indexes, std::uint32_t incarnation, bool at_rest) {
    stop();
    at_rest_ = at_rest;
    node_ = CKPT_TRY(
        NodeCheckpointer::create(parts_.backend, parts_.store, parts_.arena, *this, parts_.logger,
                                 node_options(parts_.config, indexes, incarnation, parts_.guard,
                                              parts_.disks)));
    node_source_ = CKPT_TRY(parts_.loop.add_fd(node_->event_fd(), EPOLLIN,
                                               [this](std::uint32_t) { node_->dispatch(); }));
    look_for_guests();
    return {};
}

void NodeLevel::stop() {
    node_source_ = EventLoop::Source();
    node_.reset(); // resumes every guest
}

void NodeLevel::want(CheckpointKind kind, Sn target) {
    if (!node_)
        return;
    auto requested = node_->request(kind, target);
    // Captured meanwhile; or there is no guest, which is no news.
    if (!requested && !requested.error().is(EALREADY) && !requested.error().is(ENOENT))
        parts_.logger.error("checkpoint {}: {}", target, requested.error().message());
}

bool NodeLevel::idle() const {
    return !node_ || node_->status().step == NodeStep::idle ||
           node_->status().step == NodeStep::waiting;
}

std::vector<std::string> NodeLevel::protected_names() const {
    std::vector<std::string> names;
    if (node_)
        for (const GuestStatus &guest : node_->guests())
            names.push_back(guest.name);
    return names;
}

void NodeLevel::pause_guests(bool pause) {
    for (const std::string &name : protected_names())
        if (parts_.config.backend == "xen")
            if (auto done = run_xl({pause ? "pause" : "unpause", name}); !done)
                parts_.logger.error("guest {}: {}", name, done.error().message());
}

Status NodeLevel::recover() {
    unsigned resumed = CKPT_TRY(parts_.backend.recover(parts_.state.guests()));
    if (resumed)
        parts_.logger.warning("resumed {} guest(s) that an earlier run had left suspended", resumed);
    return {};
}

Status NodeLevel::start_timers() {
    EventLoop &loop = parts_.loop;
    sources_.push_back(CKPT_TRY(loop.add_timer(std::chrono::milliseconds(parts_.config.poll_ms),
                                               [this] { look_for_guests(); })));
    sources_.push_back(CKPT_TRY(loop.add_timer(kTellInterval, [this] { tell_waiters(); })));
    sources_.push_back(CKPT_TRY(loop.add_timer(kPauseCheckInterval, [this] { check_pause(); })));
    return parts_.config.period_ms ? wait_for_tick() : Status();
}

Status NodeLevel::wait_for_tick() {
    const auto wait = until_basic_tick(
        std::chrono::milliseconds(parts_.config.period_ms),
        static_cast<unsigned>(parts_.config.cluster.node_id), Duration(wall_clock_ns()));
    tick_ = CKPT_TRY(parts_.loop.add_timer(wait, [this] {
        if (auto next = wait_for_tick(); !next)
            parts_.logger.error("no further basic checkpoints: {}", next.error().message());
        basic();
    }));
    return {};
}

// --- which guests

bool NodeLevel::wanted(const GuestInfo &guest) const {
    const auto &names = parts_.config.protect;
    return parts_.config.protect_all || std::ranges::find(names, guest.name) != names.end() ||
           std::ranges::find(names, guest.uuid.to_string()) != names.end();
}

void NodeLevel::look_for_guests() {
    if (!node_)
        return;
    auto found = parts_.backend.list();
    if (!found) {
        parts_.logger.error("listing the guests: {}", found.error().message());
        return;
    }
    std::map<Uuid, std::uint32_t> handled;
    for (const GuestStatus &guest : node_->guests())
        handled[guest.uuid] = guest.domid;
    for (const GuestInfo &guest : *found) {
        if (guest.state == RunState::dying)
            continue; // what is left of one may be beside its successor, with the same uuid
        auto known = handled.find(guest.uuid);
        if (known == handled.end()) {
            if (wanted(guest))
                protect(guest);
        } else if (known->second != guest.domid || known_[guest.uuid].disks != guest.disks) {
            // Started or restored anew before its end was noticed; or its disks
            // are others now, and it begins again with them.
            if (auto done = node_->unprotect(guest.uuid); !done)
                parts_.logger.debug("guest {}: {}", guest.name, done.error().message());
        }
    }
    std::erase_if(known_, [&](const auto &entry) {
        return std::ranges::find(*found, entry.first, &GuestInfo::uuid) == found->end();
    });
}

void NodeLevel::protect(const GuestInfo &guest) {
    if (!guest.refusal.empty()) {
        remember_refusal(guest, guest.refusal);
        return;
    }
    if (guest.state == RunState::suspended) {
        // By an earlier run of ours, or by somebody else, whom this leaves alone.
        auto resumed = parts_.backend.recover(std::span(&guest.uuid, 1));
        if (resumed && *resumed)
            parts_.logger.warning("guest {}: resumed, an earlier run had asked it to suspend",
                                  guest.name);
    }
    const bool at_rest = at_rest_ && guest.state == RunState::paused;
    if (guest.state != RunState::running && !at_rest) {
        remember_refusal(guest, fmt::format("it is {}", to_string(guest.state)));
        return;
    }
    if (parts_.steps)
        if (auto admitted = parts_.steps->admit(guest); !admitted) {
            remember_refusal(guest, admitted.error().context);
            return;
        }
    // On record before it can be suspended for the first time.
    std::vector<Uuid> on_record{guest.uuid};
    for (const GuestStatus &other : node_->guests())
        on_record.push_back(other.uuid);
    std::ranges::sort(on_record);
    if (on_record != parts_.state.guests())
        if (auto saved = parts_.state.set_guests(on_record); !saved) {
            remember_refusal(guest, saved.error().message());
            return;
        }
    if (auto done = node_->protect(guest.uuid); !done) {
        remember_refusal(guest, done.error().message());
        return;
    }
    remember_refusal(guest, "");
    known_[guest.uuid].disks = guest.disks;
    parts_.logger.info("guest {} (domain {}, {}): protected, first capture begins", guest.name,
                       guest.domid, to_string(guest.kind));
}

void NodeLevel::remember_refusal(const GuestInfo &guest, const std::string &refusal) {
    std::string &known = known_[guest.uuid].refusal;
    if (!refusal.empty() && known != refusal)
        parts_.logger.warning("guest {} is not protected: {}", guest.name, refusal);
    known = refusal;
}

Result<std::vector<control::Guest>> NodeLevel::guests() {
    auto found = CKPT_TRY(parts_.backend.list());
    auto handled = node_ ? node_->guests() : std::vector<GuestStatus>();
    std::vector<control::Guest> out;
    for (const GuestInfo &guest : found) {
        control::Guest one = report(guest);
        if (auto known = known_.find(guest.uuid); known != known_.end()) {
            one.last_sn = known->second.last.last_sn;
            one.last_wall_ns = known->second.last.last_wall_ns;
            one.last_stopped_ns = known->second.last.last_stopped_ns;
            if (!known->second.refusal.empty())
                one.refusal = known->second.refusal;
        }
        auto status = std::ranges::find_if(handled, [&](const GuestStatus &other) {
            return other.uuid == guest.uuid && other.domid == guest.domid;
        });
        if (status != handled.end()) {
            one.is_protected = true;
            one.refusal.clear();
            one.tracking = to_string(status->tracking);
            one.primed = status->primed;
            one.todo_pages = status->todo_pages;
            one.cached_pages = status->cached_pages;
            one.rounds = status->nr_rounds;
            one.dirty_pages = status->nr_dirty;
            one.early_pages = status->nr_early;
            one.early_ns = status->early_ns;
        }
        out.push_back(std::move(one));
    }
    return out;
}

// --- when

Result<Sn> NodeLevel::checkpoint(std::shared_ptr<Call> waiter) {
    if (!node_)
        return fail(EBUSY, "a recovery is under way, or this node has not joined its cluster yet");
    Sn wanted = parts_.steps ? CKPT_TRY(parts_.steps->ask(CheckpointKind::manual)) : 0;
    Sn sn = CKPT_TRY(node_->request(CheckpointKind::manual, wanted));
    if (waiter)
        waiters_.push_back({sn, std::move(waiter)});
    return sn;
}

void NodeLevel::basic() {
    if (!node_)
        return;
    if (parts_.steps) {
        auto target = parts_.steps->ask(CheckpointKind::basic);
        if (target && *target)
            want(CheckpointKind::basic, *target);
        else if (target)
            parts_.logger.debug("basic checkpoint skipped: a forced one did this period's work");
        return;
    }
    if (node_->status().step != NodeStep::idle) {
        parts_.logger.info("basic checkpoint left out: the one before is still under way");
        return;
    }
    auto requested = node_->request(CheckpointKind::basic);
    if (!requested && !requested.error().is(ENOENT)) // no guest is no news
        parts_.logger.error("basic checkpoint: {}", requested.error().message());
}

// --- who waits

void NodeLevel::tell_waiters() {
    if (waiters_.empty() || !node_)
        return;
    std::uint64_t written = 0, left = 0;
    for (const GuestStatus &guest : node_->guests()) {
        written += guest.nr_early;
        left += guest.todo_pages;
    }
    NodeStatus status = node_->status();
    bool early = status.step == NodeStep::preparing && left > 0;
    for (auto &waiter : waiters_)
        waiter.call->progress(to_string(status.step), early ? written : 0,
                              early ? written + left : 0);
}

// A pause that outlasts every limit means that a worker hangs, maybe in the
// kernel: ended here, started again by the service manager, and then recover()
// resumes the guests (Rule R7).
void NodeLevel::check_pause() {
    if (!node_ || !guests_may_be_suspended(node_->status().step)) {
        pause_began_ = {};
        return;
    }
    if (pause_began_ == SteadyTime{})
        pause_began_ = steady_now();
    auto limit = std::chrono::milliseconds(parts_.config.suspend_timeout_ms +
                                           parts_.config.pause_timeout_ms) +
                 kPauseGrace;
    if (steady_now() - pause_began_ < limit)
        return;
    parts_.logger.error("guests are suspended beyond every limit: ending, to resume them at the "
                        "next start");
    std::abort();
}

// --- what happens (NodeObserver)

Status NodeLevel::close_intake(Sn sn) {
    // Here and not in cut(): no guest waits yet while this goes to the disk.
    if (sn > parts_.state.used_sn())
        CKPT_CHECK(parts_.state.use_sn(sn));
    return parts_.steps ? parts_.steps->close_intake(sn) : Status();
}

Result<Sn> NodeLevel::cut(Sn sn) { return parts_.steps ? parts_.steps->cut(sn) : sn; }

Result<Sn> NodeLevel::captured(Sn sn, Sn prev) {
    return parts_.steps ? parts_.steps->captured(sn) : prev;
}

std::vector<std::uint32_t> NodeLevel::groups() const {
    return parts_.steps ? parts_.steps->groups() : std::vector<std::uint32_t>();
}

// Not while one is there that is not protected for some other reason.
bool NodeLevel::records_end() const {
    if (!parts_.steps || !parts_.steps->records_end())
        return false;
    auto found = parts_.backend.list();
    return found && std::ranges::none_of(*found, [&](const GuestInfo &guest) {
        return guest.state != RunState::dying && wanted(guest);
    });
}

void NodeLevel::open_intake(Sn) {
    if (parts_.steps)
        parts_.steps->open_intake();
}

void NodeLevel::durable(const Manifest &manifest) {
    taken_++;
    last_error_.clear();
    for (const GuestEntry &entry : manifest.guests) {
        control::Guest &last = known_[entry.uuid].last;
        last.last_sn = manifest.sn;
        last.last_wall_ns = manifest.cut_wall_ns;
        last.last_stopped_ns = entry.times.stopped;
    }
    parts_.logger.info("checkpoint {} ({}) of {} guest(s): stopped {:.1f} ms, durable after {:.0f} ms",
                       manifest.sn, to_string(manifest.kind), manifest.guests.size(),
                       static_cast<double>(manifest.times.stopped) / 1e6,
                       static_cast<double>(manifest.durable_ns) / 1e6);
    std::erase_if(waiters_, [&](Waiter &waiter) {
        if (waiter.sn > manifest.sn)
            return false;
        waiter.call->answer(control::Json(report(manifest)));
        return true;
    });
    if (parts_.steps) {
        parts_.steps->durable(manifest);
        parts_.steps->ended();
    }
    collect_garbage();
}

void NodeLevel::failed(Sn sn, const Error &error, bool will_retry) {
    last_error_ = fmt::format("checkpoint {}: {}", sn, error.message());
    parts_.logger.error("{}{}", last_error_, will_retry ? "; trying again" : "");
    if (parts_.steps)
        parts_.steps->ended();
    if (will_retry)
        return;
    failed_++;
    std::erase_if(waiters_, [&](Waiter &waiter) {
        if (waiter.sn > sn)
            return false;
        waiter.call->answer(tl::unexpected(Refused(error.code.value(), last_error_)));
        return true;
    });
}

void NodeLevel::guest_primed(const Uuid &uuid) {
    parts_.logger.info("guest {}: first capture complete", uuid.to_string());
}

void NodeLevel::guest_lost(const Uuid &uuid, const Error &error) {
    parts_.logger.warning("guest {} is not protected any more: {}", uuid.to_string(),
                          error.message());
}

void NodeLevel::verified(const VerifyResult &result) {
    std::string places;
    for (const auto &[pfn, role] : result.differing) {
        (role.empty() ? verification_.differing : verification_.written_by_others)++;
        places += fmt::format("{} {:#x} ({})", places.empty() ? ":" : ",", pfn,
                              role.empty() ? "nobody else writes it" : role);
    }
    verification_.compared += result.nr_compared;
    parts_.logger.info("checkpoint {}: guest {}: {} pages compared, {} differ{}", result.sn,
                       result.guest.to_string(), result.nr_compared, result.differing.size(),
                       places);
}

// --- how many

NodeLevel::Pin NodeLevel::pin(Sn sn) {
    pins_.insert(sn);
    // Let go on whatever thread: what is kept changes on this one.
    return Pin(nullptr, [this, sn](void *) {
        parts_.loop.post([this, sn] { pins_.erase(pins_.find(sn)); });
    });
}

std::function<Result<GcReport>(bool)> NodeLevel::collection() const {
    Sn pinned = pins_.empty() ? kNoSn : *pins_.begin();
    if (parts_.steps) // Rule R13
        pinned = std::min(pinned, parts_.steps->keep_from());
    return [&store = parts_.store, keep = parts_.config.keep, pinned](bool dry_run) {
        return ckpt::collect_garbage(store, keep, pinned, dry_run);
    };
}

void NodeLevel::collect_garbage() {
    if (parts_.config.keep == 0 || collecting_)
        return;
    if (collector_.joinable())
        collector_.join();
    collecting_ = true;
    collector_ = std::thread([this, collect = collection()] {
        auto done = collect(false);
        parts_.loop.post([this, done = std::move(done)] {
            collecting_ = false;
            if (!done)
                parts_.logger.error("garbage collection: {}", done.error().message());
            else if (!done->dropped.empty())
                parts_.logger.info("dropped checkpoint(s) {}: {} bytes freed",
                                   fmt::join(done->dropped, " "), done->bytes_freed);
        });
    });
}

void NodeLevel::fill(control::StatusReply &status) const {
    if (node_) {
        NodeStatus now = node_->status();
        status.sn = now.indexes.sn;
        status.activity = to_string(now.step);
    } else {
        status.activity = "recovering or joining";
    }
    status.taken = taken_;
    status.failed = failed_;
    status.last_error = last_error_;
    status.verification = verification_;
}

} // namespace ckpt
