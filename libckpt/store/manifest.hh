// SPDX-License-Identifier: GPL-2.0-only
// Manifests on disk: what makes a node checkpoint exist
// (checkpoint-format.rst, "Manifest").
#pragma once

#include <cstddef>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "libckpt/base/result.hh"
#include "libckpt/io/disk.hh"
#include "libckpt/store/index_run.hh"
#include "libckpt/store/page_store.hh"

namespace ckpt {

// Where one guest's checkpoint is stored.
struct GuestStorage {
    tlckpt_item_state state{};
    RunList runs;
};

struct StoredManifest {
    Manifest manifest;
    // Of manifest.guests, in their order, then of manifest.disks.
    std::vector<GuestStorage> storage;

    // The place in `storage` of a guest's or disk's image; -1: not in this
    // checkpoint.
    int find(const Uuid &image) const;
    Pfn pfn_limit(std::size_t place) const;
    // A guest's entry; a disk's in a guest's form, and of no kind.
    GuestEntry entry(std::size_t place) const;
    // Captured disks, in front of the others; all guests are there.
    void add_disks(std::vector<DiskEntry> disks, std::vector<GuestStorage> images);
};

// The blocks of a disk.
constexpr std::uint64_t disk_blocks(std::uint64_t bytes) {
    return (bytes + TLCKPT_BLOCK - 1) / TLCKPT_BLOCK;
}

std::vector<std::byte> encode_manifest(const StoredManifest &stored);
// EBADMSG, EPROTONOSUPPORT; `where` starts the message.
Result<StoredManifest> decode_manifest(std::span<const std::byte> bytes, std::string_view where);

inline constexpr const char *kNodesFolder = "nodes";

// The manifests of one node, read from disk at each call: another process may
// write them.
class Catalog {
  public:
    Catalog(const Disk &disk, const std::string &node);

    const std::string &folder() const { return folder_; }
    std::string path(Sn sn) const;
    bool has(Sn sn) const { return disk_.exists(path(sn)); }
    // Ascending.
    Result<std::vector<Sn>> indexes() const;
    // ENOENT, EBADMSG, EPROTONOSUPPORT.
    Result<StoredManifest> read(Sn sn) const;
    // Makes it durable, in place of an older one of the same index.
    Status put(const StoredManifest &stored) const;
    Status remove(Sn sn) const;

  private:
    const Disk &disk_;
    std::string folder_;
};

// The nodes that have a part in this store.
Result<std::vector<std::string>> list_nodes(const Disk &disk);

} // namespace ckpt
