// SPDX-License-Identifier: GPL-2.0-only
#include "daemon/doctor/host.hh"

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sstream>

#include <gtest/gtest.h>

#include "daemon/cli/render.hh"

namespace ckpt::doctor {
namespace {

using namespace control;

// A host as its /proc and /sys show it.
class Host {
  public:
    Host() {
        std::string name = std::filesystem::temp_directory_path() / "doctor-XXXXXX";
        root_ = ::mkdtemp(name.data());
        put("/proc/sys/kernel/osrelease", "6.1.0-56-amd64");
        put("/sys/hypervisor/type", "xen");
        put("/sys/hypervisor/version/major", "4");
        put("/sys/hypervisor/version/minor", "17");
        put("/sys/hypervisor/version/extra", ".7");
        put("/proc/xen/capabilities", "control_d");
    }
    ~Host() { std::filesystem::remove_all(root_); }
    void put(const std::string &path, const std::string &text) {
        std::filesystem::create_directories(std::filesystem::path(root_ + path).parent_path());
        std::ofstream(root_ + path) << text << "\n";
    }
    // The verdict about one subject.
    std::string verdict(const std::string &subject, const Needs &needs = {}) const {
        for (const Finding &finding : examine_host(needs, root_))
            if (finding.subject == subject) {
                EXPECT_TRUE(finding.verdict == kOk || !finding.advice.empty()) << subject;
                return finding.verdict;
            }
        return "none";
    }
    std::string all() const { return worst(examine_host({}, root_)); }

  private:
    std::string root_;
};

TEST(HostDoctor, GoodHost) {
    Host host;
    EXPECT_EQ(host.all(), kOk);
    EXPECT_EQ(host.verdict("module", {.cluster = true}), kRefuse);
    host.put("/sys/module/tlckpt/version", "0.1");
    EXPECT_EQ(host.verdict("module", {.cluster = true}), kOk);
}

TEST(HostDoctor, WhatIsMissing) {
    Host host;
    host.put("/sys/hypervisor/version/minor", "18");
    EXPECT_EQ(host.verdict("xen"), kRefuse);
    host.put("/proc/xen/capabilities", "");
    EXPECT_EQ(host.verdict("dom0"), kRefuse);
    host.put("/sys/hypervisor/type", "");
    EXPECT_EQ(host.verdict("xen"), kRefuse);
    EXPECT_EQ(host.verdict("dom0"), "none");
    EXPECT_EQ(host.verdict("xen", {.xen = false}), "none");
    host.put("/proc/sys/kernel/osrelease", "5.10.0");
    EXPECT_EQ(host.verdict("kernel"), kWarn);
}

TEST(HostDoctor, ExitCodeIsOfTheWorst) {
    std::ostringstream out;
    EXPECT_EQ(cli::render_doctor({kOk, {{kNodeItself, "kernel", kOk, "Linux", ""}}}, out), 0);
    EXPECT_EQ(cli::render_doctor({kWarn, {}}, out), 3);
    EXPECT_EQ(cli::render_doctor({kRefuse, {{"guest g1", "x", kRefuse, "bad", "change it"}}}, out), 1);
    EXPECT_NE(out.str().find("guest g1\n    refuse  x             bad\n"), std::string::npos);
    EXPECT_NE(out.str().find("-> change it\n"), std::string::npos);
}

} // namespace
} // namespace ckpt::doctor
