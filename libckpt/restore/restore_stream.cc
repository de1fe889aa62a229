// SPDX-License-Identifier: GPL-2.0-only
#include "libckpt/restore/restore_stream.hh"

#include <algorithm>
#include <climits>
#include <csignal>
#include <cstring>
#include <vector>

#include <poll.h>
#include <sys/uio.h>

#include "libckpt/base/migration_stream.hh"

namespace ckpt {
namespace {

// xl's own header (xl.h: struct save_file_header).
struct XlHeader {
    char magic[32];
    std::uint32_t byte_order = 0x01020304;
    std::uint32_t mandatory_flags = 3; // JSON configuration, libxl stream version 2
    std::uint32_t optional_flags = 0;
    std::uint32_t optional_length; // the configuration and its length
};
static_assert(sizeof(XlHeader) == 48);
constexpr char kXlMagic[] = "Xen saved domain, xl format\n \0 \r";
static_assert(sizeof(kXlMagic) - 1 == sizeof(XlHeader::magic));

// docs/specs/libxl-migration-stream
struct LibxlHeader {
    std::uint64_t id_be = __builtin_bswap64(0x4c6962786c466d74); // "LibxlFmt"
    std::uint32_t version_be = __builtin_bswap32(2);
    std::uint32_t options_be = 0; // little endian
};
constexpr stream::RecordHeader kLibxlEnd{0, 0}, kLibxcContext{1, 0};

// Writing to a pipe whose reader is gone must be an error, not a signal.
class NoSigpipe {
  public:
    NoSigpipe() {
        sigemptyset(&sigpipe_);
        sigaddset(&sigpipe_, SIGPIPE);
        sigset_t pending;
        sigpending(&pending);
        was_pending_ = sigismember(&pending, SIGPIPE);
        pthread_sigmask(SIG_BLOCK, &sigpipe_, &before_);
    }
    ~NoSigpipe() {
        const timespec now{};
        if (!was_pending_)
            sigtimedwait(&sigpipe_, nullptr, &now);
        pthread_sigmask(SIG_SETMASK, &before_, nullptr);
    }
    NoSigpipe(const NoSigpipe &) = delete;

  private:
    sigset_t sigpipe_, before_;
    bool was_pending_;
};

// Gathers pieces and writes them at flush(); they stay where they are till then.
class Output {
  public:
    explicit Output(int fd) : fd_(fd) {}

    void add(const void *data, std::size_t bytes) {
        if (!bytes)
            return;
        auto *address = static_cast<const char *>(data);
        if (!pieces_.empty() && end_ == address)
            pieces_.back().iov_len += bytes; // neighbours in memory are one piece
        else
            pieces_.push_back({const_cast<char *>(address), bytes});
        end_ = address + bytes;
    }
    template <typename T> void add_value(const T &value) { add(&value, sizeof(value)); }

    Status flush() {
        std::span<iovec> left(pieces_);
        while (!left.empty()) {
            const ssize_t count =
                ::writev(fd_, left.data(), static_cast<int>(std::min<std::size_t>(left.size(), IOV_MAX)));
            if (count < 0)
                CKPT_CHECK(failed(errno));
            else
                left = after(left, static_cast<std::size_t>(count));
        }
        pieces_.clear();
        end_ = nullptr;
        return {};
    }

  private:
    Status failed(int error) const {
        if (error == EINTR)
            return {};
        if (error == EPIPE)
            return fail(EPIPE, "the reader of the image went away before its end");
        if (error != EAGAIN)
            return fail(error, "can't write the image");
        pollfd wait = {fd_, POLLOUT, 0};
        ::poll(&wait, 1, -1);
        return {};
    }
    static std::span<iovec> after(std::span<iovec> pieces, std::size_t done) {
        while (!pieces.empty() && done >= pieces[0].iov_len) {
            done -= pieces[0].iov_len;
            pieces = pieces.subspan(1);
        }
        if (done) {
            pieces[0].iov_base = static_cast<char *>(pieces[0].iov_base) + done;
            pieces[0].iov_len -= done;
        }
        return pieces;
    }

    int fd_;
    std::vector<iovec> pieces_;
    const char *end_ = nullptr;
};

Status write_head(const StateRecords &state, const std::vector<std::byte> &config, Output &out) {
    XlHeader xl{};
    std::memcpy(xl.magic, kXlMagic, sizeof(xl.magic));
    const auto config_length = static_cast<std::uint32_t>(config.size() + 1);
    xl.optional_length = static_cast<std::uint32_t>(sizeof(config_length)) + config_length;
    const LibxlHeader libxl;
    out.add_value(xl);
    out.add_value(config_length);
    out.add(config.data(), config.size());
    out.add("", 1);
    out.add_value(libxl);
    out.add_value(kLibxcContext);
    out.add(state.head.data(), state.head.size());
    return out.flush();
}

// One PAGE_DATA record. Holes are left out: a restored guest starts with none
// of its pages.
Status write_pages(std::span<const ImageReader::Page> pages, Output &out) {
    std::vector<std::uint64_t> entries;
    std::size_t contents = 0;
    for (const auto &page : pages) {
        if (page.type == PageType::hole || page.type == PageType::broken)
            continue;
        entries.push_back(std::uint64_t{static_cast<std::uint8_t>(page.type)}
                              << stream::kPageTypeShift | page.pfn);
        contents += page.data ? kPageSize : 0;
    }
    if (entries.empty())
        return {};
    const stream::PageDataHeader page_data{.count = static_cast<std::uint32_t>(entries.size())};
    const stream::RecordHeader record{
        static_cast<std::uint32_t>(stream::Record::page_data),
        static_cast<std::uint32_t>(sizeof(page_data) + entries.size() * sizeof(entries[0]) +
                                   contents)};
    out.add_value(record);
    out.add_value(page_data);
    out.add(entries.data(), entries.size() * sizeof(entries[0]));
    for (const auto &page : pages)
        if (page.data)
            out.add(page.data, kPageSize);
    return out.flush();
}

} // namespace

Status write_restore_stream(ImageReader &image, int fd, const Progress &progress) {
    return write_restore_stream(image, image.state().config, fd, progress);
}

Status write_restore_stream(ImageReader &image, const std::vector<std::byte> &configuration,
                            int fd, const Progress &progress) {
    const GuestEntry &entry = image.entry();
    if (entry.kind == GuestKind::hvm)
        return fail(EOPNOTSUPP, "guest {}: Xen can't restore a guest of its kind", entry.name);
    const NoSigpipe guard;
    Output out(fd);
    CKPT_CHECK(write_head(image.state(), configuration, out));
    const std::uint64_t total = entry.nr_pages * kPageSize;
    std::uint64_t done = 0;
    CKPT_CHECK(image.for_each([&](std::span<const ImageReader::Page> pages) -> Status {
        CKPT_CHECK(write_pages(pages, out));
        done += pages.size() * kPageSize;
        if (progress && !progress(std::min(done, total), total))
            return fail(ECANCELED, "the image was not wanted any more");
        return {};
    }));
    out.add(image.state().tail.data(), image.state().tail.size());
    out.add_value(kLibxlEnd);
    return out.flush();
}

} // namespace ckpt
