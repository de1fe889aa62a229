// SPDX-License-Identifier: GPL-2.0-only
// Two small hash functions: no security meant, every bit of the input counts.
#pragma once

#include <cstdint>
#include <cstring>
#include <cstddef>

namespace ckpt::workload {

// A bijection of 64 bits that spreads every input bit (SplitMix64's finalizer).
// tests/workload/check has the same function: keep both alike.
constexpr std::uint64_t mix(std::uint64_t x) {
    x += 0x9e3779b97f4a7c15U;
    x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9U;
    x = (x ^ (x >> 27)) * 0x94d049bb133111ebU;
    return x ^ (x >> 31);
}

// Hash of `size` bytes, word by word: cheap where a multiplication is dear (emulation).
inline std::uint64_t hash_bytes(const void *data, std::size_t size, std::uint64_t seed) {
    const auto *at = static_cast<const unsigned char *>(data);
    std::uint64_t hash = mix(seed ^ size);
    for (; size >= 8; at += 8, size -= 8) {
        std::uint64_t word;
        std::memcpy(&word, at, 8);
        hash = (hash ^ word) * 0x9fb21c651e98df25U;
        hash ^= hash >> 32;
    }
    std::uint64_t tail = 0;
    std::memcpy(&tail, at, size);
    return mix(hash ^ tail);
}

} // namespace ckpt::workload
