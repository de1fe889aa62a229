// SPDX-License-Identifier: GPL-2.0-only
#include "libckpt/store/block.hh"

#include <bit>
#include <cstring>

#include "libckpt/base/assert.hh"
#include "libckpt/base/crc32c.hh"

namespace ckpt {

static_assert(std::endian::native == std::endian::little, "the format's structs are used in place");

namespace {

std::uint32_t checksum(std::span<const std::byte> bytes) {
    constexpr std::size_t kField = offsetof(tlckpt_head, crc);
    constexpr std::byte kNone[4]{};
    const std::uint32_t crc = crc32c(kNone, crc32c(bytes.first(kField)));
    return crc32c(bytes.subspan(sizeof(tlckpt_head)), crc);
}

} // namespace

void seal_block(std::span<std::byte> bytes, std::uint32_t magic) {
    CKPT_ASSERT(bytes.size() >= sizeof(tlckpt_head) && bytes.size() < UINT32_MAX);
    tlckpt_head head{magic, TLCKPT_FORMAT_VERSION, static_cast<std::uint32_t>(bytes.size()), 0};
    std::memcpy(bytes.data(), &head, sizeof head);
    head.crc = checksum(bytes);
    std::memcpy(bytes.data(), &head, sizeof head);
}

Status check_block(std::span<const std::byte> bytes, std::uint32_t magic, std::string_view where) {
    tlckpt_head head;
    if (bytes.size() < sizeof head)
        return fail(EBADMSG, "{}: only {} bytes", where, bytes.size());
    std::memcpy(&head, bytes.data(), sizeof head);
    if (head.magic != magic)
        return fail(EBADMSG, "{}: magic is {:08x}, not {:08x}", where, head.magic, magic);
    if (head.length < sizeof head || head.length > bytes.size())
        return fail(EBADMSG, "{}: length {} of {} bytes", where, head.length, bytes.size());
    // The head is the same in all versions, so damage is told from novelty.
    if (head.crc != checksum(bytes.first(head.length)))
        return fail(EBADMSG, "{}: checksum differs", where);
    if (head.version != TLCKPT_FORMAT_VERSION)
        return fail(EPROTONOSUPPORT, "{}: format version {} found, this program knows version {}",
                    where, head.version, TLCKPT_FORMAT_VERSION);
    if (head.length != bytes.size())
        return fail(EBADMSG, "{}: length {} of {} bytes", where, head.length, bytes.size());
    return {};
}

} // namespace ckpt
