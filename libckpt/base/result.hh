// SPDX-License-Identifier: GPL-2.0-only
// Errors by value: no exception crosses a function of ours. An Error carries
// the code for the program and one sentence for the person, built on the way up.
#pragma once

#include <cerrno>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>

#include <fmt/format.h>
#include <tl/expected.hpp>

namespace ckpt {

struct Error {
    std::error_code code;
    // What was tried and on what, outermost first: "store /srv/ckpt: segment 3: short write".
    std::string context;

    // "context: No space left on device", the form shown to users.
    std::string message() const {
        return context.empty() ? code.message() : context + ": " + code.message();
    }
    bool is(int errno_value) const {
        return code == std::error_code(errno_value, std::system_category());
    }
};

// A value or an Error. Ignoring one is a compile-time error.
template <typename T> struct [[nodiscard]] Result : tl::expected<T, Error> {
    using tl::expected<T, Error>::expected;
};

using Status = Result<void>;

// An Error from a positive errno value and a format string for its context.
template <typename... Args>
tl::unexpected<Error> fail(int errno_value, fmt::format_string<Args...> format, Args &&...args) {
    return tl::unexpected(Error{std::error_code(errno_value, std::system_category()),
                                fmt::format(format, std::forward<Args>(args)...)});
}

// The same error, with "prefix: " put before its context.
inline tl::unexpected<Error> wrap(std::string_view prefix, Error error) {
    error.context = error.context.empty() ? std::string(prefix)
                                          : fmt::format("{}: {}", prefix, error.context);
    return tl::unexpected(std::move(error));
}

} // namespace ckpt

#define CKPT_CONCAT_(a, b) a##b
#define CKPT_CONCAT(a, b) CKPT_CONCAT_(a, b)

#define CKPT_TRY_(result, expression)                                                              \
    ({                                                                                             \
        auto result = (expression);                                                                \
        if (!result.has_value())                                                                   \
            return tl::unexpected(std::move(result).error());                                      \
        std::move(*result);                                                                        \
    })
// The value of a Result<T>, or return its error from this function.
#define CKPT_TRY(expression) CKPT_TRY_(CKPT_CONCAT(ckpt_result_, __COUNTER__), expression)

#define CKPT_CHECK_(result, expression)                                                            \
    do {                                                                                           \
        auto result = (expression);                                                                \
        if (!result.has_value())                                                                   \
            return tl::unexpected(std::move(result).error());                                      \
    } while (0)
// As CKPT_TRY for a Status: go on, or return its error.
#define CKPT_CHECK(expression) CKPT_CHECK_(CKPT_CONCAT(ckpt_result_, __COUNTER__), expression)
