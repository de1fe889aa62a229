// SPDX-License-Identifier: GPL-2.0-only
// Xen's migration stream as far as a checkpoint needs it: the libxc part
// (docs/specs/libxc-migration-stream, version 3), written by vm/xen_state and
// restore/. All numbers are in the machine's own order, little endian on x86,
// but for the image header's.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <type_traits>
#include <vector>

namespace ckpt::stream {

enum class Record : std::uint32_t {
    end = 0x00,
    page_data = 0x01,
    pv_info = 0x02,
    pv_p2m_frames = 0x03,
    pv_vcpu_basic = 0x04,
    pv_vcpu_extended = 0x05,
    pv_vcpu_xsave = 0x06,
    pv_shared_info = 0x07,
    tsc_info = 0x08,
    hvm_context = 0x09,
    hvm_params = 0x0a,
    pv_vcpu_msrs = 0x0c,
    static_data_end = 0x10,
    cpuid_policy = 0x11,
    msr_policy = 0x12,
};

struct RecordHeader {
    std::uint32_t type;
    std::uint32_t length; // of the body, without the padding to 8 bytes
};

struct ImageHeader {
    std::uint64_t marker = ~std::uint64_t{0};
    std::uint32_t id_be = __builtin_bswap32(0x58454e46); // "XENF"
    std::uint32_t version_be = __builtin_bswap32(3);
    std::uint16_t options_be = 0; // little endian image
    std::uint16_t reserved[3] = {};
};
static_assert(sizeof(ImageHeader) == 24);

enum class DomainType : std::uint32_t { pv = 1, hvm = 2 };

struct DomainHeader {
    DomainType type;
    std::uint16_t page_shift = 12;
    std::uint16_t reserved = 0;
    std::uint32_t xen_major, xen_minor; // who wrote it: for messages only
};
static_assert(sizeof(DomainHeader) == 16);

// Body of page_data: this, then count words of pfn and type, then the pages
// that have contents.
struct PageDataHeader {
    std::uint32_t count;
    std::uint32_t reserved = 0;
};
inline constexpr unsigned kPageTypeShift = 60;
inline constexpr std::uint64_t kPagePfnMask = (std::uint64_t{1} << 52) - 1;

inline std::size_t padded(std::size_t length) { return (length + 7) & ~std::size_t{7}; }

inline void append_bytes(std::vector<std::byte> &out, std::span<const std::byte> bytes) {
    out.insert(out.end(), bytes.begin(), bytes.end());
}

template <typename T> void append_value(std::vector<std::byte> &out, const T &value) {
    static_assert(std::is_trivially_copyable_v<T>);
    append_bytes(out, std::as_bytes(std::span(&value, 1)));
}

// One whole record whose body is the parts one after the other.
template <typename... Parts>
void append_record(std::vector<std::byte> &out, Record type, const Parts &...parts) {
    const std::size_t length = (std::size_t{0} + ... + std::as_bytes(std::span(parts)).size());
    append_value(out, RecordHeader{static_cast<std::uint32_t>(type),
                                   static_cast<std::uint32_t>(length)});
    (append_bytes(out, std::as_bytes(std::span(parts))), ...);
    out.resize(out.size() + padded(length) - length);
}

// A value as a part of append_record().
template <typename T> std::span<const T> one(const T &value) { return {&value, 1}; }

} // namespace ckpt::stream
