// SPDX-License-Identifier: GPL-2.0-only
// Real dirty tracking of memory of this process by userfaultfd write-protect:
// asynchronous with PAGEMAP_SCAN where the kernel has it (6.7), else a thread
// that serves the faults. Which one is found by trying.
#pragma once

#include <cstddef>
#include <memory>
#include <span>

#include "libckpt/base/page_set.hh"
#include "libckpt/base/result.hh"

namespace ckpt {

enum class WriteTracking { best, scan, faults };

// One thread at a time, while any thread writes to the memory. Destroyed: the
// memory is not tracked any more.
class WriteTracker {
  public:
    // Starts tracking `memory`, populated private anonymous pages. Errors:
    // EPERM userfaultfd is not permitted; EOPNOTSUPP the kernel lacks it.
    static Result<std::unique_ptr<WriteTracker>> create(std::span<std::byte> memory,
                                                        WriteTracking how = WriteTracking::best);
    virtual ~WriteTracker() = default;
    // Adds the pages written since the last call, page 0 being the first of
    // the memory, and tracks all in `written` again: what is read after it is
    // either what they hold now or found by the next call. Pages that were
    // given back to the kernel and populated anew must be in `written`.
    virtual Status collect(PageSet &written) = 0;
    // "userfaultfd, scan" or "userfaultfd, faults".
    virtual const char *name() const = 0;
};

} // namespace ckpt
