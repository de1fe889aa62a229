// SPDX-License-Identifier: GPL-2.0-only
#include "tests/workload/options.hh"

#include <cstdlib>
#include <fstream>

#include <arpa/inet.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <netinet/in.h>

#include "tests/workload/address.hh"

namespace ckpt::workload {
namespace {
using testing::HasSubstr;

TEST(Options, ReadsBothForms) {
    const auto options = parse_options({"--id", "2.1", "--dirty=5", "--hot", "70:20", "--peer",
                                        "1.1@10.0.0.1,1.2@10.0.0.2:99", "--peer", "2.1@10.0.0.3"});
    ASSERT_TRUE(options.has_value()) << options.error().message();
    EXPECT_EQ(options->id, (MemberId{2, 1}));
    EXPECT_EQ(options->dirty_rate, 5U);
    EXPECT_EQ(options->memory.hot_writes, 70U);
    EXPECT_EQ(options->memory.hot_pages, 20U);
    ASSERT_EQ(options->peers.size(), 2U) << "itself left out";
    EXPECT_EQ(options->peers[1].address, "10.0.0.2:99");
}

TEST(Options, ReadsTheKernelCommandLine) {
    char path[] = "/tmp/cmdline-XXXXXX";
    close(mkstemp(path));
    std::ofstream(path) << "root=/dev/x wl.id=1.2 quiet wl.pages=64 wl.peer=1.1@[fe80::1]:7 wl\n";
    const auto options = parse_options({"--pages", "32", "--cmdline", path, "--dirty", "9"});
    std::remove(path);
    ASSERT_TRUE(options.has_value()) << options.error().message();
    EXPECT_EQ(options->id, (MemberId{1, 2}));
    EXPECT_EQ(options->memory.pages, 64U) << "the later one counts";
    EXPECT_EQ(options->dirty_rate, 9U);
}

TEST(Options, NamesWhatIsWrong) {
    const std::vector<std::pair<std::vector<std::string>, std::string>> cases = {
        {{}, "id"},
        {{"--id", "1"}, "NODE.GUEST"},
        {{"--id", "1.1", "--peer", "x"}, "NODE.GUEST@ADDR"},
        {{"--id", "1.1", "--speed", "9"}, "speed"},
        {{"--id", "1.1", "--pages", "1"}, "pages"},
        {{"--id", "1.1", "--pages", "9x"}, "9x"},
        {{"--id", "1.1", "--hot", "101:1"}, "101"},
        {{"--id", "1.1", "--port"}, "port"},
        {{"id"}, "start with --"},
        {{"--cmdline", "/no/such/file"}, "/no/such/file"},
    };
    for (const auto &[arguments, named] : cases) {
        const auto options = parse_options(arguments);
        ASSERT_FALSE(options.has_value());
        EXPECT_THAT(options.error().message(), HasSubstr(named));
    }
}

TEST(Address, ReadsBothFamilies) {
    const auto four = parse_address("10.0.0.1", 7000, false);
    ASSERT_TRUE(four.has_value());
    EXPECT_EQ(four->storage.ss_family, AF_INET);
    const auto mapped = parse_address("10.0.0.1:80", 7000, true);
    ASSERT_TRUE(mapped.has_value());
    EXPECT_EQ(mapped->storage.ss_family, AF_INET6);
    EXPECT_EQ(reinterpret_cast<const sockaddr_in6 &>(mapped->storage).sin6_port, htons(80));
    EXPECT_TRUE(parse_address("[::1]:80", 7000, true).has_value());
    EXPECT_TRUE(parse_address("fe80::1", 7000, true).has_value());
    for (const char *bad : {"", "10.0.0", "host", "10.0.0.1:x", "10.0.0.1:99999", "[::1"})
        EXPECT_FALSE(parse_address(bad, 7000, true).has_value()) << bad;
}

} // namespace
} // namespace ckpt::workload
