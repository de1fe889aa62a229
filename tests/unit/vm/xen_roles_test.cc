// SPDX-License-Identifier: GPL-2.0-only
// Pages of Xen's event channels are known by their form, and nothing else is
// taken for one.
#include "libckpt/vm/xen_roles.hh"

#include <cstring>

#include <gtest/gtest.h>

namespace ckpt::xen {
namespace {

struct Page {
    std::uint32_t words[1024] = {};
    std::string role() const { return event_page_role(reinterpret_cast<const std::byte *>(words)); }
};

Page event_array() {
    Page page;
    for (auto &word : page.words)
        word = 0x40000000; // masked, as the guest sets up all of them
    return page;
}

TEST(XenRoles, KnowsAnEventArray) {
    Page page = event_array();
    page.words[9] = 0xc0000000;  // pending
    page.words[7] = 0x20000009;  // linked to 9
    page.words[3] = 0x00000000;  // in use
    EXPECT_EQ(page.role(), "event channel array, written by Xen");
}

TEST(XenRoles, KnowsAControlBlock) {
    Page page;
    page.words[0] = 0x80;     // queue 7 is ready
    page.words[2 + 7] = 9;    // and starts with event 9
    EXPECT_EQ(page.role(), "event channel control block, written by Xen");
}

TEST(XenRoles, TakesNothingElseForOne) {
    EXPECT_EQ(Page{}.role(), "");
    Page odd = event_array();
    odd.words[800] = 0x40020000; // a bit that no event word has
    EXPECT_EQ(odd.role(), "");
    Page sparse;
    sparse.words[0] = 0x40000000;
    EXPECT_EQ(sparse.role(), "");
    Page late;
    late.words[0] = 1;
    late.words[40] = 1;
    EXPECT_EQ(late.role(), "");
    Page text;
    std::memset(text.words, 'x', sizeof(text.words));
    EXPECT_EQ(text.role(), "");
}

} // namespace
} // namespace ckpt::xen
