// SPDX-License-Identifier: GPL-2.0-only
#include "daemon/retention.hh"

#include <gtest/gtest.h>

namespace ckpt {
namespace {

std::vector<Manifest> with_indexes(std::initializer_list<Sn> indexes) {
    std::vector<Manifest> manifests;
    for (Sn sn : indexes) {
        manifests.emplace_back();
        manifests.back().sn = sn;
    }
    return manifests;
}

TEST(Retention, KeepsTheNewest) {
    auto manifests = with_indexes({2, 3, 5, 9});
    EXPECT_EQ(oldest_kept(manifests, 1, kNoSn), 9u);
    EXPECT_EQ(oldest_kept(manifests, 2, kNoSn), 5u);
    EXPECT_EQ(oldest_kept(manifests, 4, kNoSn), 2u);
    EXPECT_EQ(oldest_kept(manifests, 100, kNoSn), 2u);
    EXPECT_EQ(oldest_kept(manifests, 0, kNoSn), 2u);
    EXPECT_EQ(oldest_kept({}, 3, kNoSn), 0u);
}

TEST(Retention, KeepsWhatIsPinnedAndAllNewer) {
    auto manifests = with_indexes({2, 3, 5, 9});
    EXPECT_EQ(oldest_kept(manifests, 1, 3), 3u);
    EXPECT_EQ(oldest_kept(manifests, 3, 5), 3u);
}

} // namespace
} // namespace ckpt
