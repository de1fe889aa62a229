// SPDX-License-Identifier: GPL-2.0-only
// The guest's configuration takes its memory target, and stays as it is otherwise.
#include "libckpt/vm/xl_config.hh"

#include <string>

#include <gtest/gtest.h>

namespace ckpt::xen {
namespace {

// As libxl 4.17 writes it.
constexpr const char *kMade = R"({
    "c_info": {
        "type": "pvh",
        "name": "g1",
        "domid": 4294967295
    },
    "b_info": {
        "max_vcpus": 1,
        "max_memkb": 131072,
        "target_memkb": 131072,
        "shadow_memkb": 2048,
        "type.pvh": {
        }
    }
})";

struct Answer {
    bool done;
    std::string text;
};

Answer with_target(const std::string &text, std::uint64_t kib) {
    const auto *bytes = reinterpret_cast<const std::byte *>(text.data());
    std::vector<std::byte> configuration(bytes, bytes + text.size());
    const bool done = set_memory_target(configuration, kib).has_value();
    return {done, {reinterpret_cast<const char *>(configuration.data()), configuration.size()}};
}

std::string replaced(std::string text, const std::string &old, const std::string &by) {
    return text.replace(text.find(old), old.size(), by);
}

TEST(XlConfig, SetsTheTargetAndNothingElse) {
    for (const std::uint64_t kib : {102400ull, 4ull, 1099511627776ull}) {
        const Answer answer = with_target(kMade, kib);
        EXPECT_TRUE(answer.done);
        EXPECT_EQ(answer.text, replaced(kMade, "\"target_memkb\": 131072",
                                        "\"target_memkb\": " + std::to_string(kib)));
    }
}

TEST(XlConfig, AddsATargetThatIsByDefault) {
    const Answer answer = with_target(R"({"b_info": {"max_memkb": 131072}})", 102400);
    EXPECT_TRUE(answer.done);
    EXPECT_EQ(answer.text, R"({"b_info": {"target_memkb": 102400,"max_memkb": 131072}})");
}

TEST(XlConfig, LeavesWhatIsNoConfigurationOfLibxl) {
    for (const char *text : {"", "{}", R"({"b_info": 3})", R"({"b_info")", R"({"b_info":)",
                             R"({"b_info": {"target_memkb": 12)"}) {
        const Answer answer = with_target(text, 102400);
        EXPECT_FALSE(answer.done) << text;
        EXPECT_EQ(answer.text, text);
    }
}

} // namespace
} // namespace ckpt::xen
