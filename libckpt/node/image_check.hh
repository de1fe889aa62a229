// SPDX-License-Identifier: GPL-2.0-only
// Rig only: is the image that a capture gives the suspended guest, page by
// page? It follows every page copied, by a checksum, and compares with a full
// re-read of the guest that does not trust the dirty log.
#pragma once

#include <cstdint>
#include <vector>

#include "libckpt/io/page_batch.hh"
#include "libckpt/node/node_checkpointer.hh"
#include "libckpt/vm/guest_backend.hh"

namespace ckpt {

class ImageCheck {
  public:
    explicit ImageCheck(Pfn limit) : sums_(limit, kNone) {}

    // These pages are part of the image from now on.
    void note(const PageBatch &batch);
    // What was noted of these never reached a committed image.
    void forget(const PageSet &pages);
    void forget_all() { sums_.assign(sums_.size(), kNone); }
    // Compares with the suspended guest.
    Result<VerifyResult> compare(Guest &guest) const;

  private:
    // Of a page without contents, and of one that is not in the image.
    static constexpr std::uint64_t kNone = 0, kLost = 1;
    static std::uint64_t sum(const std::byte *data);

    std::vector<std::uint64_t> sums_; // by pfn
};

} // namespace ckpt
