// SPDX-License-Identifier: GPL-2.0-only
#include <tlckpt/carrier.h>

#include <initializer_list>
#include <vector>

#include <gtest/gtest.h>

namespace {

using Octets = std::vector<u8>;

// An option with `words` 32-bit words of data.
Octets option(unsigned option_class, u8 type, u8 words) {
    Octets octets = {static_cast<u8>(option_class >> 8), static_cast<u8>(option_class), type, words};
    octets.resize(4 + 4 * std::size_t{words}, 0x77);
    return octets;
}

Octets joined(std::initializer_list<Octets> parts) {
    Octets all;
    for (const Octets &part : parts)
        all.insert(all.end(), part.begin(), part.end());
    return all;
}

TEST(Shim, NeedsStampPaddingAndEtherType) {
    Octets body(TLCKPT_SHIM_LEN, 0);
    EXPECT_EQ(tlckpt_shim_find(body.data(), body.size()), body.data());
    EXPECT_EQ(tlckpt_shim_find(body.data(), body.size() - 1), nullptr);
    EXPECT_EQ(tlckpt_shim_find(nullptr, 0), nullptr);
}

TEST(Shim, PaddingIsZero) {
    for (std::size_t at : {0u, 1u}) {
        Octets body(TLCKPT_SHIM_LEN, 0);
        body[TLCKPT_STAMP_LEN + at] = 1;
        EXPECT_EQ(tlckpt_shim_find(body.data(), body.size()), nullptr) << at;
    }
}

TEST(Option, FoundAmongOthers) {
    const Octets ours = option(0xff00, 0x53, 6);
    for (const Octets &before : {Octets{}, option(0x0102, 0x80, 1), option(0xff00, 0x52, 6),
                                 option(0xff01, 0x53, 6), option(0x0102, 3, 0)}) {
        const Octets options = joined({before, ours, option(0x0102, 0x80, 2)});
        const u8 *stamp = nullptr;
        ASSERT_EQ(tlckpt_option_find(options.data(), options.size(), &stamp), 1);
        EXPECT_EQ(stamp, options.data() + before.size() + 4);
    }
}

TEST(Option, CriticalBitAndReservedBitsDoNotHideIt) {
    Octets options = option(0xff00, 0x53 | 0x80, 6);
    options[3] |= 0xe0;
    const u8 *stamp = nullptr;
    EXPECT_EQ(tlckpt_option_find(options.data(), options.size(), &stamp), 1);
}

TEST(Option, NoneIsNoError) {
    const Octets options = option(0x0102, 3, 31);
    const u8 *stamp = nullptr;
    EXPECT_EQ(tlckpt_option_find(options.data(), options.size(), &stamp), 0);
    EXPECT_EQ(tlckpt_option_find(options.data(), 0, &stamp), 0);
    EXPECT_EQ(stamp, nullptr);
}

TEST(Option, MalformedOnesAreRefused) {
    const u8 *stamp = nullptr;
    const Octets ours = option(0xff00, 0x53, 6);
    for (std::size_t len = 1; len < ours.size(); len++)
        EXPECT_EQ(tlckpt_option_find(ours.data(), len, &stamp), -EINVAL) << len;
    for (u8 words : {u8{0}, u8{5}, u8{7}}) {
        const Octets other = option(0xff00, 0x53, words);
        EXPECT_EQ(tlckpt_option_find(other.data(), other.size(), &stamp), -EINVAL) << int{words};
    }
    const Octets rest = joined({option(0x0102, 3, 1), {0xff, 0x00}});
    EXPECT_EQ(tlckpt_option_find(rest.data(), rest.size(), &stamp), -EINVAL);
    EXPECT_EQ(stamp, nullptr);
}

} // namespace
