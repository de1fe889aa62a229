// SPDX-License-Identifier: GPL-2.0-only
#include "daemon/control/protocol.hh"

namespace ckpt::control {

namespace {

// Names and messages may hold bytes that are no UTF-8 (a guest's name): they
// are replaced, never thrown about.
std::string line(const Json &json) {
    return json.dump(-1, ' ', false, Json::error_handler_t::replace) + "\n";
}

std::optional<Json> parse_object(std::string_view text) {
    Json json = Json::parse(text, nullptr, false);
    if (!json.is_object())
        return std::nullopt;
    return json;
}

} // namespace

std::string encode_request(const Request &request) {
    return line({{"request", request.verb}, {"arguments", request.arguments}});
}

std::string encode_progress(const Json &progress) { return line({{"progress", progress}}); }

std::string encode_reply(const Json &reply) { return line({{"reply", reply}}); }

std::string encode_error(const Refusal &refusal) {
    return line({{"error", {{"code", refusal.code}, {"message", refusal.message}}}});
}

std::optional<Request> decode_request(std::string_view text) {
    auto json = parse_object(text);
    if (!json || !json->contains("request") || !(*json)["request"].is_string())
        return std::nullopt;
    Request request{(*json)["request"], Json::object()};
    if (json->contains("arguments")) {
        request.arguments = (*json)["arguments"];
        if (!request.arguments.is_object())
            return std::nullopt;
    }
    return request;
}

std::optional<Answer> decode_answer(std::string_view text) {
    auto json = parse_object(text);
    if (!json || json->size() != 1)
        return std::nullopt;
    const Json &body = json->begin().value();
    if (!body.is_object())
        return std::nullopt;
    Answer answer;
    if (json->contains("progress")) {
        answer.progress = body;
    } else if (json->contains("reply")) {
        answer.reply = body;
    } else if (json->contains("error")) {
        if (!body.contains("code") || !body["code"].is_number_integer() ||
            !body.contains("message") || !body["message"].is_string())
            return std::nullopt;
        answer.error = Refusal{body["code"], body["message"]};
    } else {
        return std::nullopt;
    }
    return answer;
}

std::optional<std::string> LineBuffer::next() {
    auto end = bytes_.find('\n');
    if (end == bytes_.npos || end > limit_)
        return std::nullopt;
    std::string line = bytes_.substr(0, end);
    bytes_.erase(0, end + 1);
    return line;
}

} // namespace ckpt::control
