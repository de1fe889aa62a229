// SPDX-License-Identifier: GPL-2.0-only
#include "libckpt/store/record.hh"

#include <array>
#include <cstdlib>
#include <cstring>

#include "libckpt/base/assert.hh"
#include "libckpt/base/crc32c.hh"
#include "libckpt/io/disk.hh"
#include "libckpt/store/block.hh"

namespace ckpt {

namespace {

// Far above any guest's device state; what is above it is a damaged number.
constexpr std::uint64_t kStateLimit = std::uint64_t{1} << 30;

bool all_zero(const std::byte *page) {
    std::array<std::uint64_t, 8> words;
    for (std::size_t at = 0; at < kPageSize; at += sizeof words) {
        std::memcpy(words.data(), page + at, sizeof words);
        if (words[0] | words[1] | words[2] | words[3] | words[4] | words[5] | words[6] | words[7])
            return false;
    }
    return true;
}

tlckpt_record record_header(const RecordPlace &place, std::uint32_t type) {
    tlckpt_record record{};
    record.type = type;
    record.segment = place.segment;
    record.block = place.block;
    std::memcpy(record.guest, place.guest.bytes.data(), sizeof record.guest);
    return record;
}

std::uint64_t blocks_of(std::uint64_t bytes) { return (bytes + TLCKPT_BLOCK - 1) / TLCKPT_BLOCK; }

} // namespace

void drop_zero_pages(PageBatch &batch) {
    for (std::size_t i = batch.size(); i-- > 0;)
        if (batch.data(i) && all_zero(batch.data(i)))
            batch.drop_contents(i);
}

std::span<const std::byte> fill_page_record(PageBatch &batch, const RecordPlace &place,
                                            std::vector<tlckpt_run_entry> &entries) {
    auto &record = *reinterpret_cast<tlckpt_record *>(batch.header().data());
    record = record_header(place, TLCKPT_RECORD_PAGES);
    record.nr_entries = static_cast<std::uint32_t>(batch.size());
    record.nr_blocks = static_cast<std::uint32_t>(batch.nr_contents());
    const std::span contents = batch.contents();
    std::uint32_t behind = record.nr_blocks;
    for (std::size_t i = 0; i < batch.size(); i++) {
        const std::byte *data = batch.data(i);
        if (!data) {
            const bool zero = has_contents(batch.type(i));
            const auto key = page_key(batch.pfn(i), batch.type(i), zero ? TLCKPT_KEY_ZERO : 0);
            record.keys[behind++] = key;
            entries.push_back({key, 0, 0, 0, 0});
            continue;
        }
        const auto at = static_cast<std::uint32_t>((data - contents.data()) /
                                                   static_cast<std::ptrdiff_t>(kPageSize));
        record.keys[at] = page_key(batch.pfn(i), batch.type(i));
        record.crcs[at] = crc32c({data, kPageSize});
        entries.push_back(
            {record.keys[at], place.segment, place.block + 1 + at, record.crcs[at], 0});
    }
    seal_block(record, TLCKPT_MAGIC_RECORD);
    return {batch.header().data(), kPageSize + contents.size()};
}

AlignedBuffer::AlignedBuffer(std::size_t bytes)
    : memory_(static_cast<std::byte *>(std::aligned_alloc(kPageSize, bytes))), bytes_(bytes) {
    CKPT_ASSERT(memory_ && bytes % kPageSize == 0);
    std::memset(memory_.get(), 0, bytes);
}

Result<std::uint32_t> state_record_blocks(const StateRecords &state) {
    const std::uint64_t bytes = state.config.size() + state.head.size() + state.tail.size();
    if (bytes > kStateLimit)
        return fail(EFBIG, "guest state of {} bytes, at most {} are stored", bytes, kStateLimit);
    return static_cast<std::uint32_t>(1 + blocks_of(bytes));
}

AlignedBuffer state_record(const StateRecords &state, const RecordPlace &place) {
    std::size_t bytes = 0;
    for (const auto *part : {&state.config, &state.head, &state.tail})
        bytes += part->size();
    AlignedBuffer buffer(kPageSize * (1 + blocks_of(bytes)));
    const std::span contents = buffer.span().subspan(kPageSize);
    std::size_t at = 0;
    for (const auto *part : {&state.config, &state.head, &state.tail}) {
        if (!part->empty())
            std::memcpy(contents.data() + at, part->data(), part->size());
        at += part->size();
    }
    tlckpt_record record = record_header(place, TLCKPT_RECORD_STATE);
    record.nr_blocks = static_cast<std::uint32_t>(blocks_of(bytes));
    record.state_bytes[0] = state.config.size();
    record.state_bytes[1] = state.head.size();
    record.state_bytes[2] = state.tail.size();
    record.contents_crc = crc32c(contents);
    seal_block(record, TLCKPT_MAGIC_RECORD);
    std::memcpy(buffer.span().data(), &record, sizeof record);
    return buffer;
}

Status check_record(const tlckpt_record &record, const RecordPlace &place, std::string_view file) {
    const auto where = fmt::format("{}: record at {}", file, std::uint64_t{place.block} * kPageSize);
    CKPT_CHECK(check_block(record, TLCKPT_MAGIC_RECORD, where));
    if (record.segment != place.segment || record.block != place.block ||
        std::memcmp(record.guest, place.guest.bytes.data(), sizeof record.guest) != 0)
        return fail(EBADMSG, "{}: belongs elsewhere", where);
    if (record.type == TLCKPT_RECORD_PAGES && (record.nr_entries > TLCKPT_RECORD_CAPACITY ||
                                               record.nr_blocks > record.nr_entries))
        return fail(EBADMSG, "{}: {} pages, {} with contents", where, record.nr_entries,
                    record.nr_blocks);
    return {};
}

Result<StateRecords> read_state_record(int fd, std::string_view file, const RecordPlace &place) {
    const std::uint64_t offset = std::uint64_t{place.block} * kPageSize;
    tlckpt_record record;
    CKPT_CHECK(read_at(fd, file, offset, std::as_writable_bytes(std::span(&record, 1))));
    CKPT_CHECK(check_record(record, place, file));
    std::uint64_t bytes = 0;
    for (std::uint64_t part : record.state_bytes)
        bytes = part > kStateLimit ? kStateLimit + 1 : bytes + part;
    if (record.type != TLCKPT_RECORD_STATE || bytes > kStateLimit ||
        record.nr_blocks != blocks_of(bytes))
        return fail(EBADMSG, "{}: record at {}: not a guest's state", file, offset);
    std::vector<std::byte> contents(record.nr_blocks * kPageSize);
    CKPT_CHECK(read_at(fd, file, offset + kPageSize, contents));
    if (crc32c(contents) != record.contents_crc)
        return fail(EBADMSG, "{}: guest state at {}: checksum differs", file, offset);
    StateRecords state;
    auto from = contents.begin();
    auto take = [&from](std::uint64_t size) {
        const auto start = from;
        from += static_cast<std::ptrdiff_t>(size);
        return std::vector<std::byte>(start, from);
    };
    state.config = take(record.state_bytes[0]);
    state.head = take(record.state_bytes[1]);
    state.tail = take(record.state_bytes[2]);
    return state;
}

} // namespace ckpt
