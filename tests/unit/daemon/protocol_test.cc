// SPDX-License-Identifier: GPL-2.0-only
#include "daemon/control/protocol.hh"

#include <gtest/gtest.h>

#include "daemon/control/messages.hh"

namespace ckpt::control {
namespace {

std::string_view without_end(const std::string &line) {
    EXPECT_EQ(line.back(), '\n');
    EXPECT_EQ(line.find('\n'), line.size() - 1);
    return std::string_view(line).substr(0, line.size() - 1);
}

TEST(Protocol, RequestAndBack) {
    std::string line = encode_request({kShow, ShowRequest{18446744073709551615u}});
    auto request = decode_request(without_end(line));
    ASSERT_TRUE(request);
    EXPECT_EQ(request->verb, "show");
    auto arguments = decode<ShowRequest>(request->arguments);
    ASSERT_TRUE(arguments);
    EXPECT_EQ(arguments->sn, 18446744073709551615u);
    EXPECT_TRUE(decode_request(R"({"request":"status"})"));
}

TEST(Protocol, RefusesWhatIsNoRequest) {
    for (const char *line : {"", "{", "[]", "1", "{}", R"({"request":1})",
                             R"({"request":"x","arguments":[]})", "\xff\xfe", "null"})
        EXPECT_FALSE(decode_request(line)) << line;
}

TEST(Protocol, AnswersAndBack) {
    auto reply = decode_answer(without_end(encode_reply(Requested{7})));
    ASSERT_TRUE(reply && reply->reply);
    EXPECT_EQ(decode<Requested>(*reply->reply)->sn, 7u);
    auto error = decode_answer(without_end(encode_error({2, "no checkpoint 9"})));
    ASSERT_TRUE(error && error->error);
    EXPECT_EQ(error->error->code, 2);
    EXPECT_EQ(error->error->message, "no checkpoint 9");
    auto progress = decode_answer(without_end(encode_progress(Progress{"verifying", 1, 2})));
    ASSERT_TRUE(progress && progress->progress);
    EXPECT_EQ(decode<Progress>(*progress->progress)->stage, "verifying");
}

TEST(Protocol, RefusesWhatIsNoAnswer) {
    for (const char *line :
         {"", "{}", R"({"reply":1})", R"({"error":{}})", R"({"error":{"code":"2","message":"x"}})",
          R"({"other":{}})", R"({"reply":{},"error":{"code":2,"message":"x"}})"})
        EXPECT_FALSE(decode_answer(line)) << line;
}

TEST(Protocol, MembersOfAnotherTypeAreRefused) {
    EXPECT_FALSE(decode<ShowRequest>(Json{{"sn", "4"}}));
    EXPECT_FALSE(decode<ShowRequest>(Json::object()));
    EXPECT_FALSE(decode<RestoreRequest>(Json{{"sn", 4}, {"guest", 1}, {"to_file", false}}));
}

TEST(Protocol, BytesThatAreNoUtf8DoNotThrow) {
    EXPECT_NE(encode_error({5, "guest \xff\xfe"}).find("guest"), std::string::npos);
}

TEST(LineBuffer, CutsLines) {
    LineBuffer lines(10);
    lines.append("ab");
    EXPECT_FALSE(lines.next());
    lines.append("c\n\nde\nf");
    EXPECT_EQ(lines.next(), "abc");
    EXPECT_EQ(lines.next(), "");
    EXPECT_EQ(lines.next(), "de");
    EXPECT_FALSE(lines.next());
    EXPECT_FALSE(lines.overflow());
}

TEST(LineBuffer, KnowsTooLongLines) {
    LineBuffer lines(4);
    lines.append("12345");
    EXPECT_FALSE(lines.next());
    EXPECT_TRUE(lines.overflow());
    LineBuffer late(4);
    late.append("12345\n");
    EXPECT_FALSE(late.next());
    EXPECT_TRUE(late.overflow());
}

} // namespace
} // namespace ckpt::control
