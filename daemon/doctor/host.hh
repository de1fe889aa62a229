// SPDX-License-Identifier: GPL-2.0-only
// The pre-flight of the host itself: what can be told from /proc and /sys, by
// the daemon and, when that does not run, by the tool.
#pragma once

#include <string>
#include <vector>

#include "daemon/control/messages.hh"

namespace ckpt::doctor {

// What the host is needed for.
struct Needs {
    bool xen = true;      // false: guests inside the daemon
    bool cluster = false; // the kernel module has to be there
};

// `root` stands for "/", for tests.
std::vector<control::Finding> examine_host(const Needs &needs, const std::string &root = "");

// The verdict of all: that of the worst.
std::string worst(const std::vector<control::Finding> &findings);

} // namespace ckpt::doctor
