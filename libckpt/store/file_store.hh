// SPDX-License-Identifier: GPL-2.0-only
// The page store in a directory (local, NFS):
//
//   superblock                     what this is, its format version
//   nodes/NODE/lock, owner         who writes the node's part
//   nodes/NODE/SN.manifest         one per committed node checkpoint
//   guests/UUID/ID.segment, .run   a guest's pages and index
//   guests/UUID/readers            locked while its files are read
#pragma once

#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "libckpt/io/disk.hh"
#include "libckpt/io/io_thread.hh"
#include "libckpt/store/gc.hh"
#include "libckpt/store/guest_part.hh"
#include "libckpt/store/lineage.hh"
#include "libckpt/store/manifest.hh"
#include "libckpt/store/ownership.hh"
#include "libckpt/store/page_store.hh"

namespace ckpt {

class FileStore : public PageStore {
  public:
    FileStore(StoreOptions options, Disk disk);

    // Before all others. Takes the right to write, unless read_only.
    Status start();

    Result<std::unique_ptr<GuestWriter>> begin_guest(const Uuid &uuid) override;
    Status commit(Manifest manifest,
                  std::span<const std::unique_ptr<GuestWriter>> parts) override;
    Result<std::vector<Manifest>> list() override;
    Result<Manifest> manifest(Sn sn) override;
    Result<std::unique_ptr<ImageReader>> open_image(Sn sn, const Uuid &uuid) override;
    Result<VerifyReport> verify(const Progress &progress) override;
    Result<GcReport> collect_garbage(Sn keep_from, bool dry_run) override;
    Result<StoreUsage> usage() override;
    Status enter_incarnation(std::uint32_t incarnation,
                             const std::function<bool(const Manifest &)> &undone) override;
    Status check_owner() override;

  private:
    Status learn_bases();
    Status may_write() const;
    Result<std::shared_ptr<Lineage>> lineage(const Uuid &uuid);
    Status put_manifest(const StoredManifest &stored, std::span<GuestPart *const> parts);
    Result<std::vector<Uuid>> guests() const;
    Status drop_manifests(Sn keep_from, bool dry_run, GcReport &report);
    Result<std::vector<StoredManifest>> manifests_of(const std::string &node, Sn from) const;
    Status forget_unused(const Uuid &guest);

    const StoreOptions options_;
    std::uint32_t incarnation_ = 0; // changes with all locks held
    const Disk disk_;
    const Catalog catalog_;
    std::optional<Ownership> ownership_;
    std::unique_ptr<IoThread> io_;

    std::mutex gc_mutex_;     // one collection at a time; the outermost lock
    std::mutex commit_mutex_; // manifests change; protects the newest index
    Sn newest_ = 0;           // of this incarnation
    std::mutex lineages_mutex_;
    std::map<Uuid, std::shared_ptr<Lineage>> lineages_;
    // The newest committed at start, of guests not in lineages_.
    std::map<Uuid, Lineage::Tip> bases_;
};

} // namespace ckpt
