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
    std::vector<GuestStorage> storage; // of manifest.guests, in their order

    // The guest's place in both lists; -1: not in this checkpoint.
    int find(const Uuid &guest) const;
};

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
