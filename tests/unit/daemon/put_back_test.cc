// SPDX-License-Identifier: GPL-2.0-only
#include "daemon/put_back.hh"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace ckpt {
namespace {

using testing::HasSubstr;

std::vector<std::byte> bytes(std::string_view text) {
    const auto *begin = reinterpret_cast<const std::byte *>(text.data());
    return {begin, begin + text.size()};
}
std::string text(const std::vector<std::byte> &bytes) {
    return {reinterpret_cast<const char *>(bytes.data()), bytes.size()};
}
PutBackDisk disk(const char *name, const char *path) { return {name, {path, true, 0}, 0}; }

TEST(PutBack, DisksAtOtherPlaces) {
    const auto configuration = bytes(R"({"c_info": {"name": "g1"}, "disks": [
        {"pdev_path": "/dev/vg/g1", "vdev": "xvda", "format": "raw", "readwrite": 1},
        {"pdev_path": "/dev/vg/g1-ro", "vdev": "xvdb"}], "b_info": {"target_memkb": 131072}})");
    auto changed = with_disks(configuration, {disk("xvda", "/dev/mapper/tlckpt-g1-xvda-4")});
    ASSERT_TRUE(changed.has_value());
    const std::string now = text(*changed);
    EXPECT_THAT(now, HasSubstr(R"("pdev_path": "/dev/mapper/tlckpt-g1-xvda-4")"));
    EXPECT_THAT(now, HasSubstr(R"("pdev_path": "/dev/vg/g1-ro")"));
    EXPECT_LT(now.find("c_info"), now.find("disks"));
    EXPECT_EQ(now.find('\0'), now.npos);
}

TEST(PutBack, NotThatConfiguration) {
    const auto none = bytes(R"({"c_info": {}})");
    EXPECT_EQ(with_disks(none, {}).value(), none);
    EXPECT_TRUE(with_disks(none, {disk("xvda", "/x")}).error().is(EPROTO));
    EXPECT_TRUE(with_disks(bytes("nonsense"), {disk("xvda", "/x")}).error().is(EPROTO));
    auto other = with_disks(bytes(R"({"disks": [1, {"vdev": "xvdb"}]})"), {disk("xvda", "/x")});
    EXPECT_THAT(other.error().message(), HasSubstr("no disk xvda"));
}

} // namespace
} // namespace ckpt
