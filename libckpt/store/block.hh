// SPDX-License-Identifier: GPL-2.0-only
// The head in front of every structure on disk: what it is, its version, its
// checksum (checkpoint-format.rst, "Head").
#pragma once

#include <cstddef>
#include <cstdint>
#include <ranges>
#include <span>
#include <string_view>
#include <type_traits>

#include "libckpt/base/result.hh"
#include "tlckpt/format.h"

namespace ckpt {

// Fills the head at the start of `bytes` and the checksum over all of them.
void seal_block(std::span<std::byte> bytes, std::uint32_t magic);

// Whether `bytes`, wholly, is a sound structure of this kind. `where` is the
// start of the message ("FILE: at 4096"). Errors: EBADMSG damaged;
// EPROTONOSUPPORT sound, and of a version that this program does not know.
Status check_block(std::span<const std::byte> bytes, std::uint32_t magic, std::string_view where);

// The same for a struct of format.h, whole.
template <typename T>
concept FormatStruct = std::is_trivially_copyable_v<T> && !std::ranges::range<T>;
template <FormatStruct T> void seal_block(T &block, std::uint32_t magic) {
    seal_block(std::as_writable_bytes(std::span(&block, 1)), magic);
}
template <FormatStruct T>
Status check_block(const T &block, std::uint32_t magic, std::string_view where) {
    return check_block(std::as_bytes(std::span(&block, 1)), magic, where);
}

// A zero-terminated text in a fixed field, cut to fit.
template <std::size_t size> void put_text(char (&field)[size], std::string_view text) {
    const std::size_t length = text.size() < size - 1 ? text.size() : size - 1;
    text.copy(field, length);
    field[length] = '\0';
}
template <std::size_t size> std::string_view get_text(const char (&field)[size]) {
    const std::string_view text(field, size);
    return text.substr(0, text.find('\0'));
}

} // namespace ckpt
