// SPDX-License-Identifier: GPL-2.0-only
#include "daemon/cli/arguments.hh"

#include <sstream>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "daemon/cli/commands.hh"
#include "daemon/cli/progress_line.hh"
#include "daemon/cli/render.hh"
#include "daemon/control/messages.hh"

namespace ckpt::cli {
namespace {

using testing::HasSubstr;

tl::expected<Invocation, UsageError> parse(std::vector<std::string> arguments) {
    return parse_command_line(std::move(arguments), commands());
}

std::string refusal(std::vector<std::string> arguments) {
    auto parsed = parse(std::move(arguments));
    EXPECT_FALSE(parsed);
    return parsed ? "" : parsed.error();
}

TEST(CommandLine, Verbs) {
    for (const char *verb : {"status", "checkpoint", "list", "verify", "gc"}) {
        auto parsed = parse({verb});
        ASSERT_TRUE(parsed) << verb;
        EXPECT_STREQ(parsed->command->request, verb);
    }
    EXPECT_STREQ(parse({"guest"})->command->request, control::kGuests);
    EXPECT_STREQ(parse({"guest", "list"})->command->request, control::kGuests);
    EXPECT_EQ(parse({"help"})->command, nullptr);
    EXPECT_EQ(parse({"show", "help"})->command, nullptr);
}

TEST(CommandLine, PrefixesThatOnlyOneHas) {
    EXPECT_STREQ(parse({"ch", "--w"})->command->object, "checkpoint");
    EXPECT_STREQ(parse({"gu", "l"})->command->object, "guest");
    EXPECT_STREQ(parse({"lis"})->command->object, "list");
    EXPECT_EQ(refusal({"s"}),
              "Object \"s\" is ambiguous: \"status\", \"show\", \"step\"");
    EXPECT_EQ(refusal({"g"}), "Object \"g\" is ambiguous: \"guest\", \"gc\"");
    EXPECT_EQ(refusal({"frob"}), "Object \"frob\" is unknown, try \"tlckptctl help\"");
    EXPECT_EQ(refusal({""}), "Object \"\" is unknown, try \"tlckptctl help\"");
}

TEST(CommandLine, Options) {
    auto parsed = parse({"-j", "-p", "--socket", "/x", "status"});
    ASSERT_TRUE(parsed);
    EXPECT_TRUE(parsed->json);
    EXPECT_TRUE(parsed->pretty);
    EXPECT_EQ(parsed->socket, "/x");
    EXPECT_TRUE(parse({"-V"})->version);
    EXPECT_TRUE(parse({"-json", "status"})->json);
    EXPECT_EQ(parse({"-h"})->command, nullptr);
    EXPECT_EQ(parse({"-j", "-b", "steps"})->batch, "steps");
    EXPECT_TRUE(parse({"-j", "-b", "steps"})->json);
    EXPECT_EQ(refusal({"-b"}), "\"-b\" wants a value");
    EXPECT_THAT(refusal({"-b", "steps", "status"}), HasSubstr("is one too many"));
    EXPECT_THAT(refusal({"-x", "status"}), HasSubstr("Option \"-x\" is unknown"));
    EXPECT_EQ(refusal({"-so"}), "\"-so\" wants a value");
    EXPECT_THAT(refusal({}), HasSubstr("what is to be done"));
}

TEST(CommandLine, Arguments) {
    auto restore = parse({"restore", "4", "--guest", "g1", "--to", "-"});
    ASSERT_TRUE(restore);
    auto request = control::decode<control::RestoreRequest>(restore->arguments);
    ASSERT_TRUE(request);
    EXPECT_EQ(request->sn, 4u);
    EXPECT_EQ(request->guest, "g1");
    EXPECT_TRUE(request->to_file);
    EXPECT_EQ(restore->to, "-");
    EXPECT_FALSE(control::decode<control::RestoreRequest>(parse({"restore", "4"})->arguments)
                     ->to_file);
    EXPECT_TRUE(
        control::decode<control::CheckpointRequest>(parse({"checkpoint", "wait"})->arguments)->wait);
    EXPECT_TRUE(control::decode<control::GcRequest>(parse({"gc", "--dry-run"})->arguments)->dry_run);
    EXPECT_EQ(control::decode<control::ListRequest>(parse({"list", "last", "3"})->arguments)->last,
              3u);
}

TEST(CommandLine, WrongArguments) {
    EXPECT_EQ(refusal({"show", "four"}), "argument \"four\" is wrong: SN is a number");
    EXPECT_EQ(refusal({"show", "-4"}), "argument \"-4\" is wrong: SN is a number");
    EXPECT_EQ(refusal({"show", "4x"}), "argument \"4x\" is wrong: SN is a number");
    EXPECT_EQ(refusal({"show", "18446744073709551616"}),
              "argument \"18446744073709551616\" is wrong: SN is a number");
    EXPECT_THAT(refusal({"show"}), HasSubstr("which checkpoint?"));
    EXPECT_EQ(refusal({"restore", "4", "--guest"}), "\"guest\" wants a value");
    EXPECT_THAT(refusal({"show", "4", "5"}), HasSubstr("argument \"5\" is one too many"));
    EXPECT_THAT(refusal({"checkpoint", "now"}), HasSubstr("Argument \"now\" is unknown"));
    EXPECT_THAT(refusal({"guest", "eat"}), HasSubstr("Action \"eat\" is unknown"));
}

TEST(Render, Units) {
    EXPECT_EQ(duration_text(0), "0");
    EXPECT_EQ(duration_text(999), "999 ns");
    EXPECT_EQ(duration_text(850000), "850 us");
    EXPECT_EQ(duration_text(17300000), "17.3 ms");
    EXPECT_EQ(duration_text(812000000), "812 ms");
    EXPECT_EQ(duration_text(1250000000), "1.25 s");
    EXPECT_EQ(size_text(0), "0 B");
    EXPECT_EQ(size_text(1023), "1023 B");
    EXPECT_EQ(size_text(4300000), "4.1 MiB");
    EXPECT_EQ(size_text(std::uint64_t{5} << 60), "5242880.0 TiB");
}

control::Checkpoint sample() {
    control::Checkpoint checkpoint;
    checkpoint.sn = 10;
    checkpoint.prev = 9;
    checkpoint.node = "n1";
    checkpoint.kind = "basic";
    checkpoint.times.memory_ns = 9300000;
    control::GuestPart one, two;
    one.uuid = "u1";
    one.name = "g1";
    one.kind = "pvh";
    one.tracking = "log-dirty";
    two.uuid = "u2";
    two.name = "g2";
    two.full = true;
    two.bytes_written = 4300000;
    checkpoint.guests = {one, two};
    return checkpoint;
}

TEST(Render, ShowHasThePapersStages) {
    std::ostringstream out;
    EXPECT_EQ(render_show(sample(), out), 0);
    EXPECT_THAT(out.str(), HasSubstr("checkpoint 10  basic  node n1  incarnation 0  prev 9\n"));
    EXPECT_THAT(out.str(),
                HasSubstr("T_s 0  T_a 0  T_m 9.3 ms  T_d 0  T_c 0  T_r 0  stopped 0\n"));
    EXPECT_THAT(out.str(), HasSubstr("guest g1  u1  pvh  log-dirty  increment\n"));
}

TEST(Render, ListMarksFullCaptures) {
    std::ostringstream out;
    EXPECT_EQ(render_list({{sample()}}, out), 0);
    EXPECT_THAT(out.str(), HasSubstr("4.1 MiB  g1 g2*\n"));
    std::ostringstream empty;
    render_list({}, empty);
    EXPECT_EQ(empty.str(), "");
}

TEST(Render, VerifyTellsByItsExitCode) {
    std::ostringstream out;
    EXPECT_EQ(render_verify({}, out), 0);
    control::VerifyReply bad;
    bad.damages.push_back({"f", 4096, "checksum", {3, 4}});
    EXPECT_EQ(render_verify(bad, out), 1);
    EXPECT_THAT(out.str(), HasSubstr("f at 4096: checksum; checkpoints lost: 3 4\n"));
}

TEST(Render, RepliesOfAnotherKindAreNotUnderstood) {
    std::ostringstream out;
    for (const Command &command : commands())
        EXPECT_EQ(command.render(control::Json::array(), out), kNotUnderstood) << command.object;
}

TEST(Render, Progress) {
    EXPECT_EQ(progress_text({"verifying", 42, 100}), "verifying 42 %");
    EXPECT_EQ(progress_text({"suspending", 0, 0}), "suspending ...");
}

} // namespace
} // namespace ckpt::cli
