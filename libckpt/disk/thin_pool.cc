// SPDX-License-Identifier: GPL-2.0-only
#include "libckpt/disk/thin_pool.hh"

#include <algorithm>
#include <cinttypes>
#include <cstdio>
#include <fstream>

#include "libckpt/disk/tool.hh"

namespace ckpt {

namespace {

// "/dev/dm-3" of "254:3": the kernel's own names, which need no udev.
Result<std::string> node_of(std::uint32_t major, std::uint32_t minor) {
    std::ifstream uevent(fmt::format("/sys/dev/block/{}:{}/uevent", major, minor));
    for (std::string line; std::getline(uevent, line);)
        if (line.starts_with("DEVNAME="))
            return "/dev/" + line.substr(8);
    return fail(ENXIO, "block device {}:{}", major, minor);
}

} // namespace

Result<ThinDevice> ThinDevice::find(std::uint32_t major, std::uint32_t minor) {
    ThinDevice thin;
    thin.device = CKPT_TRY(dm::find(major, minor));
    unsigned pool_major = 0, pool_minor = 0;
    if (thin.device.target != "thin" ||
        std::sscanf(thin.device.params.c_str(), "%u:%u %u", &pool_major, &pool_minor, &thin.id) != 3)
        return fail(EXDEV, "it is a device of type {}", thin.device.target);
    thin.pool = CKPT_TRY(dm::find(pool_major, pool_minor)).name;
    return thin;
}

Result<ThinPool> ThinPool::find(const std::string &name) {
    ThinPool pool;
    pool.device = CKPT_TRY(dm::find(name));
    unsigned major = 0, minor = 0;
    // LVM puts a linear device of its own on top of a pool.
    if (pool.device.target == "linear" &&
        std::sscanf(pool.device.params.c_str(), "%u:%u", &major, &minor) == 2)
        pool.device = CKPT_TRY(dm::find(major, minor));
    if (pool.device.target != "thin-pool" ||
        std::sscanf(pool.device.params.c_str(), "%u:%u", &major, &minor) != 2)
        return fail(EXDEV, "{} is no thin pool, but a device of type {}", name, pool.device.target);
    pool.metadata = CKPT_TRY(node_of(major, minor));
    // "METADATA DATA BLOCK_SECTORS LOW_WATER FEATURES..."
    unsigned long long sectors = 0;
    std::sscanf(pool.device.params.c_str(), "%*s %*s %llu", &sectors);
    pool.block_bytes = sectors * 512;
    pool.zeroes = pool.device.params.find("skip_block_zeroing") == pool.device.params.npos;
    return pool;
}

// "TRANSACTION METADATA_USED/ALL DATA_USED/ALL ..."
Result<unsigned> ThinPool::usage() const {
    const std::string status = CKPT_TRY(dm::status(device.name));
    std::uint64_t id, used_metadata, all_metadata, used, all;
    if (std::sscanf(status.c_str(), "%" SCNu64 " %" SCNu64 "/%" SCNu64 " %" SCNu64 "/%" SCNu64, &id,
                    &used_metadata, &all_metadata, &used, &all) != 5 ||
        !all_metadata || !all)
        return fail(EIO, "pool {} has failed: {}", device.name, status);
    if (status.find("needs_check") != status.npos || status.find(" ro ") != status.npos)
        return fail(EROFS, "pool {} takes no changes: {}", device.name, status);
    return static_cast<unsigned>(std::max(used_metadata * 100 / all_metadata, used * 100 / all));
}

Status ThinPool::create_snapshot(std::uint32_t id, std::uint32_t origin) const {
    return dm::message(device.name, fmt::format("create_snap {} {}", id, origin));
}

Status ThinPool::create_thin(std::uint32_t id) const {
    return dm::message(device.name, fmt::format("create_thin {}", id));
}

Status ThinPool::remove(std::uint32_t id) const {
    return dm::message(device.name, fmt::format("delete {}", id));
}

Result<dm::Device> ThinPool::activate(std::uint32_t id, std::uint64_t sectors,
                                      const std::string &name, bool read_only) const {
    return dm::create(name, sectors, "thin",
                      fmt::format("{}:{} {}", device.major, device.minor, id), read_only);
}

Result<DiskExtents> ThinPool::extents(std::uint32_t id, std::uint32_t base,
                                      std::uint64_t bytes) const {
    auto reserved = dm::message(device.name, "reserve_metadata_snap");
    if (!reserved && reserved.error().is(EBUSY)) { // left by one that was killed
        CKPT_CHECK(dm::message(device.name, "release_metadata_snap"));
        reserved = dm::message(device.name, "reserve_metadata_snap");
    }
    CKPT_CHECK(std::move(reserved));
    const std::string first = std::to_string(base), second = std::to_string(id);
    auto text = base ? run_tool({"thin_delta", "-m", "--snap1", first, "--snap2", second, metadata})
                     : run_tool({"thin_dump", "-m", "--dev-id", second, metadata});
    CKPT_CHECK(dm::message(device.name, "release_metadata_snap"));
    const std::string xml = CKPT_TRY(std::move(text));
    return base ? parse_thin_delta(xml, bytes) : parse_thin_dump(xml, bytes);
}

} // namespace ckpt
