// SPDX-License-Identifier: GPL-2.0-only
#include "libckpt/store/page_reader.hh"

#include <fcntl.h>

#include <algorithm>
#include <array>
#include <tuple>

#include "libckpt/base/crc32c.hh"
#include "libckpt/store/record.hh"

namespace ckpt {

namespace {

constexpr std::size_t kGroup = 256;  // pages in one visit
constexpr std::size_t kRoom = 512;   // blocks read for one visit
constexpr std::uint32_t kSkip = 8;   // unwanted blocks read through rather than jumped over

class GroupReader {
  public:
    explicit GroupReader(const GuestFiles &files) : files_(files), buffer_(kRoom * kPageSize) {}

    // Reads pages from the front of `entries`; how many.
    Result<std::size_t> read(std::span<const tlckpt_run_entry> entries) {
        std::size_t done = 0, used = 0;
        while (done < entries.size() && done < kGroup) {
            const auto extent = extent_of(entries.subspan(done), kGroup - done);
            const auto &first = entries[done], &last = entries[done + extent - 1];
            const std::size_t blocks = last.block - first.block + 1;
            if (used + blocks > kRoom)
                break;
            std::byte *to = buffer_.span().data() + used * kPageSize;
            CKPT_CHECK(fetch(first, blocks, to));
            for (std::size_t i = done; i < done + extent; i++) {
                pages_[i] = to + (entries[i].block - first.block) * kPageSize;
                CKPT_CHECK(check(entries[i], pages_[i]));
            }
            done += extent;
            used += blocks;
        }
        return done;
    }
    std::span<const std::byte *const> pages(std::size_t n) const {
        return std::span(pages_).first(n);
    }

  private:
    // How many entries one read takes: few unwanted blocks in between.
    static std::size_t extent_of(std::span<const tlckpt_run_entry> entries, std::size_t most) {
        std::size_t n = 1;
        while (n < entries.size() && n < most && entries[n].segment == entries[0].segment &&
               entries[n].block - entries[n - 1].block <= 1 + kSkip &&
               entries[n].block - entries[0].block < kRoom)
            n++;
        return n;
    }

    Status fetch(const tlckpt_run_entry &first, std::size_t blocks, std::byte *to) {
        if (first.segment != segment_) {
            path_ = files_.segment(first.segment);
            fd_ = CKPT_TRY(files_.disk().open_read(path_));
            path_ = files_.disk().full_path(path_);
            segment_ = first.segment;
            ::posix_fadvise(fd_.get(), 0, 0, POSIX_FADV_SEQUENTIAL);
        }
        return read_at(fd_.get(), path_, std::uint64_t{first.block} * kPageSize,
                       {to, blocks * kPageSize});
    }

    Status check(const tlckpt_run_entry &entry, const std::byte *page) const {
        if (crc32c({page, kPageSize}) == entry.crc)
            return {};
        return fail(EBADMSG, "{}: page {:#x} at {}: checksum differs", path_, key_pfn(entry.key),
                    std::uint64_t{entry.block} * kPageSize);
    }

    const GuestFiles &files_;
    AlignedBuffer buffer_;
    std::array<const std::byte *, kGroup> pages_{};
    std::uint32_t segment_ = 0;
    std::string path_;
    Fd fd_;
};

} // namespace

void sort_by_place(RunEntries &entries) {
    std::ranges::sort(entries, {}, [](const tlckpt_run_entry &entry) {
        return std::tuple(entry.segment, entry.block);
    });
}

Status read_pages(const GuestFiles &files, std::span<const tlckpt_run_entry> entries,
                  const PagesVisit &visit) {
    GroupReader reader(files);
    while (!entries.empty()) {
        const std::size_t n = CKPT_TRY(reader.read(entries));
        CKPT_CHECK(visit(entries.first(n), reader.pages(n)));
        entries = entries.subspan(n);
    }
    return {};
}

} // namespace ckpt
