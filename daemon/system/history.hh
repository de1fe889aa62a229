// SPDX-License-Identifier: GPL-2.0-only
// What the shared store has of every group of guests, and how a group comes
// back from it. Everything here blocks: for a background thread.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "daemon/cluster/words.hh"
#include "libckpt/base/log.hh"
#include "libckpt/disk/disk_provider.hh"
#include "libckpt/store/channel_log.hh"
#include "libckpt/store/page_store.hh"

namespace ckpt {

// How to read the store: copied, so that a background thread has its own.
struct StoreView {
    std::string directory;
    std::map<std::string, NodeId> parts;   // a node's part of the store -> its id
    std::map<std::string, GroupId> groups; // a guest's uuid -> its group
    DiskProvider *disks = nullptr;         // for disks of guests that come back

    // Rule: a guest that nobody has put down belongs to the node that took it.
    GroupId group_of(const Uuid &uuid, NodeId taken_by) const;
};

using Groups = std::map<GroupId, std::vector<CatalogueEntry>>;

// What a checkpoint is to one of its groups, its channel log left aside.
CatalogueEntry catalogue_entry(const Manifest &manifest, GroupId group, const StoreView &view);

// All groups, index rising.
Result<Groups> read_groups(const StoreView &view);

// The same for the protocol's machines.
GuestGroup to_group(GroupId id, const std::vector<CatalogueEntry> &entries);

// Rule R11: a rollback to line k undid the captures of older incarnations that
// stand for no line up to k.
struct Rollback {
    Sn k = 0;
    Incarnation incarnation = 0;
};
bool undone(const Manifest &manifest, const std::vector<Rollback> &rollbacks);

// Guests that were put back, and what they are to receive again (R12).
struct BroughtBack {
    std::vector<std::string> names;
    std::vector<ChannelFrame> log; // of their checkpoint
};

// Guests of `group` as they were at `index`, built by `xl restore` and left
// paused; what runs of them here is destroyed first.
Result<BroughtBack> bring_back(const StoreView &view, GroupId group, Sn index, Logger &logger);

} // namespace ckpt
