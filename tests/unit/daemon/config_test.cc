// SPDX-License-Identifier: GPL-2.0-only
#include "daemon/config.hh"

#include <fstream>
#include <sstream>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace ckpt {
namespace {

using testing::HasSubstr;
using testing::StartsWith;

std::string refusal(const std::string &text) {
    auto config = parse_config(text, "t.conf");
    EXPECT_FALSE(config) << text;
    return config ? "" : config.error().context;
}

std::string read_file(const std::string &path) {
    std::ostringstream text;
    text << std::ifstream(path).rdbuf();
    return text.str();
}

TEST(Config, EmptyIsTheDefaults) {
    auto config = parse_config("", "t.conf");
    ASSERT_TRUE(config);
    EXPECT_EQ(config->backend, "xen");
    EXPECT_EQ(config->period_ms, 0u);
    EXPECT_TRUE(config->protect_all);
}

TEST(Config, TakesEveryKindOfKey) {
    auto config = parse_config("node = \"n1\"\n"
                               "log_level = \"warning\"\n"
                               "[store]\n"
                               "directory = \"/srv/ckpt\"\n"
                               "keep = 0\n"
                               "[protect]\n"
                               "guests = [\"web1\", \"db1\"]\n"
                               "[checkpoint]\n"
                               "period_ms = 500\n"
                               "verify = true\n"
                               "[early]\n"
                               "write_budget = 2\n"
                               "round_min_ms = 20\n"
                               "enabled = false\n",
                               "t.conf");
    ASSERT_TRUE(config) << config.error().context;
    EXPECT_EQ(config->node, "n1");
    EXPECT_EQ(config->log_level, LogLevel::warning);
    EXPECT_EQ(config->store_directory, "/srv/ckpt");
    EXPECT_EQ(config->keep, 0u);
    EXPECT_FALSE(config->protect_all);
    EXPECT_EQ(config->protect, (std::vector<std::string>{"web1", "db1"}));
    EXPECT_EQ(config->period_ms, 500u);
    EXPECT_TRUE(config->verify);
    EXPECT_EQ(config->early.write_budget, 2.0);
    EXPECT_EQ(config->early.round_min, std::chrono::milliseconds(20));
    EXPECT_FALSE(config->early.enabled);
}

TEST(Config, NamesFileLineKeyAndWhatIsAllowed) {
    EXPECT_EQ(refusal("\n[checkpoint]\nperiod_ms = 5\n"),
              "t.conf:3: checkpoint.period_ms: must be 0 (off) or an integer from 100 to 86400000");
    EXPECT_EQ(refusal("backend = \"kvm\"\n"),
              "t.conf:1: backend: must be \"xen\" or \"process\" (tests only)");
    EXPECT_EQ(refusal("\n\nlog_level = 3"),
              "t.conf:3: log_level: must be \"debug\", \"info\", \"warning\" or \"error\"");
}

TEST(Config, RefusesUnknownKeysAndSaysWhichThereAre) {
    EXPECT_EQ(refusal("[store]\nkeeps = 3\n"),
              "t.conf:2: store.keeps: unknown key; known here: directory, keep");
    EXPECT_THAT(refusal("stores = 1\n"), HasSubstr("t.conf:1: stores: unknown key; known here: "
                                                   "node, backend, state_directory, socket, "
                                                   "log_level, [store]"));
    EXPECT_THAT(refusal("[storage]\nkeep = 3\n"), StartsWith("t.conf:1: storage: unknown key"));
}

TEST(Config, RefusesWrongTypes) {
    for (const char *text :
         {"[store]\nkeep = \"3\"", "[store]\nkeep = 3.0", "[store]\nkeep = -1",
          "[store]\nkeep = 1000001", "[store]\ndirectory = \"relative\"", "[store]\ndirectory = 1",
          "[protect]\nguests = \"some\"", "[protect]\nguests = [1]", "[protect]\nguests = [\"\"]",
          "[early]\nwrite_budget = 0.5", "[early]\nwrite_budget = \"2\"",
          "[early]\nwrite_budget = nan", "[early]\nenabled = 1", "node = \"\"", "node = \"a/b\"",
          "node = \"..\""})
        EXPECT_THAT(refusal(text), HasSubstr(": must be ")) << text;
    EXPECT_EQ(refusal("store = 1\n"), "t.conf:1: store: must be a section: [store]");
    EXPECT_THAT(refusal("[node]\nname = \"x\"\n"), HasSubstr("t.conf:1: node: must be 1 to 64"));
}

TEST(Config, ExcludedDisks) {
    auto config = parse_config("[disks]\nexclude = [\"web1/xvdb\"]\nheld = 3\n"
                               "directory = \"/srv/disks\"\n", "t.conf");
    ASSERT_TRUE(config) << config.error().context;
    EXPECT_EQ(config->disks_exclude, std::vector<std::string>{"web1/xvdb"});
    EXPECT_EQ(config->disks_held, 3u);
    EXPECT_EQ(config->disks_directory, "/srv/disks");
    EXPECT_THAT(refusal("[disks]\ndirectory = \"disks\"\n"), HasSubstr("an absolute path"));
    EXPECT_THAT(refusal("[disks]\nexclude = [\"xvdb\"]\n"), HasSubstr("a list of \"GUEST/DISK\""));
    EXPECT_THAT(refusal("[disks]\nheld = 0\n"), HasSubstr("an integer from 1"));
}

TEST(Config, NamesTheLineThatIsNotToml) {
    EXPECT_THAT(refusal("node = \"n1\"\nbackend xen\n"), StartsWith("t.conf:2: not TOML: "));
    EXPECT_THAT(refusal("keep = 1\nkeep = 2\n"), StartsWith("t.conf:2: not TOML: "));
}

TEST(Config, MissingFile) {
    auto config = load_config("/nonexistent/t.conf");
    ASSERT_FALSE(config);
    EXPECT_TRUE(config.error().is(ENOENT));
    EXPECT_EQ(config.error().message(),
              "configuration /nonexistent/t.conf: No such file or directory");
}

// The example shows each key with its default: as it is, and with its
// comments taken off, it must give just the defaults.
TEST(Config, ExampleIsTheDefaults) {
    std::string text = read_file("daemon/tlckptd.conf.example");
    ASSERT_FALSE(text.empty());
    EXPECT_TRUE(parse_config(text, "example"));
    for (std::size_t at; (at = text.find("\n#", text.find("\n\n"))) != text.npos;)
        text.erase(at + 1, 1);
    auto config = parse_config(text, "example");
    ASSERT_TRUE(config) << config.error().context;
    Config defaults;
    EXPECT_EQ(config->node, "n1");
    EXPECT_EQ(config->backend, defaults.backend);
    EXPECT_EQ(config->state_directory, defaults.state_directory);
    EXPECT_EQ(config->store_directory, defaults.store_directory);
    EXPECT_EQ(config->keep, defaults.keep);
    EXPECT_EQ(config->poll_ms, defaults.poll_ms);
    EXPECT_EQ(config->period_ms, defaults.period_ms);
    EXPECT_EQ(config->suspend_timeout_ms, defaults.suspend_timeout_ms);
    EXPECT_EQ(config->pause_timeout_ms, defaults.pause_timeout_ms);
    EXPECT_EQ(config->max_attempts, defaults.max_attempts);
    EXPECT_EQ(config->staging_mib, defaults.staging_mib);
    EXPECT_EQ(config->verify, defaults.verify);
    EXPECT_EQ(config->early.target_pages, defaults.early.target_pages);
    EXPECT_EQ(config->early.max_pages, defaults.early.max_pages);
    EXPECT_EQ(config->early.idle_rounds, defaults.early.idle_rounds);
    EXPECT_EQ(config->early.write_budget, defaults.early.write_budget);
    EXPECT_EQ(config->early.round_min, defaults.early.round_min);
    EXPECT_EQ(config->early.round_max, defaults.early.round_max);
    EXPECT_EQ(config->process_guests, defaults.process_guests);
    EXPECT_EQ(config->process_memory_mib, defaults.process_memory_mib);
}

} // namespace
} // namespace ckpt
