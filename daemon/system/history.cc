// SPDX-License-Identifier: GPL-2.0-only
#include "daemon/system/history.hh"

#include <algorithm>

#include "daemon/put_back.hh"
#include "daemon/xl.hh"

namespace ckpt {

namespace {

Result<std::unique_ptr<PageStore>> open_part(const StoreView &view, const std::string &part) {
    StoreOptions options;
    options.directory = view.directory;
    options.node = part;
    options.read_only = true;
    return PageStore::open(options);
}

// The part and the manifest that have `group` at `index`; the newest
// incarnation's, should several have that index.
Result<std::pair<std::string, Manifest>> find_capture(const StoreView &view, GroupId group,
                                                      Sn index) {
    std::optional<std::pair<std::string, Manifest>> found;
    for (const auto &[part, _] : view.parts) {
        auto store = open_part(view, part);
        auto manifest = store ? (*store)->manifest(index) : Result<Manifest>(
                                                                tl::unexpected(store.error()));
        if (!manifest)
            continue;
        if (std::ranges::count(manifest->groups, group) &&
            (!found || found->second.incarnation < manifest->incarnation))
            found.emplace(part, std::move(*manifest));
    }
    if (!found)
        return fail(ENOENT, "store {}: no checkpoint {} of group {}", view.directory, index,
                    group_name(group));
    return std::move(*found);
}

} // namespace

GroupId StoreView::group_of(const Uuid &uuid, NodeId taken_by) const {
    auto found = groups.find(uuid.to_string());
    return found == groups.end() ? taken_by : found->second;
}

CatalogueEntry catalogue_entry(const Manifest &manifest, GroupId group, const StoreView &view) {
    CatalogueEntry entry{{manifest.sn, manifest.prev, manifest.incarnation, true, true},
                         manifest.cut_wall_ns, 0, 0};
    for (const GuestEntry &guest : manifest.guests)
        if (view.group_of(guest.uuid, view.parts.at(manifest.node)) == group) {
            entry.capture.empty = false;
            entry.bytes += guest.nr_pages * kPageSize;
        }
    return entry;
}

Result<Groups> read_groups(const StoreView &view) {
    Groups groups;
    for (const std::string &part : CKPT_TRY(PageStore::nodes(view.directory))) {
        auto known = view.parts.find(part);
        if (known == view.parts.end())
            continue; // not of this cluster
        auto store = CKPT_TRY(open_part(view, part));
        for (const Manifest &manifest : CKPT_TRY(store->list())) {
            if (!manifest.damage.empty())
                continue;
            auto log = read_channel(view.directory, part, manifest.sn);
            for (GroupId group : manifest.groups) {
                groups[group].push_back(catalogue_entry(manifest, group, view));
                groups[group].back().frames = log ? log->size() : 0;
            }
        }
    }
    for (auto &[group, entries] : groups)
        std::ranges::sort(entries, {}, [](const CatalogueEntry &e) {
            return std::pair(e.capture.index, e.capture.incarnation);
        });
    return groups;
}

GuestGroup to_group(GroupId id, const std::vector<CatalogueEntry> &entries) {
    GuestGroup group{id, {}, {}};
    for (const CatalogueEntry &entry : entries)
        group.captures.push_back(entry.capture);
    return group;
}

bool undone(const Manifest &manifest, const std::vector<Rollback> &rollbacks) {
    return std::ranges::any_of(rollbacks, [&](const Rollback &rollback) {
        return manifest.incarnation < rollback.incarnation && manifest.prev >= rollback.k;
    });
}

Result<BroughtBack> bring_back(const StoreView &view, GroupId group, Sn index, Logger &logger) {
    auto [part, manifest] = CKPT_TRY(find_capture(view, group, index));
    auto store = CKPT_TRY(open_part(view, part));
    BroughtBack back;
    back.log = CKPT_TRY(read_channel(view.directory, part, index));
    for (const GuestEntry &guest : manifest.guests) {
        if (view.group_of(guest.uuid, view.parts.at(part)) != group)
            continue;
        // An earlier life of it, or an attempt of ours that was cut short.
        [[maybe_unused]] auto gone = run_xl({"destroy", guest.name});
        if (auto done = put_back(*store, view.disks, manifest, guest, {}); !done)
            return wrap(fmt::format("guest {} at checkpoint {} of {}", guest.name, index, part),
                        done.error());
        logger.info("guest {} is back at checkpoint {} of {}, paused", guest.name, index, part);
        back.names.push_back(guest.name);
    }
    return back;
}

} // namespace ckpt
