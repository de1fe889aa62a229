// SPDX-License-Identifier: GPL-2.0-only
// A guest's identity for life.
#pragma once

#include <array>
#include <compare>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace ckpt {

struct Uuid {
    std::array<std::uint8_t, 16> bytes{};

    auto operator<=>(const Uuid &) const = default;

    // Lower-case 8-4-4-4-12 form.
    std::string to_string() const;
    // The same form in either case; nothing if `text` is not that.
    static std::optional<Uuid> parse(std::string_view text);
};

} // namespace ckpt
