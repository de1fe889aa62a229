// SPDX-License-Identifier: GPL-2.0-only
#include "daemon/system/history.hh"

#include <algorithm>
#include <set>

#include "daemon/xl.hh"
#include "libckpt/restore/restore_stream.hh"

namespace ckpt {

namespace {

Result<std::unique_ptr<PageStore>> open_part(const StoreView &view, const std::string &part) {
    StoreOptions options;
    options.directory = view.directory;
    options.node = part;
    options.read_only = true;
    return PageStore::open(options);
}

CatalogueEntry entry_of(const Manifest &manifest, NodeId group, const StoreView &view,
                        NodeId node) {
    CatalogueEntry entry{{manifest.sn, manifest.prev, manifest.incarnation, true},
                         manifest.cut_wall_ns, 0, 0};
    for (const GuestEntry &guest : manifest.guests)
        if (view.group_of(guest.uuid, node) == group)
            entry.bytes += guest.nr_pages * kPageSize;
    if (auto log = read_channel(view.directory, manifest.node, manifest.sn))
        entry.frames = log->size();
    return entry;
}

// The part and the manifest that have `group` at `index`; the newest
// incarnation's, should several have that index.
Result<std::pair<std::string, Manifest>> find_capture(const StoreView &view, NodeId group,
                                                      Sn index) {
    std::optional<std::pair<std::string, Manifest>> found;
    for (const auto &[part, node] : view.parts) {
        auto store = open_part(view, part);
        auto manifest = store ? (*store)->manifest(index) : Result<Manifest>(
                                                                tl::unexpected(store.error()));
        if (!manifest)
            continue;
        bool has = std::ranges::any_of(manifest->guests, [&](const GuestEntry &guest) {
            return view.group_of(guest.uuid, node) == group;
        });
        if (has && (!found || found->second.incarnation < manifest->incarnation))
            found.emplace(part, std::move(*manifest));
    }
    if (!found)
        return fail(ENOENT, "store {}: no checkpoint {} of node {}'s guests", view.directory, index,
                    group);
    return std::move(*found);
}

Status restore_paused(PageStore &store, Sn index, const GuestEntry &guest) {
    auto image = CKPT_TRY(store.open_image(index, guest.uuid));
    // An earlier life of it, or an attempt of ours that was cut short.
    [[maybe_unused]] auto gone = run_xl({"destroy", guest.name});
    return run_xl({"restore", "-p", "/proc/self/fd/0"}, [&](int fd) {
        return write_restore_stream(*image, fd, [](auto, auto) { return true; });
    });
}

} // namespace

NodeId StoreView::group_of(const Uuid &uuid, NodeId taken_by) const {
    auto found = groups.find(uuid.to_string());
    return found == groups.end() ? taken_by : found->second;
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
            std::set<NodeId> has;
            for (const GuestEntry &guest : manifest.guests)
                has.insert(view.group_of(guest.uuid, known->second));
            for (NodeId group : has)
                groups[group].push_back(entry_of(manifest, group, view, known->second));
        }
    }
    for (auto &[group, entries] : groups)
        std::ranges::sort(entries, {}, [](const CatalogueEntry &e) {
            return std::pair(e.capture.index, e.capture.incarnation);
        });
    return groups;
}

GuestGroup to_group(NodeId node, const std::vector<CatalogueEntry> &entries) {
    GuestGroup group{node, {}, {}};
    for (const CatalogueEntry &entry : entries)
        group.captures.push_back(entry.capture);
    return group;
}

bool undone(const Manifest &manifest, const std::vector<Rollback> &rollbacks) {
    return std::ranges::any_of(rollbacks, [&](const Rollback &rollback) {
        return manifest.incarnation < rollback.incarnation && manifest.prev >= rollback.k;
    });
}

Result<BroughtBack> bring_back(const StoreView &view, NodeId group, Sn index, Logger &logger) {
    auto [part, manifest] = CKPT_TRY(find_capture(view, group, index));
    auto store = CKPT_TRY(open_part(view, part));
    BroughtBack back;
    back.log = CKPT_TRY(read_channel(view.directory, part, index));
    for (const GuestEntry &guest : manifest.guests) {
        if (view.group_of(guest.uuid, view.parts.at(part)) != group)
            continue;
        if (auto done = restore_paused(*store, index, guest); !done)
            return wrap(fmt::format("guest {} at checkpoint {} of {}", guest.name, index, part),
                        done.error());
        logger.info("guest {} is back at checkpoint {} of {}, paused", guest.name, index, part);
        back.names.push_back(guest.name);
    }
    return back;
}

} // namespace ckpt
