// SPDX-License-Identifier: GPL-2.0-only
// The module's netlink attributes as JSON has them: one table per nest, after
// Documentation/netlink/specs/tlckpt.yaml (a test compares the two). Knows no
// libnl: the client walks these tables.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>

namespace ckpt::kmod {

enum class AttributeType : std::uint8_t {
    u8,
    u16,
    u32,
    u64,
    flag,   // true, or not there
    text,   // string
    mac,    // "00:16:3e:00:00:01"
    ipv4,   // "192.0.2.1"
    ipv6,   // "2001:db8::1"
    binary, // hexadecimal digits
    nest,   // object
};

struct Attribute {
    std::uint16_t id;
    const char *name;
    AttributeType type;
    std::span<const Attribute> nest = {};
    // What the values 0, 1, ... of an enumeration are called.
    std::span<const char *const> values = {};
};

struct Operation {
    std::uint8_t command;
    const char *name;
    bool dump;
};

std::span<const Attribute> attributes();
std::span<const Operation> operations();
// An operation of this name or number; null if there is none.
const Operation *operation(std::string_view name);
const Operation *operation(std::uint8_t command);

} // namespace ckpt::kmod
