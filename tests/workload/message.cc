// SPDX-License-Identifier: GPL-2.0-only
#include "tests/workload/message.hh"

#include <algorithm>
#include <bit>
#include <cstring>

#include "tests/workload/mix.hh"

namespace ckpt::workload {

namespace {
static_assert(std::endian::native == std::endian::little, "the wire format is the memory's");

constexpr std::uint32_t kMagic = 0x4c57'4b54; // "TKWL"

struct Header {
    std::uint32_t magic;
    std::uint16_t kind;
    std::uint16_t nr_clocks;
    std::uint32_t length;
    std::uint32_t from;
    std::uint32_t to;
    std::uint32_t zero;
    std::uint64_t run;
    std::uint64_t connection;
    std::uint64_t counter;
    std::uint64_t offset;
    std::uint64_t step;
    std::uint64_t nonce;
    std::uint64_t digest;
};
static_assert(sizeof(Header) == 80);

struct ClockEntry {
    std::uint32_t member;
    std::uint32_t zero;
    std::uint64_t events;
};
static_assert(sizeof(ClockEntry) == 16);

std::uint64_t digest_of(const Header &header, std::span<const std::uint8_t> rest) {
    Header bare = header;
    bare.digest = 0;
    return hash_bytes(rest.data(), rest.size(), hash_bytes(&bare, sizeof bare, 0));
}
} // namespace

std::vector<std::uint8_t> encode(Message &message) {
    const auto &clocks = message.clock.entries();
    const std::size_t least = sizeof(Header) + clocks.size() * sizeof(ClockEntry);
    std::vector<std::uint8_t> bytes(std::clamp(message.size, least, kMaxMessage));
    std::uint8_t *at = bytes.data() + sizeof(Header);
    for (const auto &[member, events] : clocks) {
        const ClockEntry entry{member.packed(), 0, events};
        std::memcpy(at, &entry, sizeof entry);
        at += sizeof entry;
    }
    for (std::size_t i = least; i < bytes.size(); i++, at++)
        *at = static_cast<std::uint8_t>((message.nonce + i * 0x9d) >> (i % 8 * 8));
    Header header{kMagic,
                  static_cast<std::uint16_t>(message.kind),
                  static_cast<std::uint16_t>(clocks.size()),
                  static_cast<std::uint32_t>(bytes.size()),
                  message.from.packed(),
                  message.to.packed(),
                  0,
                  message.run,
                  message.connection,
                  message.counter,
                  message.offset,
                  message.step,
                  message.nonce,
                  0};
    header.digest = digest_of(header, std::span(bytes).subspan(sizeof header));
    std::memcpy(bytes.data(), &header, sizeof header);
    message.digest = header.digest;
    message.size = bytes.size();
    return bytes;
}

std::optional<std::size_t> record_length(std::span<const std::uint8_t> bytes) {
    std::uint32_t magic, length;
    std::memcpy(&magic, bytes.data() + offsetof(Header, magic), sizeof magic);
    std::memcpy(&length, bytes.data() + offsetof(Header, length), sizeof length);
    if (magic != kMagic || length < sizeof(Header) || length > kMaxMessage)
        return std::nullopt;
    return length;
}

std::optional<Message> decode(std::span<const std::uint8_t> bytes, std::string &why) {
    if (bytes.size() < sizeof(Header) || record_length(bytes) != bytes.size()) {
        why = "not a message";
        return std::nullopt;
    }
    Header header;
    std::memcpy(&header, bytes.data(), sizeof header);
    const auto rest = bytes.subspan(sizeof header);
    if (digest_of(header, rest) != header.digest) {
        why = "wrong checksum";
        return std::nullopt;
    }
    if (header.nr_clocks > VectorClock::kMaxMembers ||
        header.nr_clocks * sizeof(ClockEntry) > rest.size()) {
        why = "vector clock too long";
        return std::nullopt;
    }
    Message message;
    message.kind = static_cast<Kind>(header.kind);
    message.from = MemberId::unpack(header.from);
    message.to = MemberId::unpack(header.to);
    message.run = header.run;
    message.connection = header.connection;
    message.counter = header.counter;
    message.offset = header.offset;
    message.step = header.step;
    message.nonce = header.nonce;
    message.digest = header.digest;
    message.size = bytes.size();
    for (std::size_t i = 0; i < header.nr_clocks; i++) {
        ClockEntry entry;
        std::memcpy(&entry, rest.data() + i * sizeof entry, sizeof entry);
        message.clock.merge(MemberId::unpack(entry.member), entry.events);
    }
    return message;
}

} // namespace ckpt::workload
