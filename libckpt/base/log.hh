// SPDX-License-Identifier: GPL-2.0-only
// Where the library says what it does. The program gives the implementation
// (the daemon: spdlog); the library never writes to a descriptor by itself.
#pragma once

#include <string_view>
#include <utility>

#include <fmt/format.h>

namespace ckpt {

enum class LogLevel { debug, info, warning, error };

class Logger {
  public:
    virtual ~Logger() = default;
    // Thread-safe. `text` is one line without its end.
    virtual void write(LogLevel level, std::string_view text) = 0;

    template <typename... Args>
    void debug(fmt::format_string<Args...> format, Args &&...args) {
        write(LogLevel::debug, fmt::format(format, std::forward<Args>(args)...));
    }
    template <typename... Args>
    void info(fmt::format_string<Args...> format, Args &&...args) {
        write(LogLevel::info, fmt::format(format, std::forward<Args>(args)...));
    }
    template <typename... Args>
    void warning(fmt::format_string<Args...> format, Args &&...args) {
        write(LogLevel::warning, fmt::format(format, std::forward<Args>(args)...));
    }
    template <typename... Args>
    void error(fmt::format_string<Args...> format, Args &&...args) {
        write(LogLevel::error, fmt::format(format, std::forward<Args>(args)...));
    }
};

} // namespace ckpt
