// SPDX-License-Identifier: GPL-2.0-only
// The store's work over all guests: verify, collect garbage.
#include <algorithm>

#include "libckpt/store/file_store.hh"
#include "libckpt/store/verify.hh"

namespace ckpt {

namespace {

std::vector<ImageRef> images_of(const Uuid &guest, const std::vector<StoredManifest> &manifests) {
    std::vector<ImageRef> images;
    for (const StoredManifest &stored : manifests)
        if (const int place = stored.find(guest); place >= 0) {
            const auto at = static_cast<std::size_t>(place);
            images.push_back({stored.manifest.sn, stored.pfn_limit(at), stored.storage[at]});
        }
    return images;
}

} // namespace

Result<VerifyReport> FileStore::verify(const Progress &progress) {
    VerifyReport report;
    std::uint64_t done = 0, total = 0;
    const std::vector<Uuid> uuids = CKPT_TRY(guests());
    for (const Uuid &uuid : uuids)
        for (const GuestFiles::File &file : CKPT_TRY(GuestFiles(disk_, uuid).list()))
            total += file.kind == GuestFiles::Kind::segment ? file.size : 0;
    auto advance = [&](std::uint64_t bytes) -> Status {
        report.bytes += bytes;
        done = std::min(done + bytes, total);
        if (progress && !progress(done, total))
            return fail(ECANCELED, "verification");
        return {};
    };
    for (const Uuid &uuid : uuids) {
        const GuestFiles files(disk_, uuid);
        // Before the manifests are read: what they name stays.
        auto lock = files.lock_for_reading();
        if (!lock.has_value() && lock.error().is(ENOENT))
            continue; // collected meanwhile
        const Fd held = CKPT_TRY(std::move(lock));
        std::vector<StoredManifest> manifests;
        for (Sn sn : CKPT_TRY(catalog_.indexes()))
            if (auto stored = catalog_.read(sn); stored.has_value())
                manifests.push_back(std::move(*stored));
        CKPT_CHECK(GuestVerifier(files, images_of(uuid, manifests), report, advance).verify());
    }
    for (Sn sn : CKPT_TRY(catalog_.indexes())) {
        report.checkpoints++;
        if (auto stored = catalog_.read(sn); !stored.has_value())
            report.damages.push_back({catalog_.path(sn), 0, stored.error().message(), {sn}});
    }
    if (progress)
        progress(total, total);
    return report;
}

Result<std::vector<StoredManifest>> FileStore::manifests_of(const std::string &node,
                                                            Sn from) const {
    const Catalog catalog(disk_, node);
    std::vector<StoredManifest> manifests;
    for (Sn sn : CKPT_TRY(catalog.indexes())) {
        if (sn < from)
            continue;
        auto stored = catalog.read(sn);
        if (!stored.has_value() && node != options_.node && stored.error().is(ENOENT))
            continue; // collected there meanwhile
        if (!stored.has_value())
            return wrap("what this checkpoint refers to can't be told from garbage; to be "
                        "dropped or removed first",
                        std::move(stored).error());
        manifests.push_back(std::move(*stored));
    }
    return manifests;
}

Status FileStore::drop_manifests(Sn keep_from, bool dry_run, GcReport &report) {
    std::lock_guard lock(commit_mutex_);
    const std::vector<Sn> indexes = CKPT_TRY(catalog_.indexes());
    if (!indexes.empty() && indexes.back() < keep_from)
        return fail(EINVAL, "store {}: keeping from {} on would drop every checkpoint, the newest "
                            "is {}",
                    options_.directory, keep_from, indexes.back());
    for (Sn sn : indexes) {
        if (sn >= keep_from)
            break;
        report.dropped.push_back(sn);
        if (!dry_run)
            CKPT_CHECK(catalog_.remove(sn));
    }
    // Before anything that they refer to goes.
    return report.dropped.empty() || dry_run ? Status() : disk_.sync_dir(catalog_.folder());
}

// Rule R13.
Result<GcReport> FileStore::collect_garbage(Sn keep_from, bool dry_run) {
    CKPT_CHECK(may_write());
    std::lock_guard lock(gc_mutex_);
    GcReport report;
    const std::vector<std::string> nodes = CKPT_TRY(list_nodes(disk_));
    // A damaged manifest to be kept is found before anything is dropped.
    CKPT_TRY(manifests_of(options_.node, keep_from));
    const GcContext context{catalog_, commit_mutex_, *io_, options_.logger, nodes.size() == 1};
    std::vector<GuestCollector> collectors;
    for (const Uuid &uuid : CKPT_TRY(guests()))
        collectors.push_back(CKPT_TRY(GuestCollector::begin(context, CKPT_TRY(lineage(uuid)))));
    std::vector<StoredManifest> foreign;
    for (const std::string &node : nodes)
        if (node != options_.node)
            for (StoredManifest &stored : CKPT_TRY(manifests_of(node, 0)))
                foreign.push_back(std::move(stored));
    CKPT_CHECK(drop_manifests(keep_from, dry_run, report));
    for (GuestCollector &collector : collectors) {
        auto pass = [&]() -> Result<bool> {
            {
                std::lock_guard commit(commit_mutex_);
                const auto own = CKPT_TRY(manifests_of(options_.node, keep_from));
                collector.keep(images_of(collector.guest(), own),
                               images_of(collector.guest(), foreign), dry_run);
            }
            return collector.collect(dry_run, report);
        };
        auto more = pass();
        while (more.has_value() && *more)
            more = pass();
        // One guest's trouble does not keep the others' garbage.
        if (!more.has_value())
            report.problems.push_back(fmt::format("guest {}: {}", collector.guest().to_string(),
                                                  more.error().message()));
    }
    collectors.clear();
    if (!dry_run && context.only_node)
        for (const Uuid &uuid : CKPT_TRY(guests()))
            CKPT_CHECK(forget_unused(uuid));
    return report;
}

// Removes the folder of a guest that has no files left.
Status FileStore::forget_unused(const Uuid &guest) {
    std::lock_guard lock(lineages_mutex_);
    auto found = lineages_.find(guest);
    if (found == lineages_.end() || found->second.use_count() > 1)
        return {};
    const GuestFiles &files = found->second->files;
    if (!CKPT_TRY(files.list()).empty())
        return {};
    for (const FileInfo &file : CKPT_TRY(disk_.list(files.folder())))
        CKPT_CHECK(disk_.remove(fmt::format("{}/{}", files.folder(), file.name)));
    CKPT_CHECK(disk_.remove(files.folder()));
    lineages_.erase(found);
    return disk_.sync_dir(kGuestsFolder);
}

namespace {

Status drop_undone(const Disk &disk, const Catalog &catalog,
                   const std::function<bool(const Manifest &)> &undone) {
    bool any = false;
    for (Sn sn : CKPT_TRY(catalog.indexes())) {
        auto stored = catalog.read(sn);
        if (!stored || !undone(stored->manifest))
            continue;
        if (auto gone = catalog.remove(sn); !gone && !gone.error().is(ENOENT))
            return gone;
        any = true;
    }
    return any ? disk.sync_dir(catalog.folder()) : Status();
}

} // namespace

Status FileStore::enter_incarnation(std::uint32_t incarnation,
                                    const std::function<bool(const Manifest &)> &undone) {
    CKPT_CHECK(may_write());
    std::scoped_lock lock(gc_mutex_, commit_mutex_, lineages_mutex_);
    for (auto &[uuid, lineage] : lineages_) {
        std::lock_guard use(lineage->mutex);
        if (lineage->part_open)
            return fail(EBUSY, "store {}: guest {} has an open part", options_.directory,
                        uuid.to_string());
    }
    CKPT_CHECK(ownership_->enter(disk_, options_.node, incarnation));
    incarnation_ = incarnation;
    CKPT_CHECK(drop_undone(disk_, catalog_, undone));
    lineages_.clear();
    bases_.clear();
    newest_ = 0;
    return learn_bases();
}

Status PageStore::fence(const std::string &directory, const std::string &node,
                        std::uint32_t incarnation) {
    CKPT_CHECK(check_node_name(node));
    return Ownership::fence(CKPT_TRY(Disk::open(directory)), node, incarnation);
}

Status PageStore::drop(const std::string &directory, const std::string &node,
                       const std::function<bool(const Manifest &)> &undone) {
    const Disk disk = CKPT_TRY(Disk::open(directory));
    const Catalog catalog(disk, node);
    if (!disk.exists(catalog.folder()))
        return {};
    return drop_undone(disk, catalog, undone);
}

Result<std::vector<std::string>> PageStore::nodes(const std::string &directory) {
    return list_nodes(CKPT_TRY(Disk::open(directory)));
}

} // namespace ckpt
