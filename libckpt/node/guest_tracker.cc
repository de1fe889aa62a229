// SPDX-License-Identifier: GPL-2.0-only
#include "libckpt/node/guest_tracker.hh"

#include <algorithm>
#include <thread>

#include "libckpt/base/assert.hh"

namespace ckpt {

namespace {

using namespace std::chrono_literals;

constexpr unsigned kSliceBatches = 16;       // 16 MiB of early writes at a time
constexpr unsigned kMaxPrepareRounds = 10;   // then the pause takes what is left
constexpr unsigned kMaxFailures = 5;         // in a row: the guest can't be followed
constexpr std::uint64_t kSuspendPages = 512; // a suspend itself dirties about 350
constexpr Duration kRetry = 2s;
constexpr Duration kResumeLimit = 30s;

std::uint64_t ns(Duration duration) {
    return static_cast<std::uint64_t>(duration.count());
}

bool gone(const Error &error) {
    return error.is(ESHUTDOWN);
}

DirtyCacheLimits cache_limits(const EarlyWriteOptions &early, Pfn limit) {
    if (!early.enabled) // nothing is ever replaced by a round
        return {limit, limit, early.idle_rounds};
    return {early.target_pages, early.max_pages, early.idle_rounds};
}

} // namespace

GuestTracker::GuestTracker(std::unique_ptr<Guest> guest, PageStore &store, PageArena &arena,
                           Logger &logger, const NodeOptions &options)
    : guest_(std::move(guest)), store_(store), arena_(arena), logger_(logger),
      early_(options.early), guard_(options.guard), limit_(guest_->info().pfn_limit), todo_(limit_),
      deferred_(limit_), residual_(limit_), in_part_(limit_),
      cache_(limit_, cache_limits(early_, limit_), make_clock_policy(limit_)), scratch_(limit_),
      pacer_(early_), check_(options.verify ? std::make_unique<ImageCheck>(limit_) : nullptr),
      disks_(guest_->info(), options.disks, store, arena) {}

GuestTracker::~GuestTracker() {
    const Uuid uuid = guest_->info().uuid;
    guest_.reset(); // resumes it
    if (guard_ && marked_)
        guard_->unmark(uuid);
}

Status GuestTracker::start() {
    CKPT_CHECK(disks_.open());
    CKPT_CHECK(guest_->start_dirty_log());
    return plan_full("");
}

// Nothing that was stored can be built upon: the next image is a whole one.
Status GuestTracker::plan_full(const std::string &why) {
    if (!why.empty())
        logger_.warning("guest {}: everything is captured again: {}", guest_->info().name, why);
    part_.reset();
    part_early_ = 0;
    in_part_.clear();
    cache_.clear();
    deferred_.clear();
    todo_.clear();
    if (check_)
        check_->forget_all();
    full_ = true;
    primed_ = false;
    return guest_->all_pages(todo_);
}

Result<Duration> GuestTracker::work() {
    if (gone_)
        return tl::unexpected(*gone_);
    const SteadyTime begin = steady_now();
    Status status;
    if (!todo_.empty() && begin >= retry_) {
        unsigned nr_written = 0;
        status = write_early(kSliceBatches, nr_written);
        early_cost_ += steady_now() - begin;
    } else if (early_.enabled && begin >= next_round_) {
        status = round();
        next_round_ = steady_now() + pacer_.interval();
    }
    const SteadyTime end = steady_now();
    totals_.early_ns += ns(end - begin);
    if (!status && (gone(status.error()) || ++failures_ >= kMaxFailures)) {
        gone_ = status.error();
        return tl::unexpected(*gone_);
    }
    if (!status) {
        logger_.warning("{}", status.error().message());
        retry_ = next_round_ = end + kRetry;
    }
    SteadyTime next = early_.enabled ? next_round_ : end + kRetry;
    if (!todo_.empty())
        next = std::min(next, retry_);
    return std::max<Duration>(next - end, Duration::zero());
}

Status GuestTracker::round() {
    const SteadyTime begin = steady_now();
    scratch_.clear();
    auto found = guest_->collect_dirty(scratch_, false);
    if (!found)
        return lost_track(found.error());
    failures_ = 0;
    if (found->lost)
        return plan_full(found->reason);
    totals_.nr_rounds++;
    totals_.nr_dirty += found->nr_found;
    scratch_.subtract(todo_); // not copied yet
    scratch_.subtract(deferred_);
    cache_.round(scratch_, todo_);
    scratch_ = in_part_;
    scratch_.merge(cache_.pages());
    pacer_.note({.found = found->nr_found,
                 .left = cache_.size(),
                 .written = full_ ? in_part_.count() : part_early_,
                 .distinct = scratch_.count(),
                 .cost = early_cost_ + (steady_now() - begin)});
    early_cost_ = Duration::zero();
    return {};
}

// A round failed: what it had cleared already is not known.
Status GuestTracker::lost_track(const Error &error) {
    if (!gone(error))
        CKPT_CHECK(plan_full(error.message()));
    return tl::unexpected(error);
}

// Writes from the front of todo_. Errors are the guest's; a store that fails
// loses the part, leaves store_error_ and is left alone for a while.
Status GuestTracker::write_early(unsigned most_batches, unsigned &nr_written) {
    std::vector<Pfn> pfns;
    Pfn from = 0;
    for (nr_written = 0; nr_written < most_batches; nr_written++) {
        pfns.clear();
        todo_.first(from, PageBatch::kCapacity, pfns);
        if (pfns.empty())
            break;
        PageBatch batch = arena_.get();
        std::size_t done = CKPT_TRY(guest_->copy_pages(pfns, batch, deferred_));
        for (Pfn pfn : std::span(pfns).first(done))
            todo_.erase(pfn);
        from = pfns.front();
        Status written = write_batch(std::move(batch), true);
        if (!written) {
            logger_.warning("guest {}: early write: {}", guest_->info().name,
                            written.error().message());
            store_error_ = written.error();
            lose_part();
            retry_ = steady_now() + kRetry;
            return {};
        }
    }
    store_error_.reset();
    primed_ |= todo_.empty();
    return {};
}

Status GuestTracker::write_batch(PageBatch batch, bool early) {
    const std::size_t nr_pages = batch.size();
    for (std::size_t i = 0; i < nr_pages; i++)
        in_part_.insert(batch.pfn(i));
    if (nr_pages == 0)
        return {};
    if (early) {
        part_early_ += nr_pages;
        totals_.nr_early += nr_pages;
        if (check_)
            check_->note(batch);
    }
    if (!part_)
        part_ = CKPT_TRY(store_.begin_guest(guest_->info().uuid));
    return part_->write(std::move(batch));
}

Status GuestTracker::flush_todo(const std::atomic<bool> &cancelled, std::uint64_t &nr_flushed) {
    nr_flushed = 0;
    while (!todo_.empty()) {
        if (cancelled)
            return fail(ECANCELED, "guest {}: early writes", guest_->info().name);
        unsigned nr_written = 0;
        CKPT_CHECK(write_early(kSliceBatches, nr_written));
        nr_flushed += std::uint64_t{nr_written} * PageBatch::kCapacity;
        if (store_error_)
            return tl::unexpected(*store_error_);
    }
    primed_ = true;
    return {};
}

Status GuestTracker::prepare(unsigned most_batches, const std::atomic<bool> &cancelled) {
    if (gone_)
        return tl::unexpected(*gone_);
    times_ = {};
    CKPT_CHECK(disks_.prepare());
    room_batches_ = most_batches;
    std::uint64_t room = std::uint64_t{most_batches} * PageBatch::kCapacity;
    // Some of it at first, less after each capture that found no room.
    std::uint64_t aim = (early_.enabled ? room / 2 : room * 3 / 4) >> std::min(pressure_, 16u);
    const std::uint64_t target = early_.enabled ? std::min(aim, early_.target_pages) : aim;
    std::uint64_t nr_flushed = 0;
    unsigned rounds = 0;
    do { // as long as so much was written that the guest had time to dirty much
        CKPT_CHECK(flush_todo(cancelled, nr_flushed));
        if (rounds == 1 && nr_flushed < target && cache_.size() > target)
            std::this_thread::sleep_for(early_.round_min); // a round that tells hot from idle
        CKPT_CHECK(round());
        cache_.shrink_idle(target, todo_);
        if (cache_.size() + deferred_.count() > aim)
            cache_.shrink(aim - std::min(aim, deferred_.count()), todo_);
    } while (++rounds < kMaxPrepareRounds &&
             (!primed_ || nr_flushed > target || (rounds == 1 && cache_.size() > target)));
    CKPT_CHECK(flush_todo(cancelled, nr_flushed));
    // Waits for early writes in flight, so that the pause does not have to.
    std::uint64_t expect = cache_.size() * 5 / 4 + deferred_.count() + kSuspendPages;
    while (reserved_.size() * PageBatch::kCapacity < std::min(expect, room))
        reserved_.push_back(arena_.get());
    residual_pfns_.reserve(expect);
    return {};
}

Status GuestTracker::suspend(Duration timeout) {
    Status status = wait_suspended(steady_now(), timeout);
    if (!status) {
        // It runs, or is gone; or it took the request, and may yet suspend.
        if (!status.error().is(ETIMEDOUT))
            unmark();
        return status;
    }
    status = find_residual();
    if (status)
        status = reserve_room();
    times_.memory = ns(steady_now() - guest_->suspended_at());
    if (!status && !gone(status.error()))
        resume();
    return status;
}

Status GuestTracker::wait_suspended(SteadyTime begin, Duration timeout) {
    if (guard_ && !marked_)
        CKPT_CHECK(guard_->mark(guest_->info().uuid));
    marked_ = true;
    CKPT_CHECK(guest_->request_suspend());
    CKPT_CHECK(guest_->wait_suspended(begin + timeout));
    times_.suspend = ns(guest_->suspended_at() - begin);
    return {};
}

void GuestTracker::unmark() {
    if (guard_ && marked_)
        guard_->unmark(guest_->info().uuid);
    marked_ = false;
}

// The last round; all that no part and no image has.
Status GuestTracker::find_residual() {
    scratch_.clear();
    auto found = guest_->collect_dirty(scratch_, true);
    if (!found)
        return lost_track(found.error());
    if (found->lost) {
        CKPT_CHECK(plan_full(found->reason));
        return fail(EAGAIN, "guest {}: dirty log lost: {}", guest_->info().name, found->reason);
    }
    std::swap(residual_, scratch_);
    residual_.merge(cache_.pages());
    residual_.merge(deferred_);
    residual_.merge(todo_);
    cache_.clear();
    deferred_.clear();
    todo_.clear();
    residual_pfns_.clear();
    residual_.first(0, limit_, residual_pfns_);
    return {};
}

Status GuestTracker::reserve_room() {
    const std::size_t need =
        (residual_pfns_.size() + PageBatch::kCapacity - 1) / PageBatch::kCapacity;
    while (reserved_.size() < need) {
        PageBatch batch = arena_.try_get();
        if (!batch.valid())
            break;
        reserved_.push_back(std::move(batch));
    }
    if (reserved_.size() >= need) {
        pressure_ = 0;
        return {};
    }
    pressure_++;
    return fail(ENOBUFS,
                "guest {}: {} pages were left to the pause and the page arena had room for {}; "
                "more is written early now (a larger arena avoids this)",
                guest_->info().name, residual_pfns_.size(),
                reserved_.size() * PageBatch::kCapacity);
}

Status GuestTracker::capture(const std::atomic<bool> &cancelled,
                             std::optional<VerifyResult> &verified) {
    disks_.begin_snapshots(); // beside the copies
    Status copied = copy_captured(cancelled, verified);
    const Status snapshots = disks_.finish_snapshots(times_.disk);
    return copied ? snapshots : copied;
}

Status GuestTracker::copy_captured(const std::atomic<bool> &cancelled,
                                   std::optional<VerifyResult> &verified) {
    const SteadyTime begin = steady_now();
    std::span<const Pfn> left = residual_pfns_;
    nr_paused_ = left.size();
    while (!left.empty()) {
        if (cancelled)
            return fail(ECANCELED, "guest {}: capture", guest_->info().name);
        CKPT_ASSERT(!reserved_.empty());
        PageBatch batch = std::move(reserved_.back());
        reserved_.pop_back();
        while (!batch.full() && !left.empty())
            left = left.subspan(CKPT_TRY(guest_->copy_pages(left, batch, deferred_)));
        captured_.push_back(std::move(batch));
    }
    if (!deferred_.empty())
        return fail(EIO, "guest {}: {} pages could not be copied although it is suspended",
                    guest_->info().name, deferred_.count());
    const SteadyTime copied = steady_now();
    times_.memory += ns(copied - begin);
    state_ = CKPT_TRY(guest_->read_state());
    times_.registers = ns(steady_now() - copied);
    if (check_) {
        for (const PageBatch &batch : captured_)
            check_->note(batch);
        verified = CKPT_TRY(check_->compare(*guest_));
    }
    return {};
}

void GuestTracker::resume() {
    const SteadyTime begin = steady_now();
    Duration pause = 1ms;
    for (;;) {
        Status status = guest_->resume();
        if (status)
            break;
        if (gone(status.error()) || steady_now() - begin > kResumeLimit) {
            gone_ = status.error();
            logger_.error("guest {}: {}", guest_->info().name, status.error().message());
            return;
        }
        logger_.error("guest {}: can't be resumed yet: {}", guest_->info().name,
                      status.error().message());
        std::this_thread::sleep_for(pause);
        pause = std::min<Duration>(pause * 2, 1s);
    }
    unmark();
    times_.resume = ns(guest_->resumed_at() - begin);
    times_.stopped = ns(guest_->resumed_at() - guest_->suspended_at());
}

Result<GuestParts> GuestTracker::persist() {
    reserved_.clear(); // for others' early writes
    GuestParts parts;
    Status status = write_captured();
    if (status)
        status = disks_.persist(parts);
    if (!status) {
        part_.reset();
        return tl::unexpected(status.error());
    }
    parts.insert(parts.begin(), std::move(part_));
    return parts;
}

Status GuestTracker::write_captured() {
    for (PageBatch &batch : captured_)
        CKPT_CHECK(write_batch(std::move(batch), false));
    captured_.clear();
    if (!part_)
        part_ = CKPT_TRY(store_.begin_guest(guest_->info().uuid));
    return part_->seal(state_, make_entry());
}

GuestEntry GuestTracker::make_entry() const {
    const GuestInfo &info = guest_->info();
    GuestEntry entry;
    entry.uuid = info.uuid;
    entry.name = info.name;
    entry.kind = info.kind;
    entry.tracking = info.tracking;
    entry.full = full_;
    entry.pfn_limit = limit_;
    entry.nr_pages = info.nr_pages;
    entry.nr_new = in_part_.count();
    entry.nr_early = part_early_;
    entry.nr_paused = nr_paused_;
    entry.bytes_written = part_->bytes_written();
    entry.times = times_;
    return entry;
}

void GuestTracker::keep(const Cut &cut) {
    CKPT_ASSERT(captured_.empty());
    disks_.keep(cut);
    residual_.clear();
    in_part_.clear();
    part_early_ = 0;
    full_ = false;
    state_ = {};
}

void GuestTracker::discard() {
    disks_.discard();
    reserved_.clear();
    captured_.clear();
    if (!residual_.empty())
        put_back_residual();
    if (!part_)
        lose_part();
}

// Rule R7: what was taken for the capture is dirty still. As if dirtied now:
// most of it is what the guest writes all the time.
void GuestTracker::put_back_residual() {
    deferred_.clear();
    if (check_)
        check_->forget(residual_);
    cache_.round(residual_, todo_);
    residual_.clear();
}

// Rule R7: pages that only the lost part had are dirty again.
void GuestTracker::lose_part() {
    part_.reset();
    part_early_ = 0;
    if (check_)
        check_->forget(in_part_);
    in_part_.subtract(cache_.pages());
    in_part_.subtract(deferred_);
    todo_.merge(in_part_);
    in_part_.clear();
}

GuestStatus GuestTracker::status() const {
    GuestStatus status = totals_;
    const GuestInfo &info = guest_->info();
    status.uuid = info.uuid;
    status.name = info.name;
    status.domid = info.domid;
    status.kind = info.kind;
    status.tracking = info.tracking;
    status.primed = primed_;
    status.nr_pages = info.nr_pages;
    status.todo_pages = todo_.count();
    status.cached_pages = cache_.size() + deferred_.count();
    status.round_interval = early_.enabled ? pacer_.interval() : Duration::zero();
    return status;
}

} // namespace ckpt
