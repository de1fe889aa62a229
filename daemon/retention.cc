// SPDX-License-Identifier: GPL-2.0-only
#include "daemon/retention.hh"

#include <algorithm>

namespace ckpt {

Sn oldest_kept(std::span<const Manifest> manifests, std::uint64_t keep, Sn pinned) {
    if (manifests.empty())
        return 0;
    std::size_t kept = keep == 0 ? manifests.size() : std::min(keep, manifests.size());
    return std::min(manifests[manifests.size() - kept].sn, pinned);
}

Result<GcReport> collect_garbage(PageStore &store, std::uint64_t keep, Sn pinned, bool dry_run) {
    auto manifests = CKPT_TRY(store.list());
    return store.collect_garbage(oldest_kept(manifests, keep, pinned), dry_run);
}

} // namespace ckpt
