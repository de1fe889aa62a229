// SPDX-License-Identifier: GPL-2.0-only
// One message between members, the same for UDP (a datagram) and TCP (a record
// of the stream). Little endian: header, vector clock, filling.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "tests/workload/member.hh"

namespace ckpt::workload {

enum class Kind : std::uint16_t { udp = 1, tcp = 2, hello = 3 };

struct Message {
    Kind kind = Kind::udp;
    MemberId from;
    MemberId to;
    std::uint64_t run = 0;        // of the sender: random, drawn when it starts
    std::uint64_t connection = 0; // TCP: drawn by the side that connects; UDP: 0
    std::uint64_t counter = 0;    // of this sender to this receiver by this transport, from 1
    std::uint64_t offset = 0;     // TCP: bytes of the stream before this record
    std::uint64_t step = 0;       // of the sender's working set when it sent
    std::uint64_t nonce = 0;      // makes a message that is sent anew differ from the first
    VectorClock clock;
    std::uint64_t digest = 0; // over all other bytes; set by encode and decode
    std::size_t size = 0;     // in bytes; asked of encode as the least size, set by decode
};

constexpr std::size_t kMaxMessage = 65'000;
// A record can be told to be longer than what has arrived from this many bytes on.
constexpr std::size_t kLengthKnown = 12;

// The message as bytes, at least `size` long (filled up), its digest put in and returned in
// `digest`.
std::vector<std::uint8_t> encode(Message &message);

// Length of the record that starts with these bytes (at least kLengthKnown of them), or nothing
// if no record can start so.
std::optional<std::size_t> record_length(std::span<const std::uint8_t> bytes);

// The message in exactly these bytes, or nothing and what is wrong with them in `why`.
std::optional<Message> decode(std::span<const std::uint8_t> bytes, std::string &why);

} // namespace ckpt::workload
