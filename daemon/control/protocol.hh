// SPDX-License-Identifier: GPL-2.0-only
// The control protocol between tlckptd and its clients: JSON objects, one a
// line, over a UNIX stream socket that only root may use.
//
//   client  {"request": VERB, "arguments": {...}}     may carry one descriptor
//   daemon  {"progress": {"stage": S, "done": N, "total": N}}      any number
//   daemon  {"reply": {...}}  or  {"error": {"code": ERRNO, "message": TEXT}}
//
// One request is under way per connection; the next one waits its turn. A
// client that goes away cancels its request. messages.hh has the verbs'
// arguments and replies.
#pragma once

#include <algorithm>
#include <cstddef>
#include <optional>
#include <string>
#include <string_view>

#include <nlohmann/json.hpp>

namespace ckpt::control {

using Json = nlohmann::json;

inline constexpr const char *kDefaultSocket = "/run/tlckpt/control";
inline constexpr std::size_t kMaxRequest = 64 * 1024;
inline constexpr std::size_t kMaxReply = 16 * 1024 * 1024;

// Why a request was not done: an errno value and a sentence for the user.
struct Refusal {
    int code = 0;
    std::string message;
};

struct Request {
    std::string verb;
    Json arguments = Json::object();
};

// What the daemon sends: exactly one of the three.
struct Answer {
    std::optional<Json> progress;
    std::optional<Json> reply;
    std::optional<Refusal> error;
};

// One line, its end included.
std::string encode_request(const Request &request);
std::string encode_progress(const Json &progress);
std::string encode_reply(const Json &reply);
std::string encode_error(const Refusal &refusal);

// Nothing if the line is not such a message.
std::optional<Request> decode_request(std::string_view line);
std::optional<Answer> decode_answer(std::string_view line);

// The message as a T of messages.hh; nothing if a member is missing or of
// another type.
template <typename T> std::optional<T> decode(const Json &json) {
    try {
        return json.get<T>();
    } catch (const Json::exception &) {
        return std::nullopt;
    }
}

// Cuts a byte stream into lines of bounded length.
class LineBuffer {
  public:
    explicit LineBuffer(std::size_t limit) : limit_(limit) {}
    void append(std::string_view bytes) { bytes_ += bytes; }
    // The next whole line without its end.
    std::optional<std::string> next();
    // The next line is longer than the limit.
    bool overflow() const { return std::min(bytes_.find('\n'), bytes_.size()) > limit_; }

  private:
    std::string bytes_;
    std::size_t limit_;
};

} // namespace ckpt::control
