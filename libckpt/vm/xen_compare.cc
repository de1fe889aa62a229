// SPDX-License-Identifier: GPL-2.0-only
#include "libckpt/vm/xen_compare.hh"

#include <algorithm>
#include <cstring>

#include <sys/mman.h>

#include <isa-l/crc.h>

namespace ckpt::xen {
namespace {

constexpr std::size_t kChunk = XEN_TYPES_MAX;
constexpr PageType kNeverStored{0xff};

// Of a page and its type; never 0.
std::uint32_t checksum(PageType type, const std::byte *page) {
    auto *bytes = const_cast<unsigned char *>(reinterpret_cast<const unsigned char *>(page));
    return crc32_iscsi(bytes, kPageSize, static_cast<unsigned>(type)) | 1;
}

} // namespace

Compare::Compare(Handles &handles, std::uint32_t domid, xen_calls *calls, const Space &space)
    : handles_(handles), domid_(domid), calls_(calls), space_(space),
      types_(space.limit(), kNeverStored), added_(space.limit()), asked_(kChunk) {}

Result<std::unique_ptr<Compare>> Compare::create(Handles &handles, std::uint32_t domid,
                                                 xen_calls *calls, const Space &space) {
    std::unique_ptr<Compare> compare(new Compare(handles, domid, calls, space));
    void *copy = mmap(nullptr, space.limit() * kPageSize, PROT_READ | PROT_WRITE,
                      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (copy == MAP_FAILED)
        return fail(errno, "domain {}: no room for a copy of its {} pages", domid, space.limit());
    compare->copy_ = static_cast<std::byte *>(copy);
    return compare;
}

Compare::~Compare() {
    if (copy_)
        munmap(copy_, space_.limit() * kPageSize);
}

void Compare::stored(const PageBatch &batch, std::size_t from) {
    for (std::size_t i = from; i < batch.size(); i++) {
        types_[batch.pfn(i)] = batch.type(i);
        added_[batch.pfn(i)] = 0;
        if (const std::byte *data = batch.data(i))
            std::memcpy(copy_ + batch.pfn(i) * kPageSize, data, kPageSize);
    }
}

// Maps the chunk, again if the guest's frames are others than when it was.
Status Compare::refresh(Chunk &chunk, Pfn first, std::size_t count) {
    bool same = !chunk.frames.empty();
    for (std::size_t i = 0; i < count; i++) {
        asked_[i] = space_.frame(first + i);
        same = same && chunk.frames[i] == asked_[i];
    }
    if (same)
        return {};
    chunk.mapping.reset();
    chunk.frames.assign(asked_.begin(), asked_.begin() + static_cast<std::ptrdiff_t>(count));
    chunk.errors.assign(count, 0);
    chunk.mapping = CKPT_TRY(
        Mapping::create(handles_.memory.get(), domid_, chunk.frames, chunk.errors));
    return {};
}

bool Compare::changed(Pfn pfn, PageType type, const std::byte *page, bool stopped) {
    if (!has_contents(type))
        return type != types_[pfn];
    if (type != PageType::normal) {
        if (!space_.store_form(type, page, table_))
            return stopped;
        page = table_;
    }
    if (type == types_[pfn] && std::memcmp(page, copy_ + pfn * kPageSize, kPageSize) == 0)
        return false;
    if (stopped)
        return true;
    const std::uint32_t sum = checksum(type, page);
    return std::exchange(added_[pfn], sum) != sum;
}

Result<std::uint64_t> Compare::add_changed(PageSet &dirty, bool stopped) {
    std::uint64_t found = 0;
    chunks_.resize((space_.limit() + kChunk - 1) / kChunk);
    for (std::size_t c = 0; c < chunks_.size(); c++) {
        Chunk &chunk = chunks_[c];
        const Pfn first = c * kChunk;
        const unsigned count = static_cast<unsigned>(std::min<Pfn>(kChunk, space_.limit() - first));
        CKPT_CHECK(refresh(chunk, first, count));
        if (const int error = xen_page_types(calls_, asked_.data(), count))
            return fail(error, "domain {}: can't get page types", domid_);
        for (unsigned i = 0; i < count; i++) {
            const PageType type =
                chunk.frames[i] == kNoFrame ? PageType::hole : page_type(asked_[i]);
            if (has_contents(type) && chunk.errors[i]) {
                if (stopped)
                    return fail(EIO, "domain {}: page {:#x} can't be mapped", domid_, first + i);
                continue;
            }
            if (changed(first + i, type, chunk.mapping.page(i), stopped)) {
                dirty.insert(first + i);
                found++;
            }
        }
    }
    return found;
}

} // namespace ckpt::xen
