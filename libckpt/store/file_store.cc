// SPDX-License-Identifier: GPL-2.0-only
#include "libckpt/store/file_store.hh"

#include <sys/statvfs.h>

#include <algorithm>

#include "libckpt/base/assert.hh"
#include "libckpt/store/image.hh"

namespace ckpt {

Result<std::unique_ptr<PageStore>> PageStore::open(const StoreOptions &options) {
    CKPT_CHECK(check_node_name(options.node));
    auto disk = Disk::open(options.directory, options.disk_observer);
    const bool absent = disk.has_value() ? !disk->exists("superblock") : disk.error().is(ENOENT);
    if (absent && options.create && !options.read_only) {
        CKPT_CHECK(create_store(options.directory, options.disk_observer));
        disk = Disk::open(options.directory, options.disk_observer);
    }
    if (!disk.has_value())
        return wrap("store", std::move(disk).error());
    CKPT_CHECK(check_superblock(*disk));
    auto store = std::make_unique<FileStore>(options, std::move(*disk));
    if (auto status = store->start(); !status.has_value())
        return wrap("store", std::move(status).error());
    return store;
}

FileStore::FileStore(StoreOptions options, Disk disk)
    : options_(std::move(options)), disk_(std::move(disk)), catalog_(disk_, options_.node) {}

Status FileStore::start() {
    if (options_.read_only)
        return {};
    incarnation_ = options_.incarnation
                       ? *options_.incarnation
                       : CKPT_TRY(Ownership::incarnation(disk_, options_.node));
    ownership_ = CKPT_TRY(Ownership::take(disk_, options_.node, incarnation_));
    io_ = CKPT_TRY(IoThread::start(options_.arena ? options_.arena->slots()
                                                  : std::vector<std::span<std::byte>>()));
    if (options_.logger && options_.arena && !io_->fixed_buffers())
        options_.logger->info("store {}: pages can't be locked in memory (ulimit -l); each write "
                              "pins its own",
                              options_.directory);
    return learn_bases();
}

// On what each guest's next increment builds: its newest checkpoint, by
// incarnation and index.
Status FileStore::learn_bases() {
    std::map<Uuid, std::uint32_t> newest; // incarnation
    for (Sn sn : CKPT_TRY(catalog_.indexes())) {
        auto stored = catalog_.read(sn);
        if (!stored.has_value()) {
            if (options_.logger)
                options_.logger->error("{}", stored.error().message());
            continue;
        }
        const Manifest &manifest = stored->manifest;
        if (manifest.incarnation == incarnation_)
            newest_ = std::max(newest_, sn);
        for (std::size_t i = 0; i < stored->storage.size(); i++) {
            const Uuid uuid = stored->entry(i).uuid;
            if (stored->find(uuid) < 0)
                continue; // a disk without an image
            if (bases_.contains(uuid) && newest[uuid] > manifest.incarnation)
                continue; // else the index is higher: they come in ascending order
            newest[uuid] = manifest.incarnation;
            bases_[uuid] = {0, true, sn, std::move(stored->storage[i].runs)};
        }
    }
    return {};
}

Status FileStore::may_write() const {
    if (options_.read_only)
        return fail(EROFS, "store {}: opened for reading only", options_.directory);
    return {};
}

Result<std::shared_ptr<Lineage>> FileStore::lineage(const Uuid &uuid) {
    std::lock_guard lock(lineages_mutex_);
    if (auto found = lineages_.find(uuid); found != lineages_.end())
        return found->second;
    auto made = std::make_shared<Lineage>(disk_, uuid,
                                          Producer{options_.node, incarnation_},
                                          options_.segment_bytes);
    CKPT_CHECK(made->files.prepare());
    if (auto base = bases_.extract(uuid)) {
        made->tip = made->committed = std::move(base.mapped());
    }
    lineages_.emplace(uuid, made);
    return made;
}

Result<std::unique_ptr<GuestWriter>> FileStore::begin_guest(const Uuid &uuid) {
    CKPT_CHECK(may_write());
    return CKPT_TRY(GuestPart::begin(CKPT_TRY(lineage(uuid)), *io_));
}

Status FileStore::commit(Manifest manifest, std::span<const std::unique_ptr<GuestWriter>> parts) {
    CKPT_CHECK(may_write());
    std::lock_guard lock(commit_mutex_);
    if (catalog_.has(manifest.sn))
        return fail(EEXIST, "store {}: checkpoint {}", options_.directory, manifest.sn);
    if (manifest.sn <= newest_)
        return fail(EINVAL, "store {}: checkpoint {} is not above {}, the newest of incarnation {}",
                    options_.directory, manifest.sn, newest_, incarnation_);
    StoredManifest stored{std::move(manifest), {}};
    stored.manifest.node = options_.node;
    stored.manifest.incarnation = incarnation_;
    stored.manifest.guests.clear();
    std::erase_if(stored.manifest.disks,
                  [](const DiskEntry &disk) { return disk.kind == DiskKind::captured; });
    std::vector<DiskEntry> disks;
    std::vector<GuestStorage> of_disks;
    std::vector<GuestPart *> own;
    for (const auto &writer : parts) {
        auto *part = dynamic_cast<GuestPart *>(writer.get());
        CKPT_ASSERT(part);
        CKPT_CHECK(part->check_commit());
        if (std::ranges::find(own, part->guest(), &GuestPart::guest) != own.end())
            return fail(EINVAL, "store {}: checkpoint {} has guest {} twice", options_.directory,
                        stored.manifest.sn, part->guest().to_string());
        own.push_back(part);
        if (part->disk()) {
            disks.push_back(*part->disk());
            of_disks.push_back(part->storage());
            continue;
        }
        stored.manifest.guests.push_back(part->entry());
        stored.manifest.times.raise_to(part->entry().times);
        stored.storage.push_back(part->storage());
    }
    stored.add_disks(std::move(disks), std::move(of_disks));
    CKPT_CHECK(ownership_->check(disk_, options_.node, incarnation_));
    CKPT_CHECK(put_manifest(stored, own));
    newest_ = stored.manifest.sn;
    for (GuestPart *part : own)
        part->committed(newest_);
    return {};
}

Status FileStore::put_manifest(const StoredManifest &stored, std::span<GuestPart *const> parts) {
    StoredManifest copy = stored;
    Manifest &manifest = copy.manifest;
    if (manifest.durable_ns == 0 && manifest.cut_wall_ns != 0)
        manifest.durable_ns = wall_clock_ns() - manifest.cut_wall_ns;
    Status status = catalog_.put(copy);
    if (status.has_value() || !catalog_.has(manifest.sn))
        return status;
    // It has its name, but is not known to be durable: take it back, and if
    // that is not durable either, leave the pages that it would refer to.
    Status back = catalog_.remove(manifest.sn);
    if (back.has_value())
        back = disk_.sync_dir(catalog_.folder());
    if (!back.has_value())
        for (GuestPart *part : parts)
            part->keep();
    return status;
}

Status FileStore::check_owner() {
    if (options_.read_only)
        return {};
    return ownership_->check(disk_, options_.node, incarnation_);
}

Result<std::vector<Manifest>> FileStore::list() {
    std::vector<Manifest> manifests;
    if (!disk_.exists(catalog_.folder()))
        return manifests;
    for (Sn sn : CKPT_TRY(catalog_.indexes())) {
        auto stored = catalog_.read(sn);
        if (!stored.has_value() && stored.error().is(ENOENT))
            continue; // collected meanwhile
        if (stored.has_value()) {
            manifests.push_back(std::move(stored->manifest));
        } else {
            manifests.emplace_back().sn = sn;
            manifests.back().damage = stored.error().message();
        }
    }
    return manifests;
}

Result<Manifest> FileStore::manifest(Sn sn) { return CKPT_TRY(catalog_.read(sn)).manifest; }

Result<std::unique_ptr<ImageReader>> FileStore::open_image(Sn sn, const Uuid &uuid) {
    return open_stored_image(disk_, catalog_, sn, uuid);
}

Result<std::vector<Uuid>> FileStore::guests() const {
    std::vector<Uuid> uuids;
    for (const FileInfo &file : CKPT_TRY(disk_.list(kGuestsFolder)))
        if (auto uuid = Uuid::parse(file.name))
            uuids.push_back(*uuid);
    return uuids;
}

Result<StoreUsage> FileStore::usage() {
    StoreUsage usage;
    for (const char *folder : {kNodesFolder, kGuestsFolder})
        for (const FileInfo &sub : CKPT_TRY(disk_.list(folder))) {
            auto files = disk_.list(fmt::format("{}/{}", folder, sub.name));
            if (!files.has_value() && files.error().is(ENOENT))
                continue; // collected meanwhile
            for (const FileInfo &file : CKPT_TRY(std::move(files)))
                usage.bytes += file.allocated;
        }
    struct statvfs fs{};
    if (::statvfs(options_.directory.c_str(), &fs) != 0)
        return fail(errno, "store {}", options_.directory);
    usage.free_bytes = std::uint64_t{fs.f_bavail} * fs.f_frsize;
    return usage;
}

} // namespace ckpt
