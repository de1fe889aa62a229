// SPDX-License-Identifier: GPL-2.0-only
#include "libckpt/node/node_checkpointer.hh"

#include <poll.h>
#include <sys/epoll.h>
#include <sys/timerfd.h>

#include <algorithm>
#include <deque>
#include <thread>

#include "libckpt/base/assert.hh"
#include "libckpt/base/fd.hh"
#include "libckpt/base/urgent.hh"
#include "libckpt/node/guest_tracker.hh"
#include "libckpt/node/guest_worker.hh"
#include "libckpt/node/node_sequence.hh"

namespace ckpt {

namespace {

std::uint64_t ns(Duration duration) {
    return static_cast<std::uint64_t>(duration.count());
}

// Of the arena, what pauses may set aside; the rest keeps early writes going.
unsigned pause_batches(const PageArena &arena) {
    return arena.nr_slots() * 3 / 4;
}

Status check_options(const NodeOptions &options) {
    const EarlyWriteOptions &early = options.early;
    if (early.max_pages < early.target_pages)
        return fail(EINVAL, "early write-out: max_pages {} is below target_pages {}",
                    early.max_pages, early.target_pages);
    if (early.idle_rounds < 1 || early.idle_rounds > 1000)
        return fail(EINVAL, "early write-out: idle_rounds {} is not in 1..1000", early.idle_rounds);
    if (!(early.write_budget >= 1.0))
        return fail(EINVAL, "early write-out: write_budget {} is below 1", early.write_budget);
    if (early.round_min <= Duration::zero() || early.round_max < early.round_min)
        return fail(EINVAL, "early write-out: round_min must be above 0, round_max not below it");
    if (options.suspend_timeout <= Duration::zero() || options.pause_timeout <= Duration::zero())
        return fail(EINVAL, "suspend_timeout and pause_timeout must be above 0");
    if (options.max_attempts < 1)
        return fail(EINVAL, "max_attempts must be at least 1");
    const NodeIndexes &start = options.start;
    if (start.durable > start.captured || start.captured > start.sn)
        return fail(EINVAL, "indexes: durable {} <= captured {} <= sn {} does not hold",
                    start.durable, start.captured, start.sn);
    return {};
}

struct Descriptors {
    std::unique_ptr<ResultQueue> results;
    Fd timer, epoll;

    static Result<Descriptors> create() {
        Descriptors fds;
        fds.results = CKPT_TRY(ResultQueue::create());
        fds.timer = Fd(::timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK));
        fds.epoll = Fd(::epoll_create1(EPOLL_CLOEXEC));
        if (!fds.timer || !fds.epoll)
            return fail(errno, "timerfd, epoll");
        for (int fd : {fds.results->fd(), fds.timer.get()}) {
            epoll_event event{.events = EPOLLIN, .data = {.fd = fd}};
            if (::epoll_ctl(fds.epoll.get(), EPOLL_CTL_ADD, fd, &event) != 0)
                return fail(errno, "epoll");
        }
        return fds;
    }
};

// A protected guest as the control thread sees it.
struct Protected {
    std::unique_ptr<GuestWorker> worker;
    std::optional<Error> lost; // and why
    bool ending = false;       // to be let go; or already asked to
    bool end_asked = false;
    SteadyTime suspended_at{};
};

class NodeLevel : public NodeCheckpointer {
  public:
    NodeLevel(GuestBackend &backend, PageStore &store, PageArena &arena, NodeObserver &observer,
              Logger &logger, NodeOptions options, Descriptors fds)
        : backend_(backend), store_(store), arena_(arena), observer_(observer), logger_(logger),
          options_(std::move(options)), fds_(std::move(fds)),
          sequence_(options_.start, options_.max_attempts, options_.pause_timeout) {}
    ~NodeLevel() override;

    Status protect(const Uuid &uuid) override;
    Status unprotect(const Uuid &uuid) override;
    Result<Sn> request(CheckpointKind kind, Sn target) override;
    int event_fd() const override { return fds_.epoll.get(); }
    void dispatch() override;
    NodeStatus status() const override;
    std::vector<GuestStatus> guests() const override;

