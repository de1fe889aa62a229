// SPDX-License-Identifier: GPL-2.0-only
// The disks of a domain, from where libxl keeps them in xenstore.
#pragma once

#include <vector>

#include "libckpt/vm/disk_info.hh"
#include "libckpt/vm/xen_handles.hh"

namespace ckpt::xen {

std::vector<DiskInfo> disks_of(const Xenstore &store, std::uint32_t domid);

} // namespace ckpt::xen
