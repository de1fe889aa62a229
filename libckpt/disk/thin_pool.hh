// SPDX-License-Identifier: GPL-2.0-only
// A device-mapper thin pool: its devices, its room, its maps.
#pragma once

#include <cstdint>
#include <string>

#include "libckpt/base/result.hh"
#include "libckpt/disk/device_mapper.hh"
#include "libckpt/disk/thin_map.hh"

namespace ckpt {

// A thin device, as the kernel has it.
struct ThinDevice {
    dm::Device device;
    std::string pool; // name of the pool's device
    std::uint32_t id = 0;

    // EXDEV: the block device is no thin device, and what it is.
    static Result<ThinDevice> find(std::uint32_t major, std::uint32_t minor);
};

struct ThinPool {
    dm::Device device;
    std::string metadata; // device node
    std::uint64_t block_bytes = 0;
    bool zeroes = true; // new blocks

    static Result<ThinPool> find(const std::string &name);

    // How full it is, in percent: of data or metadata, whichever is fuller.
    // EIO: it has failed, or wants to be checked; EROFS: out of metadata.
    Result<unsigned> usage() const;
    Status create_snapshot(std::uint32_t id, std::uint32_t origin) const;
    Status create_thin(std::uint32_t id) const;
    Status remove(std::uint32_t id) const;
    // Its devices as /dev/dm-N, with the name `name`.
    Result<dm::Device> activate(std::uint32_t id, std::uint64_t sectors, const std::string &name,
                                bool read_only) const;
    // What device `id` has; or, with a base, how it differs from that one. One
    // at a time for a pool.
    Result<DiskExtents> extents(std::uint32_t id, std::uint32_t base, std::uint64_t bytes) const;
};

} // namespace ckpt
