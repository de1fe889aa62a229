// SPDX-License-Identifier: GPL-2.0-only
// Random numbers that are the same on every machine: xoshiro256** (Blackman, Vigna
// 2018), one independent stream per purpose, so that a change in one (a fault left
// out while a failure is made smaller) does not move the others.
#pragma once

#include <array>
#include <bit>
#include <cmath>
#include <cstdint>

namespace ckpt::sim {

class Random {
  public:
    Random(std::uint64_t seed, std::uint64_t stream) {
        std::uint64_t x = seed * 0x9e3779b97f4a7c15 ^ stream * 0xd1342543de82ef95;
        for (auto &word : state_) { // splitmix64
            x += 0x9e3779b97f4a7c15;
            std::uint64_t z = x;
            z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9;
            z = (z ^ z >> 27) * 0x94d049bb133111eb;
            word = z ^ z >> 31;
        }
    }

    std::uint64_t next() {
        const std::uint64_t result = std::rotl(state_[1] * 5, 7) * 9, t = state_[1] << 17;
        state_[2] ^= state_[0];
        state_[3] ^= state_[1];
        state_[1] ^= state_[2];
        state_[0] ^= state_[3];
        state_[2] ^= t;
        state_[3] = std::rotl(state_[3], 45);
        return result;
    }
    // In [0, n), n > 0; the bias of 2^-32 is of no matter here.
    std::uint32_t below(std::uint32_t n) {
        return static_cast<std::uint32_t>((next() >> 32) * n >> 32);
    }
    // In [0, 1).
    double unit() { return static_cast<double>(next() >> 11) * 0x1p-53; }
    bool chance(double p) { return p > 0 && unit() < p; }
    double between(double low, double high) { return low + (high - low) * unit(); }
    double exponential(double mean) { return -mean * std::log1p(-unit()); }

  private:
    std::array<std::uint64_t, 4> state_;
};

} // namespace ckpt::sim
