// SPDX-License-Identifier: GPL-2.0-only
#include "libckpt/io/ring.hh"

#include <cstring>
#include <fcntl.h>
#include <unistd.h>

#include <gtest/gtest.h>

#include "libckpt/base/fd.hh"
#include "libckpt/io/page_batch.hh"

namespace ckpt {
namespace {

Fd temporary_file() {
    Fd fd(::open("/tmp", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600));
    EXPECT_TRUE(fd);
    return fd;
}

TEST(Ring, WritesFromRegisteredBuffersAndReadsBack) {
    auto arena = PageArena::create(2).value();
    const auto slots = arena->slots();
    auto ring = Ring::create(8, slots).value();
    EXPECT_TRUE(ring->fixed_buffers());
    EXPECT_GE(ring->nr_entries(), 8u);
    Fd file = temporary_file();
    std::memset(slots[1].data(), 0x5a, 8192);
    std::byte elsewhere[512]; // in no registered buffer: written all the same
    std::memset(elsewhere, 0x3c, sizeof elsewhere);
    ring->write(file.get(), 0, slots[1].first(8192), 1, 7);
    ring->write(file.get(), 8192, elsewhere, 0, 8);
    std::vector<Ring::Completion> done;
    while (done.size() < 2)
        ASSERT_TRUE(ring->submit(true, done).has_value());
    for (const auto &one : done)
        EXPECT_EQ(one.result, one.tag == 7 ? 8192 : 512);
    std::byte back[8192 + 512];
    done.clear();
    ring->read(file.get(), 0, back, 9);
    ASSERT_TRUE(ring->submit(true, done).has_value());
    ASSERT_EQ(done.size(), 1u);
    EXPECT_EQ(done[0].result, 8704);
    EXPECT_EQ(back[8191], std::byte{0x5a});
    EXPECT_EQ(back[8192], std::byte{0x3c});
}

TEST(Ring, ErrorsComeWithTheirCompletion) {
    auto ring = Ring::create(4, {}).value();
    EXPECT_FALSE(ring->fixed_buffers());
    std::byte byte{};
    ring->write(-1, 0, {&byte, 1}, 0, 1);
    std::vector<Ring::Completion> done;
    ASSERT_TRUE(ring->submit(true, done).has_value());
    ASSERT_EQ(done.size(), 1u);
    EXPECT_EQ(done[0].result, -EBADF);
}

} // namespace
} // namespace ckpt
