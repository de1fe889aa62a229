// SPDX-License-Identifier: GPL-2.0-only
#include "daemon/report.hh"

#include <algorithm>

namespace ckpt {

namespace {

control::Times report(const StageTimes &times) {
    return {.suspend_ns = times.suspend,
            .registers_ns = times.registers,
            .memory_ns = times.memory,
            .disk_ns = times.disk,
            .channel_ns = times.channel,
            .resume_ns = times.resume,
            .stopped_ns = times.stopped};
}

control::GuestPart report(const GuestEntry &entry) {
    return {.uuid = entry.uuid.to_string(),
            .name = entry.name,
            .kind = to_string(entry.kind),
            .tracking = to_string(entry.tracking),
            .full = entry.full,
            .pages = entry.nr_pages,
            .new_pages = entry.nr_new,
            .zero_pages = entry.nr_zero,
            .early_pages = entry.nr_early,
            .paused_pages = entry.nr_paused,
            .bytes_written = entry.bytes_written,
            .times = report(entry.times),
            .disks = {}};
}

control::DiskPart report(const DiskEntry &entry) {
    return {.name = entry.name,
            .target = entry.target,
            .kind = entry.kind == DiskKind::captured    ? "captured"
                    : entry.kind == DiskKind::read_only ? "read-only"
                                                        : "excluded",
            .full = entry.full,
            .bytes = entry.bytes,
            .new_blocks = entry.nr_new,
            .zero_blocks = entry.nr_zero,
            .discarded_blocks = entry.nr_discarded,
            .bytes_changed = entry.bytes_changed,
            .bytes_written = entry.bytes_written,
            .snapshot_ns = entry.snapshot_ns};
}

} // namespace

const char *to_string(GuestKind kind) {
    switch (kind) {
    case GuestKind::pv:
        return "pv";
    case GuestKind::pvh:
        return "pvh";
    case GuestKind::hvm:
        return "hvm";
    case GuestKind::process:
        return "process";
    }
    return "unknown";
}

const char *to_string(Tracking tracking) {
    switch (tracking) {
    case Tracking::none:
        return "none";
    case Tracking::log_dirty:
        return "log-dirty";
    case Tracking::compare:
        return "compare";
    case Tracking::write_protect:
        return "write-protect";
    }
    return "unknown";
}

const char *to_string(RunState state) {
    switch (state) {
    case RunState::running:
        return "running";
    case RunState::paused:
        return "paused";
    case RunState::suspended:
        return "suspended";
    case RunState::crashed:
        return "crashed";
    case RunState::dying:
        return "dying";
    }
    return "unknown";
}

const char *to_string(CheckpointKind kind) {
    switch (kind) {
    case CheckpointKind::basic:
        return "basic";
    case CheckpointKind::forced:
        return "forced";
    case CheckpointKind::manual:
        return "manual";
    }
    return "unknown";
}

control::Checkpoint report(const Manifest &manifest) {
    control::Checkpoint checkpoint{.sn = manifest.sn,
                                   .prev = manifest.prev,
                                   .node = manifest.node,
                                   .incarnation = manifest.incarnation,
                                   .kind = to_string(manifest.kind),
                                   .cut_wall_ns = manifest.cut_wall_ns,
                                   .durable_ns = manifest.durable_ns,
                                   .skew_ns = manifest.suspend_skew,
                                   .times = report(manifest.times),
                                   .guests = {},
                                   .damage = manifest.damage};
    for (const GuestEntry &entry : manifest.guests) {
        checkpoint.guests.push_back(report(entry));
        for (const DiskEntry &disk : manifest.disks)
            if (disk.guest == entry.uuid)
                checkpoint.guests.back().disks.push_back(report(disk));
    }
    std::ranges::sort(checkpoint.guests, {}, &control::GuestPart::name);
    return checkpoint;
}

control::Guest report(const GuestInfo &guest) {
    control::Guest out;
    out.uuid = guest.uuid.to_string();
    out.name = guest.name;
    out.domid = guest.domid;
    out.kind = to_string(guest.kind);
    out.state = to_string(guest.state);
    out.tracking = to_string(guest.tracking);
    out.memory = guest.nr_pages * kPageSize;
    out.vcpus = guest.nr_vcpus;
    out.refusal = guest.refusal;
    return out;
}

control::VerifyReply report(const VerifyReport &found) {
    control::VerifyReply reply{.bytes = found.bytes,
                               .records = found.records,
                               .checkpoints = found.checkpoints,
                               .damages = {}};
    for (const Damage &damage : found.damages)
        reply.damages.push_back({.file = damage.file,
                                 .offset = damage.offset,
                                 .what = damage.what,
                                 .checkpoints = damage.checkpoints});
    return reply;
}

control::GcReply report(const GcReport &done, bool dry_run) {
    return {.dry_run = dry_run,
            .dropped = done.dropped,
            .bytes_freed = done.bytes_freed,
            .bytes_moved = done.bytes_moved};
}

} // namespace ckpt
