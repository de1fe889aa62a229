// SPDX-License-Identifier: GPL-2.0-only
// A disk of a guest, as its toolstack has set it up.
#pragma once

#include <cstdint>
#include <string>

namespace ckpt {

struct DiskInfo {
    std::string name;   // the guest's word for it: "xvda"
    std::string target; // in Dom0: "/dev/vg/g1", "/srv/g1.qcow2"
    std::string driver; // what serves it: "phy" (blkback), "qdisk" (a device model), ...
    std::string format{};  // of a file that a device model serves: "qcow2", "aio" (raw)
    std::string monitor{}; // QMP socket of that device model
    std::uint32_t backend = 0; // domain that serves it
    std::uint32_t number = 0;  // the guest's number of it: never changes
    std::uint32_t major = 0, minor = 0; // of the block device; 0, 0: not known
    bool read_only = false;
    bool operator==(const DiskInfo &) const = default;
};

} // namespace ckpt
