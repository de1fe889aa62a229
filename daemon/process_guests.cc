// SPDX-License-Identifier: GPL-2.0-only
#include "daemon/process_guests.hh"

#include <cstring>
#include <thread>

#include "libckpt/vm/process_backend.hh"

namespace ckpt {

namespace {

constexpr unsigned kStepsPerBurst = 64; // then a rest of kRest
constexpr auto kRest = std::chrono::milliseconds(1);

// splitmix64: a number's well-spread successor.
std::uint64_t mix(std::uint64_t x) {
    x += 0x9e3779b97f4a7c15;
    x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9;
    x = (x ^ (x >> 27)) * 0x94d049bb133111eb;
    return x ^ (x >> 31);
}

// Step s: to page mix(s) % pages go 512 words, the first is s, the others are
// mix(s ^ page). Three of four steps stay in the first eighth of the memory.
void step(std::span<std::byte> memory, ProcessRegisters &registers) {
    std::uint64_t s = registers.steps + 1;
    std::uint64_t pages = memory.size() / kPageSize;
    std::uint64_t spread = mix(s);
    std::uint64_t page = spread >> 32 & 3 ? spread % std::max<std::uint64_t>(1, pages / 8)
                                          : spread % pages;
    std::array<std::uint64_t, kPageSize / sizeof(std::uint64_t)> words;
    words.fill(mix(s ^ page));
    words[0] = s;
    std::memcpy(memory.data() + page * kPageSize, words.data(), kPageSize);
    if (s % kStepsPerBurst == 0)
        std::this_thread::sleep_for(kRest);
}

} // namespace

Result<std::unique_ptr<GuestBackend>> start_process_guests(const Config &config) {
    auto backend = std::make_unique<ProcessBackend>();
    for (std::uint64_t n = 0; n < config.process_guests; n++) {
        std::uint64_t i = config.process_first + n;
        ProcessGuestSpec spec;
        spec.name = fmt::format("p{}", i);
        spec.nr_pages = config.process_memory_mib * 1024 * 1024 / kPageSize;
        spec.work = step;
        Uuid uuid;
        uuid.bytes[0] = 0xee;
        uuid.bytes[15] = static_cast<std::uint8_t>(i);
        CKPT_TRY(backend->create_guest(uuid, std::move(spec)));
    }
    return backend;
}

} // namespace ckpt
