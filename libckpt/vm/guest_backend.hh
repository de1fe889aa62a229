// SPDX-License-Identifier: GPL-2.0-only
// The one door to hypervisors. Two implementations: Xen (vm/xen_*) and guests
// in this process (vm/process_*), whose memory is real and really tracked.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "libckpt/base/clock.hh"
#include "libckpt/base/page.hh"
#include "libckpt/base/page_set.hh"
#include "libckpt/base/result.hh"
#include "libckpt/base/uuid.hh"
#include "libckpt/io/page_batch.hh"
#include "libckpt/vm/disk_info.hh"

namespace ckpt {

enum class GuestKind : std::uint8_t { pv = 1, pvh = 2, hvm = 3, process = 4 };

// How changed pages are found; probed at run time, never guessed.
enum class Tracking : std::uint8_t {
    none = 0,
    log_dirty = 1,     // the hypervisor's log-dirty rounds
    compare = 2,       // everything compared with a private copy while stopped
    write_protect = 3, // in-process guests: userfaultfd write-protect
};

enum class RunState : std::uint8_t { running, paused, suspended, crashed, dying };

struct GuestInfo {
    Uuid uuid;
    std::string name;
    std::uint32_t domid = 0;
    GuestKind kind = GuestKind::pvh;
    Tracking tracking = Tracking::none;
    RunState state = RunState::running;
    std::uint64_t nr_pages = 0; // memory the guest has now
    Pfn pfn_limit = 0;          // pfns are below this
    unsigned nr_vcpus = 0;
    std::vector<DiskInfo> disks;
    // Why this guest can't be protected, with what to do; empty if it can.
    std::string refusal;
};

// What a checkpoint has, or has not, of one thing of a guest: a line of the
// pre-flight.
enum class NoteKind : std::uint8_t { ok, warn, refuse };
struct GuestNote {
    NoteKind kind = NoteKind::ok;
    std::string subject; // "disk xvda"
    std::string found;
    std::string advice; // what to do about it; empty: nothing
};

// The registers part (reg) and what a restore needs beside pages, as the bytes
// of Xen's migration stream (docs/specs/libxc-migration-stream): opaque to all
// but the backend that read them and restore/. head, the pages as PAGE_DATA
// records, and tail make one whole libxc stream.
struct StateRecords {
    std::vector<std::byte> config; // toolstack's configuration (libxl JSON, no NUL at its end)
    std::vector<std::byte> head;   // image and domain header, records before the pages
    std::vector<std::byte> tail;   // records after the pages, END included
};

struct DirtyResult {
    std::uint64_t nr_found = 0;
    // The log had a gap (someone else used log-dirty, allocation failed,
    // ballooning): everything must be taken as dirty; `reason` says why.
    bool lost = false;
    std::string reason;
};

// Given one page: its contents as a capture would store them, null if its
// type has none. An error ends the reading and is passed on.
using PageVisit = std::function<Status(Pfn pfn, PageType type, const std::byte *data)>;

// One guest under protection. Calls come from one thread at a time (its
// worker); different guests' calls run in parallel. Destroying it stops the
// dirty log, and resumes the guest if this object suspended it (R7). Any call
// fails with ESHUTDOWN when the guest is no more: destroyed or crashed.
class Guest {
  public:
    virtual ~Guest() = default;

    virtual const GuestInfo &info() const = 0;

    // Switches dirty tracking on; from here every write is found by
    // collect_dirty(). EBUSY: someone else (migration, Remus) uses the log.
    virtual Status start_dirty_log() = 0;
    virtual Status stop_dirty_log() = 0;

    // Moves the pages dirtied since the last call into `dirty` (adds) and
    // re-arms their tracking: clear first, copy after. With `stopped`, the
    // guest is suspended and this is the last round before the capture: pages
    // that others may change without a trace (rings, consoles) and pages whose
    // type changed are added too.
    virtual Result<DirtyResult> collect_dirty(PageSet &dirty, bool stopped) = 0;

    // All pages that a full capture must take.
    virtual Status all_pages(PageSet &pages) = 0;

    // Copies up to batch.kCapacity - batch.size() pages, from the front of
    // `pfns`, into `batch`; returns how many of `pfns` are done. Pages that
    // can't be copied while the guest runs are added to `deferred` (taken
    // again at the stop; never happens once suspended).
    virtual Result<std::size_t> copy_pages(std::span<const Pfn> pfns, PageBatch &batch,
                                           PageSet &deferred) = 0;

    // Asks the guest to suspend; returns at once. A guest that was put back
    // paused and has not run since is at rest: its state is whole as it is, and
    // it counts as suspended until resume(), which leaves it paused.
    virtual Status request_suspend() = 0;
    // Waits until it has. ETIMEDOUT: it did not before `deadline`, and the
    // request was taken back; ESHUTDOWN: it died or crashed instead.
    // If the guest took the request too late to take back, goes on waiting for
    // a bounded time and resumes it before it returns ETIMEDOUT.
    virtual Status wait_suspended(SteadyTime deadline) = 0;
    // When the hypervisor showed the guest as suspended (Dom0's clock).
    virtual SteadyTime suspended_at() const = 0;

    // Registers, platform state and configuration; the guest is suspended.
    virtual Result<StateRecords> read_state() = 0;

    // Runs the suspended guest on. Safe to call again.
    virtual Status resume() = 0;
    // When the hypervisor let the guest run on; what resume() tidies after it
    // is not part of the stop. stopped = resumed_at() - suspended_at().
    virtual SteadyTime resumed_at() const = 0;

    // For checking captures, never part of one: reads every page again while
    // the guest is suspended, in ascending order, whatever the dirty log says.
    virtual Status read_all(const PageVisit &visit) = 0;
    // Who beside the guest's own processors may write this page without the
    // dirty log seeing it ("xenstore ring", "granted to domain 0 for writing:
    // ..."); empty for ordinary memory. The guest is suspended.
    virtual std::string page_role(Pfn pfn) = 0;
};

class GuestBackend {
  public:
    virtual ~GuestBackend() = default;

    // "xen 4.17.7", "in-process".
    virtual std::string name() const = 0;
    // All guests of this node, refused ones too.
    virtual Result<std::vector<GuestInfo>> list() = 0;
    // ENOENT: no such guest; EOPNOTSUPP: refused, the context says why.
    virtual Result<std::unique_ptr<Guest>> open(const Uuid &uuid) = 0;
    // What a checkpoint would have of this guest's devices and abilities, and
    // what not; beside GuestInfo::refusal.
    virtual Result<std::vector<GuestNote>> examine([[maybe_unused]] const GuestInfo &guest) {
        return std::vector<GuestNote>();
    }
    // After a crash of the program: resumes guests of `uuids` (none given: of
    // all that it can tell an earlier run had) that it left suspended, or asked
    // to suspend: takes the request back, or waits for what can't be taken back.
    // Drops what that run left in the hypervisor (dirty log, suspend
    // subscription). Returns how many were resumed.
    virtual Result<unsigned> recover(std::span<const Uuid> uuids) = 0;
};

} // namespace ckpt
