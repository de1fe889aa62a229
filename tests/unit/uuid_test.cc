// SPDX-License-Identifier: GPL-2.0-only
#include "libckpt/base/uuid.hh"

#include <gtest/gtest.h>

namespace ckpt {
namespace {

TEST(Uuid, TextAndBack) {
    const std::string text = "01234567-89ab-cdef-0011-223344556677";
    auto uuid = Uuid::parse(text);
    ASSERT_TRUE(uuid);
    EXPECT_EQ(uuid->bytes[0], 0x01);
    EXPECT_EQ(uuid->bytes[15], 0x77);
    EXPECT_EQ(uuid->to_string(), text);
    EXPECT_EQ(Uuid::parse("01234567-89AB-CDEF-0011-223344556677"), uuid);
}

TEST(Uuid, RefusesOtherText) {
    for (const char *text : {"", "g1", "01234567-89ab-cdef-0011-22334455667",
                             "01234567089ab-cdef-0011-223344556677",
                             "0123456x-89ab-cdef-0011-223344556677"})
        EXPECT_FALSE(Uuid::parse(text)) << text;
}

} // namespace
} // namespace ckpt
