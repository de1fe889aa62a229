// SPDX-License-Identifier: GPL-2.0-only
#include "libckpt/vm/xen_disks.hh"

#include <charconv>
#include <cstdio>

namespace ckpt::xen {
namespace {

std::uint32_t number(const std::string &text) {
    std::uint32_t value = 0;
    std::from_chars(text.data(), text.data() + text.size(), value);
    return value;
}

// A device model's `params` begin with the format: "aio:/srv/disk".
void take_params(DiskInfo &disk, const std::string &params) {
    const auto colon = disk.driver == "phy" ? params.npos : params.find(':');
    disk.target = colon == params.npos ? params : params.substr(colon + 1);
    disk.format = colon == params.npos ? "" : params.substr(0, colon);
}

// Of the two sockets at which libxl has QEMU listen, the one that it does not use itself.
std::string monitor_of(std::uint32_t domid) {
    return fmt::format("/var/run/xen/qmp-libxenstat-{}", domid);
}

} // namespace

// Frontend directories belong to the guest; libxl's own are Dom0's alone.
std::vector<DiskInfo> disks_of(const Xenstore &store, std::uint32_t domid) {
    std::vector<DiskInfo> disks;
    const std::string devices = fmt::format("/libxl/{}/device/vbd", domid);
    for (const std::string &id : store.children(devices)) {
        const std::string backend =
            store.read(fmt::format("{}/{}/backend", devices, id)).value_or("");
        auto word = [&](const char *node) { return store.read(backend + "/" + node).value_or(""); };
        if (backend.empty() || word("device-type") == "cdrom")
            continue;
        DiskInfo disk;
        disk.number = number(id);
        disk.name = word("dev");
        disk.driver = word("type");
        if (backend.find("/backend/vbd/") == backend.npos)
            disk.driver = "qdisk";
        take_params(disk, word("params"));
        disk.read_only = word("mode") != "w";
        std::sscanf(backend.c_str(), "/local/domain/%u/", &disk.backend);
        if (disk.driver == "qdisk" && disk.backend == 0)
            disk.monitor = monitor_of(domid);
        std::sscanf(word("physical-device").c_str(), "%x:%x", &disk.major, &disk.minor);
        disks.push_back(std::move(disk));
    }
    return disks;
}

} // namespace ckpt::xen
