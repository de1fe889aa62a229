// SPDX-License-Identifier: GPL-2.0-only
#include "tests/xen/run.hh"

#include <algorithm>
#include <memory>
#include <thread>

#include <fcntl.h>
#include <unistd.h>

#include "libckpt/base/fd.hh"
#include "libckpt/restore/restore_stream.hh"
#include "tests/xen/memory_image.hh"
#include "tests/xen/verify.hh"

namespace ckpt::test {
namespace {

constexpr unsigned kSlots = 24; // 6144 pages in one pause

double ms(Duration duration) { return std::chrono::duration<double, std::milli>(duration).count(); }

// What nobody asked to wait for is there.
bool there(const std::string &path) { return path.empty() || ::access(path.c_str(), F_OK) == 0; }

struct Member {
    std::unique_ptr<Guest> guest;
    std::unique_ptr<MemoryImage> image;
    PageSet dirty, deferred;
    std::vector<PageBatch> batches;
    std::uint64_t nr_early = 0;
    SteadyTime resuming{};
    std::vector<double> stopped_ms;

    explicit Member(std::unique_ptr<Guest> opened)
        : guest(std::move(opened)), image(std::make_unique<MemoryImage>(guest->info())),
          dirty(guest->info().pfn_limit), deferred(guest->info().pfn_limit) {}
};

class Run {
  public:
    Run(GuestBackend &backend, const RunOptions &options) : backend_(backend), options_(options) {}

    Result<bool> go() {
        arena_ = CKPT_TRY(PageArena::create(kSlots));
        CKPT_CHECK(open());
        for (Member &member : members_)
            CKPT_CHECK(capture_all(member));
        for (unsigned k = 1; k <= options_.count; k++) {
            CKPT_CHECK(work_between());
            CKPT_CHECK(checkpoint(k));
            if (options_.keep.count(k))
                for (Member &member : members_)
                    CKPT_CHECK(write_image(member, k));
        }
        for (Member &member : members_)
            print_median(member);
        return good_;
    }

  private:
    Status open() {
        for (const std::string &name : options_.guests)
            for (const GuestInfo &info : CKPT_TRY(backend_.list()))
                if (info.name == name) {
                    const SteadyTime start = steady_now();
                    members_.emplace_back(CKPT_TRY(backend_.open(info.uuid)));
                    fmt::print("{}: opened in {:.0f} ms\n", name, ms(steady_now() - start));
                }
        if (members_.size() != options_.guests.size())
            return fail(ENOENT, "not all of these guests are here");
        for (Member &member : members_)
            CKPT_CHECK(member.guest->start_dirty_log());
        return {};
    }

    // Everything, while the guest runs.
    Status capture_all(Member &member) {
        const SteadyTime start = steady_now();
        copying_ = Duration::zero();
        member.image->clear();
        member.dirty.clear();
        CKPT_CHECK(member.guest->all_pages(member.dirty));
        const std::uint64_t pages = member.dirty.count();
        CKPT_CHECK(copy(member, true));
        fmt::print("{}: full capture of {} pages, {} deferred, in {:.0f} ms, of which {:.0f} ms "
                   "copying\n",
                   member.guest->info().name, pages, member.deferred.count(),
                   ms(steady_now() - start), ms(copying_));
        return {};
    }

    // Copies what is dirty: to the image at once, or into batches.
    Status copy(Member &member, bool at_once) {
        std::vector<Pfn> pfns;
        member.dirty.for_each([&](Pfn pfn) { pfns.push_back(pfn); });
        member.dirty.clear();
        for (std::span<const Pfn> left(pfns); !left.empty();) {
            PageBatch batch = arena_->try_get();
            if (!batch.valid())
                return fail(ENOBUFS, "more dirty pages than the arena holds");
            const SteadyTime start = steady_now();
            left = left.subspan(CKPT_TRY(member.guest->copy_pages(left, batch, member.deferred)));
            copying_ += steady_now() - start;
            if (at_once)
                member.image->apply(batch);
            else
                member.batches.push_back(std::move(batch));
        }
        return {};
    }

    Status work_between() {
        const SteadyTime until =
            steady_now() + std::chrono::milliseconds(options_.interval_ms);
        while (steady_now() < until || !there(options_.await)) {
            std::this_thread::sleep_for(
                std::chrono::milliseconds(options_.round_ms ? options_.round_ms : 50));
            if (options_.round_ms)
                for (Member &member : members_)
                    CKPT_CHECK(round(member));
        }
        return {};
    }

    Status round(Member &member) {
        const auto result = member.guest->collect_dirty(member.dirty, false);
        if (!result.has_value() && result.error().is(EBUSY)) {
            fmt::print("{}\n", result.error().message());
            return {}; // somebody else's turn
        }
        const DirtyResult found = CKPT_TRY(result);
        if (found.lost) {
            fmt::print("{}: lost track: {}\n", member.guest->info().name, found.reason);
            return capture_all(member);
        }
        member.nr_early += member.dirty.count();
        return copy(member, true);
    }

