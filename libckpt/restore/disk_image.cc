// SPDX-License-Identifier: GPL-2.0-only
#include "libckpt/restore/disk_image.hh"

#include <algorithm>
#include <cerrno>
#include <set>
#include <vector>

#include <unistd.h>

namespace ckpt {

namespace {

Status write_all(int fd, std::uint64_t offset, std::span<const std::byte> data) {
    while (!data.empty()) {
        const ssize_t done = ::pwrite(fd, data.data(), data.size(), static_cast<off_t>(offset));
        if (done < 0 && errno == EINTR)
            continue;
        if (done <= 0)
            return fail(done < 0 ? errno : EIO, "writing the disk at {}", offset);
        offset += static_cast<std::uint64_t>(done);
        data = data.subspan(static_cast<std::size_t>(done));
    }
    return {};
}

bool all_zero(const std::byte *page) {
    return page == nullptr ||
           std::all_of(page, page + kPageSize, [](std::byte byte) { return byte == std::byte{}; });
}

} // namespace

Result<std::uint64_t> write_disk_image(ImageReader &image, std::uint64_t bytes,
                                       std::uint64_t zero_bytes, int fd, const Progress &progress) {
    const std::vector<std::byte> zeroes(zero_bytes);
    std::set<std::uint64_t> zeroed; // blocks of that size
    std::uint64_t written = 0;
    auto visit = [&](std::span<const ImageReader::Page> pages) -> Status {
        for (const auto &page : pages) {
            const std::uint64_t at = page.pfn * kPageSize;
            if (at >= bytes || all_zero(page.data))
                continue;
            if (zero_bytes && zeroed.insert(at / zero_bytes).second) {
                const std::uint64_t block = at / zero_bytes * zero_bytes;
                CKPT_CHECK(write_all(fd, block,
                                     std::span(zeroes).first(std::min(zero_bytes, bytes - block))));
            }
            const auto size = std::min<std::uint64_t>(kPageSize, bytes - at);
            CKPT_CHECK(write_all(fd, at, {page.data, static_cast<std::size_t>(size)}));
            written += size;
        }
        if (progress && !progress(written, bytes))
            return fail(ECANCELED, "the disk was not wanted any more");
        return {};
    };
    CKPT_CHECK(image.for_each(visit));
    if (::fsync(fd) != 0)
        return fail(errno, "writing the disk");
    return written;
}

} // namespace ckpt
