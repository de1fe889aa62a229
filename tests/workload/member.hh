// SPDX-License-Identifier: GPL-2.0-only
// Who is who: the id of a member (node, guest) and the vector clock over members.
#pragma once

#include <cstdint>
#include <map>
#include <string>

#include <fmt/format.h>

namespace ckpt::workload {

// A member of the workload: guest `guest` of node `node`; guest 0 is the node's Dom0.
struct MemberId {
    std::uint16_t node = 0;
    std::uint16_t guest = 0;

    std::uint32_t packed() const { return static_cast<std::uint32_t>(node) << 16 | guest; }
    static MemberId unpack(std::uint32_t packed) {
        return {static_cast<std::uint16_t>(packed >> 16), static_cast<std::uint16_t>(packed)};
    }
    auto operator<=>(const MemberId &) const = default;
    // "node.guest"
    std::string text() const { return fmt::format("{}.{}", node, guest); }
};

// Events per member known to have happened before now. Own events: each send and receive.
class VectorClock {
  public:
    static constexpr std::size_t kMaxMembers = 32;

    void count(MemberId own) { clock_[own]++; }
    // A member that finds no room is left out: the check then has no entry to compare.
    void merge(MemberId member, std::uint64_t events) {
        if (clock_.size() == kMaxMembers && !clock_.contains(member))
            return;
        std::uint64_t &known = clock_[member];
        known = known < events ? events : known;
    }
    std::uint64_t of(MemberId member) const {
        const auto found = clock_.find(member);
        return found == clock_.end() ? 0 : found->second;
    }
    const std::map<MemberId, std::uint64_t> &entries() const { return clock_; }

  private:
    std::map<MemberId, std::uint64_t> clock_;
};

} // namespace ckpt::workload
