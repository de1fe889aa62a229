// SPDX-License-Identifier: GPL-2.0-only
// Which checkpoints are dropped.
#pragma once

#include <limits>

#include "libckpt/store/page_store.hh"

namespace ckpt {

inline constexpr Sn kNoSn = std::numeric_limits<Sn>::max();

// The oldest index to keep: the `keep` newest stay (0: all), and whatever is
// not older than `pinned`. The newest durable checkpoint always stays: a node
// alone has it as its member of L(K) (Rule R13). 0: nothing is there yet.
Sn oldest_kept(std::span<const Manifest> manifests, std::uint64_t keep, Sn pinned);

// Drops what is older than that. Not on the control thread: it takes its time.
Result<GcReport> collect_garbage(PageStore &store, std::uint64_t keep, Sn pinned, bool dry_run);

} // namespace ckpt
