// SPDX-License-Identifier: GPL-2.0-only
#include "daemon/cli/render.hh"

#include <algorithm>
#include <ctime>
#include <numeric>
#include <ostream>

#include <fmt/format.h>
#include <fmt/ranges.h>

namespace ckpt::cli {

namespace {

using namespace control;

template <typename... Args>
void print(std::ostream &out, fmt::format_string<Args...> format, Args &&...args) {
    out << fmt::format(format, std::forward<Args>(args)...);
}

// The paper's names (section 6, Figure 4).
std::string stages_text(const Times &times) {
    return fmt::format("T_s {}  T_a {}  T_m {}  T_d {}  T_c {}  T_r {}  stopped {}",
                       duration_text(times.suspend_ns), duration_text(times.registers_ns),
                       duration_text(times.memory_ns), duration_text(times.disk_ns),
                       duration_text(times.channel_ns), duration_text(times.resume_ns),
                       duration_text(times.stopped_ns));
}

void render_guest(const Guest &guest, std::ostream &out) {
    print(out, "guest {}  domid {}  {}  {}  {}  {} vcpu{}\n", guest.name, guest.domid, guest.kind,
          guest.state, size_text(guest.memory), guest.vcpus, guest.vcpus == 1 ? "" : "s");
    print(out, "    uuid {}  tracking {}\n", guest.uuid, guest.tracking);
    if (!guest.is_protected)
        print(out, "    not protected: {}\n",
              guest.refusal.empty() ? "the configuration does not name it" : guest.refusal);
    else if (!guest.primed)
        print(out, "    first capture under way, {} pages left\n", guest.todo_pages);
    else if (guest.last_sn == 0)
        print(out, "    protected, no checkpoint yet\n");
    else
        print(out, "    last checkpoint {} at {}, stopped {}\n", guest.last_sn,
              time_text(guest.last_wall_ns), duration_text(guest.last_stopped_ns));
}

void render_disk(const DiskPart &disk, std::ostream &out) {
    print(out, "    disk {}  {}  {}", disk.name, disk.target, disk.kind);
    if (disk.kind == "captured")
        print(out, "  {}  {}\n        new {} (zero {}, discarded {})  changed {}  written {}  T_d {}",
              size_text(disk.bytes), disk.full ? "full" : "increment", disk.new_blocks,
              disk.zero_blocks, disk.discarded_blocks, size_text(disk.bytes_changed),
              size_text(disk.bytes_written), duration_text(disk.snapshot_ns));
    print(out, "\n");
}

std::uint64_t bytes_of(const Checkpoint &checkpoint) {
    std::uint64_t bytes = 0;
    for (const GuestPart &guest : checkpoint.guests)
        bytes += std::accumulate(guest.disks.begin(), guest.disks.end(), guest.bytes_written,
                                 [](std::uint64_t sum, const DiskPart &disk) {
                                     return sum + disk.bytes_written;
                                 });
    return bytes;
}

// "g1 g2*": a star marks a full capture, where a guest's chain starts.
std::string guests_text(const Checkpoint &checkpoint) {
    std::string text;
    for (const GuestPart &guest : checkpoint.guests)
        text += fmt::format("{}{}{}", text.empty() ? "" : " ", guest.name, guest.full ? "*" : "");
    return text;
}

} // namespace

std::string duration_text(std::uint64_t ns) {
    double value = static_cast<double>(ns);
    if (ns == 0)
        return "0";
    if (ns < 1000)
        return fmt::format("{} ns", ns);
    if (ns < 1000000)
        return fmt::format("{:.0f} us", value / 1e3);
    if (ns < 100000000)
        return fmt::format("{:.1f} ms", value / 1e6);
    if (ns < 1000000000)
        return fmt::format("{:.0f} ms", value / 1e6);
    return fmt::format("{:.2f} s", value / 1e9);
}

std::string size_text(std::uint64_t bytes) {
    static constexpr const char *units[] = {"B", "KiB", "MiB", "GiB", "TiB"};
    double value = static_cast<double>(bytes);
    unsigned unit = 0;
    while (value >= 1024 && unit + 1 < std::size(units)) {
        value /= 1024;
        unit++;
    }
    return unit == 0 ? fmt::format("{} B", bytes) : fmt::format("{:.1f} {}", value, units[unit]);
}

std::string time_text(std::uint64_t wall_ns) {
    std::time_t seconds = static_cast<std::time_t>(wall_ns / 1000000000);
    std::tm parts{};
    char text[32];
    ::localtime_r(&seconds, &parts);
    std::strftime(text, sizeof text, "%F %T", &parts);
    return text;
}

int render_status(const StatusReply &reply, std::ostream &out) {
    print(out, "node {}  {}  tlckptd {} pid {} since {}\n", reply.node, reply.backend,
          reply.version, reply.pid, time_text(reply.started_wall_ns));
    print(out, "    sn {}  {}  period {}  taken {}  failed {}\n", reply.sn, reply.activity,
          reply.period_ms ? duration_text(reply.period_ms * 1000000) : "off", reply.taken,
          reply.failed);
    if (!reply.last_error.empty())
        print(out, "    last error: {}\n", reply.last_error);
    if (const Verification &verified = reply.verification; verified.compared)
        print(out, "    verified {} pages: {} wrong, {} written by others after the cut\n",
              verified.compared, verified.differing, verified.written_by_others);
    if (reply.cluster.node_id)
        render_cluster(reply.cluster, out);
    const Store &store = reply.store;
    print(out, "store {}\n    checkpoints {}", store.directory, store.checkpoints);
    if (store.checkpoints)
        print(out, " ({} to {})", store.oldest_sn, store.newest_sn);
    print(out, "  keep {}  used {}  free {}\n",
          store.keep ? std::to_string(store.keep) : std::string("all"), size_text(store.bytes),
          size_text(store.free_bytes));
    for (const Guest &guest : reply.guests)
        render_guest(guest, out);
    return 0;
}

int render_guests(const GuestsReply &reply, std::ostream &out) {
    for (const Guest &guest : reply.guests)
        render_guest(guest, out);
    return 0;
}

int render_requested(const Requested &reply, std::ostream &out) {
    print(out, "checkpoint {} requested\n", reply.sn);
    return 0;
}

int render_list(const ListReply &reply, std::ostream &out) {
    if (reply.checkpoints.empty())
        return 0;
    print(out, "{:>6}  {:<7} {:<19}  {:>9} {:>9} {:>10}  {}\n", "SN", "KIND", "WHEN", "STOPPED",
          "DURABLE", "WRITTEN", "GUESTS (*: full)");
    for (const Checkpoint &checkpoint : reply.checkpoints) {
        if (!checkpoint.damage.empty()) {
            print(out, "{:>6}  can't be read: {}\n", checkpoint.sn, checkpoint.damage);
            continue;
        }
        print(out, "{:>6}  {:<7} {:<19}  {:>9} {:>9} {:>10}  {}\n", checkpoint.sn, checkpoint.kind,
              time_text(checkpoint.cut_wall_ns), duration_text(checkpoint.times.stopped_ns),
              duration_text(checkpoint.durable_ns), size_text(bytes_of(checkpoint)),
              guests_text(checkpoint));
    }
    return 0;
}

int render_show(const Checkpoint &reply, std::ostream &out) {
    print(out, "checkpoint {}  {}  node {}  incarnation {}  prev {}\n", reply.sn, reply.kind,
          reply.node, reply.incarnation, reply.prev ? std::to_string(reply.prev) : "none");
    print(out, "    cut {}  durable after {}  skew {}\n", time_text(reply.cut_wall_ns),
          duration_text(reply.durable_ns), duration_text(reply.skew_ns));
    print(out, "    {}\n", stages_text(reply.times));
    if (reply.com_frames)
        print(out, "    com {} frame(s) in transit, {}; {} of them within the node\n",
              reply.com_frames, size_text(reply.com_bytes), reply.com_local);
    for (const GuestPart &guest : reply.guests) {
        print(out, "guest {}  {}  {}  {}  {}\n", guest.name, guest.uuid, guest.kind, guest.tracking,
              guest.full ? "full" : "increment");
        print(out, "    pages {}  new {} (zero {})  early {}  paused {}  written {}\n", guest.pages,
              guest.new_pages, guest.zero_pages, guest.early_pages, guest.paused_pages,
              size_text(guest.bytes_written));
        print(out, "    {}\n", stages_text(guest.times));
        for (const DiskPart &disk : guest.disks)
            render_disk(disk, out);
    }
    return 0;
}

int render_restore(const RestoreReply &reply, std::ostream &out) {
    for (const RestoredGuest &guest : reply.guests) {
        print(out, "guest {} restored at {}: {}\n", guest.name, reply.sn, size_text(guest.bytes));
        for (const std::string &disk : guest.disks)
            print(out, "    disk {}\n", disk);
    }
    if (reply.replayed || reply.lost)
        print(out, "{} frame(s) between them in transit replayed, {} lost\n", reply.replayed,
              reply.lost);
    return 0;
}

int render_verify(const VerifyReply &reply, std::ostream &out) {
    print(out, "{} checkpoints, {} records, {}: {}\n", reply.checkpoints, reply.records,
          size_text(reply.bytes),
          reply.damages.empty() ? "all good"
                                : fmt::format("{} damaged", reply.damages.size()));
    for (const Damage &damage : reply.damages)
        print(out, "{} at {}: {}; checkpoints lost: {}\n", damage.file, damage.offset, damage.what,
              damage.checkpoints.empty() ? "none"
                                         : fmt::format("{}", fmt::join(damage.checkpoints, " ")));
    return reply.damages.empty() ? 0 : 1;
}

int render_gc(const GcReply &reply, std::ostream &out) {
    print(out, "{} {} checkpoint{}{}{}, {} {}\n", reply.dry_run ? "would drop" : "dropped",
          reply.dropped.size(), reply.dropped.size() == 1 ? "" : "s",
          reply.dropped.empty() ? "" : ": ", fmt::join(reply.dropped, " "),
          size_text(reply.bytes_freed), reply.dry_run ? "to free" : "freed");
    return 0;
}

} // namespace ckpt::cli
