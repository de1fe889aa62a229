// SPDX-License-Identifier: GPL-2.0-only
#include "libckpt/disk/guest_disks.hh"

#include <algorithm>

#include <fcntl.h>
#include <unistd.h>

#include "libckpt/base/fd.hh"
#include "libckpt/base/urgent.hh"
#include "libckpt/disk/disk_copier.hh"

namespace ckpt {

namespace {

// 0: it can't be told.
std::uint64_t size_of(const std::string &target) {
    Fd fd(::open(target.c_str(), O_RDONLY | O_NONBLOCK | O_CLOEXEC));
    const off_t end = fd ? ::lseek(fd.get(), 0, SEEK_END) : 0;
    return end > 0 ? static_cast<std::uint64_t>(end) : 0;
}

} // namespace

GuestDisks::GuestDisks(const GuestInfo &guest, DiskSettings settings, PageStore &store,
                       PageArena &arena)
    : guest_(guest), settings_(std::move(settings)), store_(store), arena_(arena) {}

GuestDisks::~GuestDisks() {
    std::uint64_t longest = 0;
    [[maybe_unused]] auto finished = finish_snapshots(longest);
    discard();
}

DiskEntry GuestDisks::make_entry(const DiskInfo &disk, DiskKind kind) const {
    DiskEntry entry;
    entry.uuid = disk_uuid(guest_.uuid, disk.number);
    entry.guest = guest_.uuid;
    entry.name = disk.name;
    entry.target = disk.target;
    entry.kind = kind;
    return entry;
}

Status GuestDisks::open() {
    for (const DiskInfo &disk : guest_.disks) {
        auto kind = judge_disk(settings_, guest_, disk);
        if (!kind)
            return fail(EOPNOTSUPP, "guest {}: {}", guest_.name, kind.error().context);
        DiskEntry entry = make_entry(disk, *kind);
        if (*kind != DiskKind::captured) {
            entry.bytes = size_of(disk.target);
            others_.push_back(std::move(entry));
            continue;
        }
        auto opened = CKPT_TRY(settings_.provider->open(entry.uuid, disk));
        entry.source = opened->source();
        captured_.push_back({std::move(entry), std::move(opened)});
    }
    return {};
}

std::vector<DiskEntry> GuestDisks::others() const { return others_; }

Status GuestDisks::prepare() {
    for (Captured &one : captured_)
        if (auto ready = one.disk->prepare(); !ready)
            return wrap(fmt::format("guest {}: disk {}", guest_.name, one.entry.name), ready.error());
    return {};
}

void GuestDisks::begin_snapshots() {
    for (Captured &one : captured_)
        one.snapping = std::async(std::launch::async, [&one] {
            set_urgent(true);
            const SteadyTime begin = steady_now();
            Status status = one.disk->snapshot();
            one.snapped_ns = static_cast<std::uint64_t>((steady_now() - begin).count());
            return status;
        });
}

Status GuestDisks::finish_snapshots(std::uint64_t &longest_ns) {
    Status first;
    for (Captured &one : captured_) {
        if (!one.snapping.valid())
            continue;
        Status status = one.snapping.get();
        one.snapped = status.has_value();
        one.entry.snapshot_ns = one.snapped_ns;
        longest_ns = std::max(longest_ns, one.snapped_ns);
        if (!status && first)
            first = wrap(fmt::format("guest {}: disk {}", guest_.name, one.entry.name),
                         status.error());
    }
    return first;
}

Status GuestDisks::persist(GuestParts &parts) {
    for (Captured &one : captured_) {
        auto part = CKPT_TRY(store_.begin_guest(one.entry.uuid));
        auto stored = copy_disk(*one.disk, one.entry, arena_, *part);
        if (!stored)
            return wrap(fmt::format("guest {}: disk {}", guest_.name, one.entry.name), stored.error());
        parts.push_back(std::move(part));
    }
    return {};
}

void GuestDisks::keep(const Cut &cut) {
    for (Captured &one : captured_)
        if (std::exchange(one.snapped, false))
            one.disk->keep(cut);
}

void GuestDisks::discard() {
    for (Captured &one : captured_)
        if (std::exchange(one.snapped, false))
            one.disk->discard();
}

} // namespace ckpt
