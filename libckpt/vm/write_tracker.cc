// SPDX-License-Identifier: GPL-2.0-only
#include "libckpt/vm/write_tracker.hh"

#include <fcntl.h>
#include <linux/userfaultfd.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>

#include <array>
#include <mutex>
#include <thread>

#include "libckpt/base/fd.hh"

// Debian 12's headers are older than these (linux/userfaultfd.h and
// linux/fs.h of Linux 6.7); the kernel is asked whether it knows them.
#ifndef UFFD_FEATURE_WP_ASYNC
#define UFFD_FEATURE_WP_UNPOPULATED (1 << 13)
#define UFFD_FEATURE_WP_ASYNC (1 << 15)
#endif
#ifndef PAGEMAP_SCAN
struct page_region {
    __u64 start, end, categories;
};
struct pm_scan_arg {
    __u64 size, flags, start, end, walk_end, vec, vec_len, max_pages;
    __u64 category_inverted, category_mask, category_anyof_mask, return_mask;
};
#define PAGEMAP_SCAN _IOWR('f', 16, struct pm_scan_arg)
#define PAGE_IS_WRITTEN (1 << 1)
#define PM_SCAN_WP_MATCHING (1 << 0)
#define PM_SCAN_CHECK_WPASYNC (1 << 1)
#endif

namespace ckpt {

namespace {

std::uint64_t address(const void *pointer) {
    return reinterpret_cast<std::uintptr_t>(pointer);
}

// A userfaultfd with these features, with `memory` registered and protected.
Result<Fd> protect(std::span<std::byte> memory, std::uint64_t features) {
    Fd fd(static_cast<int>(::syscall(SYS_userfaultfd, O_CLOEXEC | O_NONBLOCK)));
    if (!fd && errno == EPERM) // allowed without privilege; our writers are user code
        fd = Fd(static_cast<int>(
            ::syscall(SYS_userfaultfd, O_CLOEXEC | O_NONBLOCK | UFFD_USER_MODE_ONLY)));
    if (!fd)
        return fail(errno, "userfaultfd");
    uffdio_api api{.api = UFFD_API, .features = features, .ioctls = 0};
    if (::ioctl(fd.get(), UFFDIO_API, &api) != 0)
        return fail(errno == EINVAL ? EOPNOTSUPP : errno, "userfaultfd features {:#x}", features);
    uffdio_register region{.range = {address(memory.data()), memory.size()},
                           .mode = UFFDIO_REGISTER_MODE_WP,
                           .ioctls = 0};
    if (::ioctl(fd.get(), UFFDIO_REGISTER, &region) != 0)
        return fail(errno, "userfaultfd registration");
    uffdio_writeprotect all{.range = region.range, .mode = UFFDIO_WRITEPROTECT_MODE_WP};
    if (::ioctl(fd.get(), UFFDIO_WRITEPROTECT, &all) != 0)
        return fail(errno, "userfaultfd write-protect");
    return fd;
}

class ScanTracker : public WriteTracker {
  public:
    ScanTracker(std::span<std::byte> memory, Fd uffd, Fd pagemap)
        : memory_(memory), uffd_(std::move(uffd)), pagemap_(std::move(pagemap)) {}

    Status collect(PageSet &written) override {
        const std::uint64_t begin = address(memory_.data()), end = begin + memory_.size();
        for (std::uint64_t at = begin; at < end;) {
            std::array<page_region, 512> regions;
            pm_scan_arg scan{};
            scan.size = sizeof scan;
            scan.flags = PM_SCAN_WP_MATCHING | PM_SCAN_CHECK_WPASYNC;
            scan.start = at;
            scan.end = end;
            scan.vec = address(regions.data());
            scan.vec_len = regions.size();
            scan.category_mask = scan.return_mask = PAGE_IS_WRITTEN;
            int count = ::ioctl(pagemap_.get(), PAGEMAP_SCAN, &scan);
            if (count < 0)
                return fail(errno, "PAGEMAP_SCAN");
            for (std::size_t i = 0; i < static_cast<std::size_t>(count); i++)
                for (std::uint64_t page = regions[i].start; page < regions[i].end;
                     page += kPageSize)
                    written.insert((page - begin) / kPageSize);
            at = scan.walk_end;
        }
        return {};
    }
    const char *name() const override { return "userfaultfd, scan"; }