    Status checkpoint(unsigned k) {
        for (;;) {
            const SteadyTime asked = steady_now();
            Result<bool> whole = stopped(k, asked);
            for (Member &member : members_) {
                member.resuming = steady_now();
                CKPT_CHECK(member.guest->resume());
            }
            if (!whole.has_value())
                return tl::unexpected(whole.error());
            if (*whole)
                break;
            for (Member &member : members_)
                CKPT_CHECK(capture_all(member));
        }
        for (Member &member : members_) {
            apply(member);
            const double stopped_ms =
                ms(member.guest->resumed_at() - member.guest->suspended_at() - verifying_);
            member.stopped_ms.push_back(stopped_ms);
            fmt::print("{}: checkpoint {}: stopped {:.2f} ms, resume {:.2f} ms\n",
                       member.guest->info().name, k, stopped_ms,
                       ms(member.guest->resumed_at() - member.resuming));
        }
        return {};
    }

    // The pause. False: track was lost, a full capture must come first.
    Result<bool> stopped(unsigned k, SteadyTime asked) {
        verifying_ = Duration::zero();
        for (Member &member : members_)
            CKPT_CHECK(member.guest->request_suspend());
        for (Member &member : members_)
            CKPT_CHECK(member.guest->wait_suspended(asked + std::chrono::milliseconds(options_.timeout_ms)));
        for (Member &member : members_) {
            Guest &guest = *member.guest;
            const SteadyTime t0 = steady_now();
            const DirtyResult found = CKPT_TRY(guest.collect_dirty(member.dirty, true));
            if (found.lost) {
                fmt::print("{}: lost track: {}\n", guest.info().name, found.reason);
                return false;
            }
            member.dirty.merge(member.deferred);
            member.deferred.clear();
            const std::uint64_t pages = member.dirty.count();
            const SteadyTime t1 = steady_now();
            CKPT_CHECK(copy(member, false));
            const SteadyTime t2 = steady_now();
            member.image->set_state(CKPT_TRY(guest.read_state()));
            const SteadyTime t3 = steady_now();
            fmt::print("{}: checkpoint {}: suspend {:.1f} ms, early {} pages, wake {:.2f} ms, dirty round "
                       "{:.2f} ms "
                       "({} found), {} pages copied in {:.2f} ms, state {:.2f} ms\n",
                       guest.info().name, k, ms(guest.suspended_at() - asked), member.nr_early,
                       ms(t0 - guest.suspended_at()), ms(t1 - t0), found.nr_found, pages, ms(t2 - t1), ms(t3 - t2));
            member.nr_early = 0;
            if (options_.verify)
                CKPT_CHECK(verify(member, k));
            verifying_ += steady_now() - t3;
        }
        if (options_.hold_ms || !there(options_.hold_until))
            fmt::print("holding\n");
        std::this_thread::sleep_for(std::chrono::milliseconds(options_.hold_ms));
        while (!there(options_.hold_until))
            std::this_thread::sleep_for(std::chrono::milliseconds(50));
        return true;
    }

    Status verify(Member &member, unsigned k) {
        apply(member);
        const Comparison result = CKPT_TRY(compare_with_guest(*member.image, *member.guest));
        fmt::print("{}: checkpoint {}: verified {} pages, {} differ, {} unexplained\n",
                   member.guest->info().name, k, result.nr_compared, result.differences.size(),
                   result.nr_unexplained());
        unsigned shown = 0;
        for (const Difference &difference : result.differences)
            if (shown++ < 40)
                fmt::print("  {:#x} {} [{}]\n", difference.pfn, difference.what,
                           difference.role.empty() ? "UNEXPLAINED" : difference.role);
        good_ = good_ && result.nr_unexplained() == 0;
        return {};
    }

    void apply(Member &member) {
        for (const PageBatch &batch : member.batches)
            member.image->apply(batch);
        member.batches.clear();
    }

    Status write_image(Member &member, unsigned k) {
        const std::string path =
            fmt::format("{}/{}.{}", options_.directory, member.guest->info().name, k);
        const Fd file(::open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC, 0600));
        if (!file)
            return fail(errno, "{}", path);
        return write_restore_stream(*member.image, file.get(), nullptr);
    }

    void print_median(Member &member) {
        auto &times = member.stopped_ms;
        if (times.empty())
            return;
        std::sort(times.begin(), times.end());
        fmt::print("{}: stopped median {:.2f} ms, {:.2f} to {:.2f} ms\n", member.guest->info().name,
                   times[times.size() / 2], times.front(), times.back());
    }

    GuestBackend &backend_;
    const RunOptions &options_;
    std::unique_ptr<PageArena> arena_;
    std::vector<Member> members_;
    Duration verifying_{}, copying_{};
    bool good_ = true;
};

} // namespace

Result<bool> run_checkpoints(GuestBackend &backend, const RunOptions &options) {
    return Run(backend, options).go();
}

} // namespace ckpt::test
