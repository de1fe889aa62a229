// SPDX-License-Identifier: GPL-2.0-only
// Writes JSON, one line. Names and texts are plain ASCII; what is not is escaped.
#pragma once

#include <concepts>
#include <cstdint>
#include <string>
#include <string_view>

#include <fmt/format.h>

namespace ckpt::workload {

class Json {
  public:
    Json &open_object(std::string_view name = {}) { return open(name, '{'); }
    Json &open_array(std::string_view name = {}) { return open(name, '['); }
    Json &close_object() { return close('}'); }
    Json &close_array() { return close(']'); }

    Json &add(std::string_view name, std::string_view text) {
        key(name);
        quote(text);
        return *this;
    }
    Json &add(std::string_view name, const char *text) { return add(name, std::string_view(text)); }
    Json &add(std::string_view name, std::same_as<bool> auto value) {
        key(name);
        text_ += value ? "true" : "false";
        return *this;
    }
    template <std::integral T>
        requires(!std::same_as<T, bool>)
    Json &add(std::string_view name, T value) {
        key(name);
        fmt::format_to(std::back_inserter(text_), "{}", value);
        return *this;
    }
    Json &add(std::string_view name, double value) {
        key(name);
        fmt::format_to(std::back_inserter(text_), "{:.3f}", value);
        return *this;
    }
    // 64 bits that are no number to people, as text of 16 digits.
    Json &add_hex(std::string_view name, std::uint64_t value) {
        key(name);
        fmt::format_to(std::back_inserter(text_), "\"{:016x}\"", value);
        return *this;
    }

    const std::string &text() const { return text_; }

  private:
    Json &open(std::string_view name, char bracket) {
        key(name);
        text_ += bracket;
        return *this;
    }
    Json &close(char bracket) {
        text_ += bracket;
        return *this;
    }
    // A comma where one is due, and the name if this is in an object.
    void key(std::string_view name) {
        if (!text_.empty() && text_.back() != '{' && text_.back() != '[')
            text_ += ',';
        if (!name.empty()) {
            quote(name);
            text_ += ':';
        }
    }
    void quote(std::string_view text) {
        text_ += '"';
        for (const char c : text) {
            if (c == '"' || c == '\\')
                text_ += '\\';
            if (c >= ' ' && c < 127)
                text_ += c;
            else
                fmt::format_to(std::back_inserter(text_), "\\u{:04x}", static_cast<unsigned char>(c));
        }
        text_ += '"';
    }

    std::string text_;
};

} // namespace ckpt::workload