  private:
    std::span<std::byte> memory_;
    Fd uffd_, pagemap_;
};

class FaultTracker : public WriteTracker {
  public:
    FaultTracker(std::span<std::byte> memory, Fd uffd, Fd wake)
        : memory_(memory), uffd_(std::move(uffd)), wake_(std::move(wake)),
          written_(memory.size() / kPageSize), thread_([this] { serve(); }) {}
    ~FaultTracker() override {
        set_protection(memory_, false);
        std::uint64_t one = 1;
        [[maybe_unused]] ssize_t n = ::write(wake_.get(), &one, sizeof one);
        thread_.join();
    }

    Status collect(PageSet &written) override {
        std::lock_guard lock(mutex_);
        Status status;
        written.merge(written_);
        written_.clear();
        written.for_each([&](Pfn pfn) {
            if (set_protection(memory_.subspan(pfn * kPageSize, kPageSize), true) != 0 && status)
                status = fail(errno, "userfaultfd write-protect");
        });
        return status;
    }
    const char *name() const override { return "userfaultfd, faults"; }

  private:
    int set_protection(std::span<std::byte> pages, bool on) {
        uffdio_writeprotect range{.range = {address(pages.data()), pages.size()},
                                  .mode = on ? UFFDIO_WRITEPROTECT_MODE_WP : 0ull};
        return ::ioctl(uffd_.get(), UFFDIO_WRITEPROTECT, &range);
    }

    void serve() {
        pollfd fds[] = {{uffd_.get(), POLLIN, 0}, {wake_.get(), POLLIN, 0}};
        while (::poll(fds, 2, -1) > 0 || errno == EINTR) {
            if (fds[1].revents)
                return;
            uffd_msg message;
            if (::read(uffd_.get(), &message, sizeof message) != sizeof message)
                continue;
            std::uint64_t offset = message.arg.pagefault.address - address(memory_.data());
            // Marked and let write as one step against collect(), which else
            // could protect in between and lose the page.
            std::lock_guard lock(mutex_);
            written_.insert(offset / kPageSize);
            set_protection(memory_.subspan(offset / kPageSize * kPageSize, kPageSize), false);
        }
    }

    std::span<std::byte> memory_;
    Fd uffd_, wake_;
    std::mutex mutex_; // written_ and the protection of its pages
    PageSet written_;
    std::thread thread_;
};

Result<std::unique_ptr<WriteTracker>> create_scan(std::span<std::byte> memory) {
    Fd uffd = CKPT_TRY(protect(memory, UFFD_FEATURE_WP_ASYNC | UFFD_FEATURE_WP_UNPOPULATED));
    Fd pagemap(::open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC));
    if (!pagemap)
        return fail(errno, "/proc/self/pagemap");
    auto tracker = std::make_unique<ScanTracker>(memory, std::move(uffd), std::move(pagemap));
    PageSet nothing(memory.size() / kPageSize);
    CKPT_CHECK(tracker->collect(nothing)); // does the kernel have the scan?
    return tracker;
}

Result<std::unique_ptr<WriteTracker>> create_faults(std::span<std::byte> memory) {
    Fd uffd = CKPT_TRY(protect(memory, UFFD_FEATURE_PAGEFAULT_FLAG_WP));
    Fd wake(::eventfd(0, EFD_CLOEXEC));
    if (!wake)
        return fail(errno, "eventfd");
    return std::make_unique<FaultTracker>(memory, std::move(uffd), std::move(wake));
}

} // namespace

Result<std::unique_ptr<WriteTracker>> WriteTracker::create(std::span<std::byte> memory,
                                                           WriteTracking how) {
    if (how != WriteTracking::faults) {
        auto scan = create_scan(memory);
        if (scan || how == WriteTracking::scan)
            return scan;
    }
    return create_faults(memory);
}

} // namespace ckpt
