// SPDX-License-Identifier: GPL-2.0-only
#include "daemon/doctor/host.hh"

#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <fstream>

namespace ckpt::doctor {

namespace {

using control::Finding;
using control::kOk;
using control::kRefuse;
using control::kWarn;

// The libraries of a Xen release talk to its hypervisor only.
constexpr const char *kXenRelease = "4.17";
constexpr int kOldestMajor = 6, kOldestMinor = 1;

// The first line; empty if there is none.
std::string first_line(const std::string &path) {
    std::ifstream stream(path);
    std::string line;
    std::getline(stream, line);
    return line;
}

Finding kernel(const std::string &root) {
    const std::string release = first_line(root + "/proc/sys/kernel/osrelease");
    int major = 0, minor = 0;
    if (std::sscanf(release.c_str(), "%d.%d", &major, &minor) != 2)
        return {control::kNodeItself, "kernel", kWarn, "its release can't be told", "mount /proc"};
    if (major < kOldestMajor || (major == kOldestMajor && minor < kOldestMinor))
        return {control::kNodeItself, "kernel", kWarn, "Linux " + release,
                "older than all that this was tested with: run 6.1 or later in Dom0"};
    return {control::kNodeItself, "kernel", kOk, "Linux " + release, ""};
}

void xen(const std::string &root, std::vector<Finding> &findings) {
    if (first_line(root + "/sys/hypervisor/type") != "xen") {
        findings.push_back({control::kNodeItself, "xen", kRefuse, "this host does not run under Xen",
                            "boot it with the hypervisor"});
        return;
    }
    const std::string version = root + "/sys/hypervisor/version/";
    const std::string release = first_line(version + "major") + "." + first_line(version + "minor");
    const std::string found = "Xen " + release + first_line(version + "extra");
    if (release == kXenRelease)
        findings.push_back({control::kNodeItself, "xen", kOk, found, ""});
    else
        findings.push_back({control::kNodeItself, "xen", kRefuse, found,
                            std::string("this program speaks to Xen ") + kXenRelease +
                                ": build it on this host's release"});
    if (first_line(root + "/proc/xen/capabilities") == "control_d")
        findings.push_back({control::kNodeItself, "dom0", kOk, "this is the control domain", ""});
    else
        findings.push_back({control::kNodeItself, "dom0", kRefuse, "this is not the control domain",
                            "run tlckptd in Dom0, with xenfs on /proc/xen"});
}

Finding module(const std::string &root, bool needed) {
    std::error_code error;
    if (std::filesystem::exists(root + "/sys/module/tlckpt", error))
        return {control::kNodeItself, "module", kOk, "tlckpt is loaded", ""};
    if (needed)
        return {control::kNodeItself, "module", kRefuse, "tlckpt is not loaded", "modprobe tlckpt"};
    return {control::kNodeItself, "module", kOk, "tlckpt is not loaded, and a node alone needs it not", ""};
}

} // namespace

std::vector<Finding> examine_host(const Needs &needs, const std::string &root) {
    std::vector<Finding> findings{kernel(root)};
    if (needs.xen)
        xen(root, findings);
    findings.push_back(module(root, needs.cluster));
    return findings;
}

std::string worst(const std::vector<Finding> &findings) {
    for (const char *verdict : {kRefuse, kWarn})
        if (std::ranges::any_of(findings, [&](const Finding &f) { return f.verdict == verdict; }))
            return verdict;
    return kOk;
}

} // namespace ckpt::doctor
