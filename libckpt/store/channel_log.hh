// SPDX-License-Identifier: GPL-2.0-only
// The channel log of a node checkpoint (com, R12): frames in transit at it,
// beside its manifest (checkpoint-format.rst, "Channel log"). Appended to while
// late frames come, so it is not part of the commit: a torn end is no damage.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "libckpt/base/result.hh"

namespace ckpt {

struct ChannelFrame {
    std::uint64_t from = 0, to = 0;  // logged for the indexes in (from, to]
    std::uint64_t sn = 0;            // of its stamp
    std::uint32_t incarnation = 0;   // of its stamp
    std::uint16_t peer = 0;          // its sender; 0: a guest of the node itself
    std::string bytes;               // from its link-layer header on

    bool operator==(const ChannelFrame &) const = default;
};

// On stable storage when it returns.
Status append_channel(const std::string &directory, const std::string &node, std::uint64_t sn,
                      std::span<const ChannelFrame> frames);
// In the order in which they were logged; none if there is no log.
Result<std::vector<ChannelFrame>> read_channel(const std::string &directory,
                                               const std::string &node, std::uint64_t sn);

// Its name below the store's directory.
std::string channel_path(const std::string &node, std::uint64_t sn);

} // namespace ckpt
