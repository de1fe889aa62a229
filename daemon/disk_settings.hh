// SPDX-License-Identifier: GPL-2.0-only
// What the configuration says of disks.
#pragma once

#include <algorithm>

#include "daemon/config.hh"
#include "libckpt/disk/disk_provider.hh"

namespace ckpt {

// `config` and `provider` (which may be null) outlive it.
inline DiskSettings disk_settings(const Config &config, DiskProvider *provider) {
    return {provider, [&config](const GuestInfo &guest, const DiskInfo &disk) {
                return std::ranges::any_of(config.disks_exclude, [&](const std::string &one) {
                    return one == guest.name + "/" + disk.name ||
                           one == guest.uuid.to_string() + "/" + disk.name;
                });
            }};
}

} // namespace ckpt
