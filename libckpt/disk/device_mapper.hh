// SPDX-License-Identifier: GPL-2.0-only
// The kernel's device mapper, by libdevmapper: devices with one target.
// Thread-safe; suspend() and message() of different devices run side by side.
#pragma once

#include <cstdint>
#include <string>

#include "libckpt/base/result.hh"

namespace ckpt::dm {

struct Device {
    std::string name;
    std::uint32_t major = 0, minor = 0;
    std::uint64_t sectors = 0;
    std::string target, params; // "thin", "253:2 7"
    bool open = false;          // somebody uses it
    bool suspended = false;

    std::string node() const { return fmt::format("/dev/dm-{}", minor); }
};

// ENXIO: there is no such device; EXDEV: it has not exactly one target.
Result<Device> find(const std::string &name);
Result<Device> find(std::uint32_t major, std::uint32_t minor);
// The target's status line.
Result<std::string> status(const std::string &name);

// Waits for what is under way, and holds back what comes; no file system is frozen.
Status suspend(const std::string &name);
Status resume(const std::string &name);
Status message(const std::string &name, const std::string &text);

Result<Device> create(const std::string &name, std::uint64_t sectors, const std::string &target,
                      const std::string &params, bool read_only);
Status remove(const std::string &name);

} // namespace ckpt::dm
