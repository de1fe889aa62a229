// SPDX-License-Identifier: GPL-2.0-only
#include <tlckpt/stamp.h>

#include <array>
#include <cstring>

#include <gtest/gtest.h>

namespace {

using Wire = std::array<u8, TLCKPT_STAMP_LEN>;

tlckpt_cluster cluster_of(u8 first_octet, u32 id) {
    std::array<u8, TLCKPT_KEY_LEN> key;
    for (std::size_t i = 0; i < key.size(); i++)
        key[i] = static_cast<u8>(first_octet + i);
    tlckpt_cluster cluster;
    tlckpt_cluster_init(&cluster, key.data(), id);
    return cluster;
}

Wire wire_of(const tlckpt_stamp &stamp, const tlckpt_cluster &cluster) {
    Wire wire;
    tlckpt_stamp_write(wire.data(), &stamp, &cluster);
    return wire;
}

// The vectors of the SipHash authors' reference: key 00..0f, data 00, 01, 02...
TEST(SipHash, ReferenceVectors) {
    const struct {
        std::size_t len;
        u64 hash;
    } kVectors[] = {{0, 0x726fdb47dd0e0e31}, {1, 0x74f839c593dc67fd}, {7, 0xab0200f58b01d137},
                    {8, 0x93f5f5799a932462}, {15, 0xa129ca6149be45e5}, {63, 0x958a324ceb064572}};
    const tlckpt_cluster cluster = cluster_of(0, 0);
    std::array<u8, 64> data;
    for (std::size_t i = 0; i < data.size(); i++)
        data[i] = static_cast<u8>(i);
    for (auto [len, hash] : kVectors)
        EXPECT_EQ(tlckpt_siphash24(cluster.key, data.data(), len), hash) << len;
}

TEST(Stamp, EveryOctetIsWhereTheHeaderSaysItIs) {
    const Wire wire = wire_of({0x1122334455667788, 0x99aabbcc, 0xddee}, cluster_of(0, 1));
    const u8 expected[] = {1,    0,    0xdd, 0xee, 0x99, 0xaa, 0xbb, 0xcc,
                           0x11, 0x22, 0x33, 0x44, 0x55, 0x66, 0x77, 0x88};
    EXPECT_EQ(std::memcmp(wire.data(), expected, sizeof(expected)), 0);
    EXPECT_EQ(tlckpt_stamp_peer(wire.data()), 0xddee);
}

TEST(Stamp, ThereAndBack) {
    const tlckpt_cluster cluster = cluster_of(7, 42);
    const tlckpt_stamp limits[] = {{0, 0, 1}, {~u64{0}, ~u32{0}, 0xffff}, {9, 3, 2}};
    for (const tlckpt_stamp &stamp : limits) {
        const Wire wire = wire_of(stamp, cluster);
        tlckpt_stamp read{};
        ASSERT_EQ(tlckpt_stamp_read(&read, wire.data(), &cluster), 0);
        EXPECT_EQ(read.sn, stamp.sn);
        EXPECT_EQ(read.incarnation, stamp.incarnation);
        EXPECT_EQ(read.node, stamp.node);
    }
}

TEST(Stamp, EveryFlippedBitIsRefused) {
    const tlckpt_cluster cluster = cluster_of(7, 42);
    const Wire good = wire_of({5, 1, 3}, cluster);
    tlckpt_stamp read{};
    ASSERT_EQ(tlckpt_stamp_read(&read, good.data(), &cluster), 0);
    for (unsigned bit = 0; bit < good.size() * 8; bit++) {
        Wire bad = good;
        bad[bit / 8] = static_cast<u8>(bad[bit / 8] ^ 1u << bit % 8);
        read = {77, 77, 77};
        const int error = tlckpt_stamp_read(&read, bad.data(), &cluster);
        EXPECT_EQ(error, bit < 16 ? -EPROTONOSUPPORT : -EBADMSG) << bit;
        EXPECT_EQ(read.sn, 77u) << "written although refused";
    }
}

TEST(Stamp, AnotherKeyOrAnotherClusterIsRefused) {
    const Wire wire = wire_of({5, 1, 3}, cluster_of(7, 42));
    tlckpt_stamp read;
    for (const tlckpt_cluster &other : {cluster_of(8, 42), cluster_of(7, 43)})
        EXPECT_EQ(tlckpt_stamp_read(&read, wire.data(), &other), -EBADMSG);
}

TEST(Stamp, NodeNoneIsRefused) {
    const tlckpt_cluster cluster = cluster_of(7, 42);
    const Wire wire = wire_of({5, 1, TLCKPT_NODE_NONE}, cluster);
    tlckpt_stamp read;
    EXPECT_EQ(tlckpt_stamp_read(&read, wire.data(), &cluster), -EINVAL);
}

} // namespace
