// SPDX-License-Identifier: GPL-2.0-only
#include "daemon/pre_flight.hh"

#include <algorithm>

#include <sys/resource.h>

#include "daemon/disk_settings.hh"
#include "daemon/doctor/host.hh"
#include "daemon/report.hh"

namespace ckpt {

namespace {

using control::Finding;
using control::kNodeItself;
using control::kOk;
using control::kRefuse;
using control::kWarn;
using Findings = std::vector<Finding>;

constexpr std::uint64_t kMiB = 1024 * 1024;
constexpr std::uint64_t kLeastFree = 64 * kMiB;

std::string mib(std::uint64_t bytes) { return fmt::format("{} MiB", bytes / kMiB); }

const char *to_verdict(NoteKind kind) {
    return kind == NoteKind::ok ? kOk : kind == NoteKind::warn ? kWarn : kRefuse;
}

void take_notes(const std::string &of, const std::vector<GuestNote> &notes, Findings &findings) {
    for (const GuestNote &note : notes)
        findings.push_back({of, note.subject, to_verdict(note.kind), note.found, note.advice});
}

void staging(const Config &config, Findings &findings) {
    rlimit limit{};
    const std::uint64_t wanted = config.staging_mib * kMiB;
    const std::string found = fmt::format("{} of staging memory", mib(wanted));
    if (::getrlimit(RLIMIT_MEMLOCK, &limit) == 0 && limit.rlim_cur >= wanted)
        findings.push_back({kNodeItself, "staging", kOk, found, ""});
    else
        findings.push_back({kNodeItself, "staging", kWarn,
                            found + " that can't be locked: pauses may wait for it",
                            "raise LimitMEMLOCK of tlckptd.service"});
}

// `memory`: of all guests that are to be protected.
void store(PageStore &store, const Config &config, std::uint64_t memory, Findings &findings) {
    auto usage = store.usage();
    auto all = store.list();
    if (!usage || !all) {
        findings.push_back({kNodeItself, "store", kRefuse,
                            (!usage ? usage.error() : all.error()).message(),
                            "make " + config.store_directory + " work"});
        return;
    }
    const std::string found = fmt::format("{}: {} checkpoints, {} free; the guests have {}",
                                          config.store_directory, all->size(),
                                          mib(usage->free_bytes), mib(memory));
    if (usage->free_bytes < kLeastFree)
        findings.push_back({kNodeItself, "store", kRefuse, found,
                            "make room: fewer checkpoints (store.keep, tlckptctl gc), or more disk"});
    else if (usage->free_bytes < memory)
        findings.push_back({kNodeItself, "store", kWarn, found + ": no room for full captures",
                            "make room: fewer checkpoints (store.keep, tlckptctl gc), or more disk"});
    else
        findings.push_back({kNodeItself, "store", kOk, found, ""});
    for (const Manifest &manifest : *all)
        if (!manifest.damage.empty())
            findings.push_back({kNodeItself, fmt::format("checkpoint {}", manifest.sn), kWarn,
                                "it can't be used: " + manifest.damage,
                                "tlckptctl verify tells what else is damaged"});
}

void cluster(const control::Cluster &cluster, Findings &findings) {
    if (!cluster.etcd.empty())
        findings.push_back({kNodeItself, "etcd", kRefuse, cluster.etcd,
                            "until it answers no recovery can be decided: see etcd.endpoints, and "
                            "that Dom0's way to it is exempt"});
    else
        findings.push_back({kNodeItself, "etcd", kOk, "it answers", ""});
    if (!cluster.refusal.empty())
        findings.push_back({kNodeItself, "cluster", kRefuse, cluster.refusal, "tlckptctl status"});
    else if (!cluster.joined)
        findings.push_back({kNodeItself, "cluster", kWarn, "this node has not joined it yet", ""});
    else if (!cluster.stuck.empty())
        findings.push_back({kNodeItself, "cluster", kWarn,
                            "a recovery does not get on: " + cluster.stuck, "tlckptctl plan"});
    else
        findings.push_back({kNodeItself, "cluster", kOk,
                            fmt::format("node {} of cluster {}, {} nodes known", cluster.node_id,
                                        cluster.id, cluster.members.size() + 1),
                            ""});
}

// "what is wrong; what to do"
Finding refused(const std::string &of, const std::string &subject, const std::string &why) {
    const auto end = why.find("; ");
    return {of, subject, kRefuse, why.substr(0, end), end == why.npos ? "" : why.substr(end + 2)};
}

Finding protection(const std::string &of, const control::Guest &guest) {
    if (guest.is_protected)
        return {of, "protection", kOk,
                guest.primed ? "protected" : "protected, its first capture is under way", ""};
    if (guest.refusal.empty())
        return {of, "protection", kWarn, "the configuration does not name it",
                "add it to protect.guests, if it shall be captured"};
    return refused(of, "protection", guest.refusal);
}

Finding memory(const std::string &of, const control::Guest &guest) {
    const std::string found =
        fmt::format("{} of a {} guest, by {}", mib(guest.memory), guest.kind, guest.tracking);
    if (guest.tracking != to_string(Tracking::compare))
        return {of, "memory", kOk, found, ""};
    return {of, "memory", kWarn, found + ": pauses grow with the guest",
            "run it with type=\"pvh\""};
}

Finding disk(const std::string &of, const DiskSettings &settings, const GuestInfo &guest,
             const DiskInfo &disk) {
    const std::string subject = "disk " + disk.name;
    auto kind = judge_disk(settings, guest, disk);
    if (!kind)
        return refused(of, subject, kind.error().context);
    switch (*kind) {
    case DiskKind::read_only:
        return {of, subject, kOk, disk.target + ", read-only: taken to stay as it is", ""};
    case DiskKind::excluded:
        return {of, subject, kWarn,
                disk.target + " is left out: a restored guest finds it as it is then",
                "take it from disks.exclude, unless that is what is wanted"};
    default:
        return {of, subject, kOk, disk.target + ", captured by snapshots", ""};
    }
}

void guest(GuestBackend &backend, const DiskSettings &disks, const control::Guest &guest,
           const GuestInfo *info, Findings &findings) {
    const std::string of = "guest " + guest.name;
    findings.push_back(protection(of, guest));
    if (!info || guest.tracking == to_string(Tracking::none))
        return;
    findings.push_back(memory(of, guest));
    for (const DiskInfo &one : info->disks)
        findings.push_back(disk(of, disks, *info, one));
    auto notes = backend.examine(*info);
    if (!notes)
        findings.push_back({of, "devices", kWarn, notes.error().message(), ""});
    else
        take_notes(of, *notes, findings);
}

} // namespace

void handle_doctor(ControlServer &server, const RequestContext &context) {
    server.handle(control::kDoctor, [&server, context](std::shared_ptr<Call> call) {
        const Config &config = context.config;
        auto guests = context.node.guests();
        auto infos = context.backend.list();
        if (!guests || !infos)
            return call->answer(refuse(!guests ? guests.error() : infos.error()));
        auto findings = doctor::examine_host(
            {.xen = config.backend == "xen", .cluster = config.cluster.node_id != 0});
        staging(config, findings);
        if (context.system)
            cluster(context.system->status(), findings);
        Findings of_guests;
        std::vector<DiskInfo> all_disks;
        for (const GuestInfo &info : *infos)
            all_disks.insert(all_disks.end(), info.disks.begin(), info.disks.end());
        if (context.disks)
            take_notes(kNodeItself, context.disks->examine(all_disks), findings);
        std::uint64_t memory = 0;
        for (const control::Guest &one : *guests) {
            auto info = std::ranges::find(*infos, one.domid, &GuestInfo::domid);
            memory += one.is_protected ? one.memory : 0;
            guest(context.backend, disk_settings(config, context.disks), one,
                  info == infos->end() ? nullptr : &*info, of_guests);
        }
        // The store may be slow, and is asked on another thread.
        server.run(std::move(call), [=, &pages = context.store, &config](Call &) mutable -> Reply {
            store(pages, config, memory, findings);
            findings.insert(findings.end(), of_guests.begin(), of_guests.end());
            return control::Json(control::DoctorReply{doctor::worst(findings), findings});
        });
    });
}

} // namespace ckpt