  private:
    bool attempt_under_way() const;
    void feed(NodeEvent event);
    void pump();
    void begin_attempt(NodeActions &actions);
    void perform(const NodeAction &action);
    void order(const NodeAction &action);
    void answer_node(const Status &status);
    void answer_node(const Result<Sn> &sn);
    void start_commit();
    Manifest make_manifest() const;
    void set_timer(Duration delay);
    void take_result(WorkResult result);
    void take_answer(WorkResult result);
    void report_failed(const NodeAction &action);
    void let_guests_go();
    Protected *find(const Uuid &uuid);

    GuestBackend &backend_;
    PageStore &store_;
    PageArena &arena_;
    NodeObserver &observer_;
    Logger &logger_;
    const NodeOptions options_;
    Descriptors fds_;

    NodeSequence sequence_;
    std::deque<NodeEvent> events_;
    bool pumping_ = false;
    std::vector<std::unique_ptr<Protected>> guests_;
    std::string failure_;

    // Of the attempt under way; a participant stays in guests_ until it ends.
    std::vector<Protected *> participants_;
    std::vector<std::unique_ptr<GuestWriter>> parts_;
    std::vector<DiskEntry> other_disks_; // that have no part: read-only, left out
    SteadyTime cut_at_{};
    Duration channel_time_{}; // T_c: what the guests wait for the observer's cut and captured
    std::uint64_t cut_wall_ns_ = 0;
    Manifest committed_;
    std::thread commit_thread_;
};

NodeLevel::~NodeLevel() {
    feed({.type = NodeEvent::Type::stop});
    while (attempt_under_way()) {
        pollfd ready{event_fd(), POLLIN, 0};
        ::poll(&ready, 1, -1);
        dispatch();
    }
    guests_.clear(); // each worker resumes and lets go
}

Protected *NodeLevel::find(const Uuid &uuid) {
    auto it = std::find_if(guests_.begin(), guests_.end(),
                           [&](auto &guest) { return guest->worker->uuid() == uuid; });
    return it == guests_.end() ? nullptr : it->get();
}

Status NodeLevel::protect(const Uuid &uuid) {
    if (Protected *guest = find(uuid))
        return fail(EEXIST, "guest {}{}", guest->worker->status().name,
                    guest->ending || guest->lost ? " is still being let go"
                                                 : " is protected already");
    if (pause_batches(arena_) < guests_.size() + 1)
        return fail(ENOBUFS, "guest {}: a page arena of {} batches is too small for {} guests",
                    uuid.to_string(), arena_.nr_slots(), guests_.size() + 1);
    auto tracker = std::make_unique<GuestTracker>(CKPT_TRY(backend_.open(uuid)), store_, arena_,
                                                  logger_, options_);
    CKPT_CHECK(tracker->start());
    auto guest = std::make_unique<Protected>();
    guest->worker =
        std::make_unique<GuestWorker>(std::move(tracker), *fds_.results, options_.suspend_timeout);
    guests_.push_back(std::move(guest));
    return {};
}

Status NodeLevel::unprotect(const Uuid &uuid) {
    Protected *guest = find(uuid);
    if (!guest || guest->ending)
        return fail(ENOENT, "guest {} is not protected", uuid.to_string());
    guest->ending = true;
    pump();
    return {};
}

Result<Sn> NodeLevel::request(CheckpointKind kind, Sn target) {
    if (target != 0 && target <= sequence_.indexes().captured)
        return fail(EALREADY, "index {} is captured", target);
    if (std::none_of(guests_.begin(), guests_.end(),
                     [](auto &guest) { return !guest->ending && !guest->lost; }) &&
        !observer_.records_end())
        return fail(ENOENT, "no guest is protected");
    Sn sn = sequence_.request(kind, target);
    pump();
    return sn;
}

bool NodeLevel::attempt_under_way() const {
    return sequence_.step() != NodeStep::idle && sequence_.step() != NodeStep::waiting;
}

void NodeLevel::feed(NodeEvent event) {
    events_.push_back(std::move(event));
    pump();
}

// Brings the sequence forward until it waits for somebody. What is called in
// here may add events and requests, which are seen to before it returns.
void NodeLevel::pump() {
    if (std::exchange(pumping_, true))
        return;
    for (;;) {
        NodeActions actions;
        if (!events_.empty()) {
            NodeEvent event = std::move(events_.front());
            events_.pop_front();
            sequence_.handle(event, actions);
        } else if (sequence_.wants_attempt()) {
            begin_attempt(actions);
        } else {
            break;
        }
        for (const NodeAction &action : actions)
            perform(action);
        let_guests_go();
    }
    let_guests_go();
    pumping_ = false;
}

void NodeLevel::begin_attempt(NodeActions &actions) {
    participants_.clear();
    other_disks_.clear();
    for (auto &guest : guests_)
        if (!guest->ending && !guest->lost)
            participants_.push_back(guest.get());
    sequence_.begin(static_cast<unsigned>(participants_.size()),
                    participants_.empty() && observer_.records_end(), actions);
}

void NodeLevel::perform(const NodeAction &action) {
    switch (action.type) {
    case NodeAction::Type::order:
        return order(action);
    case NodeAction::Type::cancel:
        return participants_[action.guest]->worker->cancel();
    case NodeAction::Type::open_intake:
        set_urgent(false);
        return observer_.open_intake(sequence_.target());
    case NodeAction::Type::keep:
        for (Protected *guest : participants_)
            guest->worker->settle(Cut{committed_.sn, committed_.cut_wall_ns});
        failure_.clear();
        return observer_.durable(committed_);
    case NodeAction::Type::discard:
        parts_.clear(); // before the workers begin new ones
        for (Protected *guest : participants_)
            guest->worker->settle({});
        return;
    case NodeAction::Type::start_timer:
        return set_timer(std::max<Duration>(action.delay, Duration(1)));
    case NodeAction::Type::stop_timer:
        return set_timer(Duration::zero());
    case NodeAction::Type::report_failed:
        return report_failed(action);
    }
}

void NodeLevel::order(const NodeAction &action) {
    if (action.guest != NodeEvent::kNode) {
        auto share = pause_batches(arena_) / static_cast<unsigned>(participants_.size());
        return participants_[action.guest]->worker->give(action.order, std::max(share, 1u));
    }
    switch (action.order) {
    case NodeOrder::close_intake: {
        Status closed = observer_.close_intake(sequence_.target());
        set_urgent(closed.has_value()); // until it opens again
        return answer_node(closed);
    }
    case NodeOrder::cut:
        cut_at_ = steady_now();
        cut_wall_ns_ = wall_clock_ns();
        answer_node(observer_.cut(sequence_.target()));
        channel_time_ = steady_now() - cut_at_;
        return;
    case NodeOrder::captured: {
        const SteadyTime start = steady_now();
        answer_node(observer_.captured(sequence_.target(), sequence_.prev()));
        channel_time_ += steady_now() - start;
        return;
    }
    case NodeOrder::commit:
        return start_commit();
    default:
        CKPT_ASSERT(!"not the node's order");
    }
}

void NodeLevel::answer_node(const Status &status) {
    events_.push_back({.type = status ? NodeEvent::Type::done : NodeEvent::Type::failed,
                       .error = status ? Error{} : status.error()});
}

void NodeLevel::answer_node(const Result<Sn> &sn) {
    if (!sn)
        return answer_node(Status(tl::unexpected(sn.error())));
    events_.push_back({.type = NodeEvent::Type::done, .error = {}, .sn = *sn});
}

Manifest NodeLevel::make_manifest() const {
    Manifest manifest;
    manifest.node = options_.node;
    manifest.sn = sequence_.target();
    manifest.prev = sequence_.prev();
    manifest.incarnation = options_.incarnation;
    manifest.kind = sequence_.kind();
    manifest.cut_wall_ns = cut_wall_ns_;
    manifest.groups = observer_.groups();
    manifest.times.channel = ns(channel_time_);
    auto [first, last] = std::minmax_element(
        participants_.begin(), participants_.end(),
        [](Protected *a, Protected *b) { return a->suspended_at < b->suspended_at; });
    manifest.disks = other_disks_;
    if (first != participants_.end())
        manifest.suspend_skew = ns((*last)->suspended_at - (*first)->suspended_at);
    return manifest;
}

void NodeLevel::start_commit() {
    CKPT_ASSERT(parts_.size() >= participants_.size());
    commit_thread_ = std::thread([this, parts = std::exchange(parts_, {}),
                                  manifest = make_manifest(), cut_at = cut_at_]() mutable {
        WorkResult result{.type = WorkResult::Type::committed, .manifest = manifest};
        Status status = store_.commit(manifest, parts);
        parts.clear();
        if (!status)
            result.error = status.error();
        else if (auto stored = store_.manifest(manifest.sn))
            result.manifest = std::move(*stored); // with the guests' entries
        result.manifest.durable_ns = ns(steady_now() - cut_at);
        fds_.results->push(std::move(result));
    });
}

void NodeLevel::set_timer(Duration delay) {
    itimerspec time{};
    time.it_value.tv_sec = delay.count() / 1'000'000'000;
    time.it_value.tv_nsec = delay.count() % 1'000'000'000;
    CKPT_ASSERT(::timerfd_settime(fds_.timer.get(), 0, &time, nullptr) == 0);
}

void NodeLevel::dispatch() {
    std::uint64_t expirations;
    if (::read(fds_.timer.get(), &expirations, sizeof expirations) == sizeof expirations)
        feed({.type = NodeEvent::Type::timer});
    for (WorkResult &result : fds_.results->take_all())
        take_result(std::move(result));
    pump();
}

void NodeLevel::take_result(WorkResult result) {
    switch (result.type) {
    case WorkResult::Type::answered:
        return take_answer(std::move(result));
    case WorkResult::Type::primed:
        return observer_.guest_primed(result.guest);
    case WorkResult::Type::lost:
        find(result.guest)->lost = result.error;
        return pump();
    case WorkResult::Type::ended: {
        auto it = std::find_if(guests_.begin(), guests_.end(),
                               [&](auto &guest) { return guest->worker->uuid() == result.guest; });
        std::unique_ptr<Protected> guest = std::move(*it);
        guests_.erase(it);
        if (guest->lost)
            observer_.guest_lost(result.guest, *guest->lost);
        return;
    }
    case WorkResult::Type::committed:
        commit_thread_.join();
        committed_ = std::move(result.manifest);
        return feed({.type = result.error ? NodeEvent::Type::failed : NodeEvent::Type::done,
                     .error = result.error.value_or(Error{})});
    }
}

void NodeLevel::take_answer(WorkResult result) {
    Protected *guest = find(result.guest);
    auto at = std::find(participants_.begin(), participants_.end(), guest);
    CKPT_ASSERT(guest && at != participants_.end());
    auto index = static_cast<unsigned>(at - participants_.begin());
    if (sequence_.outstanding(index) == NodeOrder::suspend)
        guest->suspended_at = result.suspended_at;
    for (auto &part : result.parts)
        parts_.push_back(std::move(part));
    for (DiskEntry &disk : result.disks)
        other_disks_.push_back(std::move(disk));
    if (result.answer == NodeEvent::Type::gone)
        guest->lost = result.error;
    if (result.verified) {
        result.verified->sn = sequence_.target();
        observer_.verified(*result.verified);
    }
    feed({.type = result.answer, .guest = index, .error = result.error.value_or(Error{})});
}

void NodeLevel::report_failed(const NodeAction &action) {
    failure_ = action.error.message();
    logger_.warning("checkpoint {} failed, {}: {}", sequence_.target(),
                    action.will_retry ? "is tried again" : "given up", failure_);
    observer_.failed(sequence_.target(), action.error, action.will_retry);
}

// Between attempts: guests that are lost or no longer wanted.
void NodeLevel::let_guests_go() {
    if (attempt_under_way())
        return;
    for (auto &guest : guests_)
        if ((guest->lost || guest->ending) && !std::exchange(guest->end_asked, true))
            guest->worker->end();
}

NodeStatus NodeLevel::status() const {
    NodeStatus status;
    status.indexes = sequence_.indexes();
    status.step = sequence_.step();
    if (status.step != NodeStep::idle) {
        status.target = sequence_.target();
        status.attempt = sequence_.attempt();
    }
    status.failure = failure_;
    return status;
}

std::vector<GuestStatus> NodeLevel::guests() const {
    std::vector<GuestStatus> result;
    for (auto &guest : guests_)
        if (!guest->ending && !guest->lost)
            result.push_back(guest->worker->status());
    return result;
}

} // namespace

Result<std::unique_ptr<NodeCheckpointer>>
NodeCheckpointer::create(GuestBackend &backend, PageStore &store, PageArena &arena,
                         NodeObserver &observer, Logger &logger, NodeOptions options) {
    CKPT_CHECK(check_options(options));
    Descriptors fds = CKPT_TRY(Descriptors::create());
    return std::make_unique<NodeLevel>(backend, store, arena, observer, logger, std::move(options),
                                       std::move(fds));
}

} // namespace ckpt
