// SPDX-License-Identifier: GPL-2.0-only
#include "libckpt/disk/nbd_source.hh"

#include <algorithm>
#include <cstring>
#include <vector>

#include <libnbd.h>
#include <unistd.h>

namespace ckpt {

namespace {

constexpr std::uint64_t kBlock = 4096;
constexpr std::uint64_t kAsked = 1 << 30; // bytes whose status is asked for at a time
constexpr std::uint64_t kChunk = 1 << 20;

tl::unexpected<Error> nbd_error(const char *what) {
    const int error = ::nbd_get_errno();
    const char *words = ::nbd_get_error();
    return fail(error ? error : EIO, "{}: {}", what, words ? words : "?");
}

// Extents of one meta context, and where they end.
struct Statuses {
    const std::string context;
    const bool dirty; // the context's flag 1 means wanted; else 2, zero, means unwanted
    std::uint64_t end = 0;
    DiskExtents wanted{};

    void add(std::uint64_t begin, std::uint64_t length) {
        const std::uint64_t from = begin / kBlock * kBlock;
        const std::uint64_t to = (begin + length + kBlock - 1) / kBlock * kBlock;
        if (wanted.empty() || wanted.back().begin + wanted.back().length < from)
            wanted.push_back({from, to - from, DiskExtent::Kind::changed});
        else
            wanted.back().length = std::max(to, wanted.back().begin + wanted.back().length) -
                                   wanted.back().begin;
    }
};

int take_status(void *opaque, const char *context, std::uint64_t offset, std::uint32_t *entries,
                std::size_t nr_entries, int *) {
    auto &statuses = *static_cast<Statuses *>(opaque);
    if (statuses.context != context)
        return 0;
    for (std::size_t i = 0; i + 1 < nr_entries; i += 2) {
        const std::uint32_t flags = entries[i + 1];
        if (statuses.dirty ? flags & 1 : !(flags & LIBNBD_STATE_ZERO))
            statuses.add(offset, entries[i]);
        offset += entries[i];
    }
    statuses.end = offset;
    return 0;
}

bool all_zero(std::span<const char> bytes) {
    return bytes.empty() ||
           (bytes[0] == 0 && std::memcmp(bytes.data(), bytes.data() + 1, bytes.size() - 1) == 0);
}

} // namespace

void NbdSource::Closer::operator()(nbd_handle *handle) const { ::nbd_close(handle); }

Result<NbdSource> NbdSource::open(const std::string &file, const std::string &bitmap) {
    std::vector<std::string> command{"qemu-nbd", "--read-only", "--format=qcow2"};
    if (!bitmap.empty())
        command.push_back("--bitmap=" + bitmap);
    command.push_back(file);
    std::vector<char *> argv;
    for (std::string &word : command)
        argv.push_back(word.data());
    argv.push_back(nullptr);
    NbdSource source;
    source.handle_.reset(::nbd_create());
    source.dirty_ = !bitmap.empty();
    source.context_ = bitmap.empty() ? LIBNBD_CONTEXT_BASE_ALLOCATION
                                     : "qemu:dirty-bitmap:" + bitmap;
    nbd_handle *handle = source.handle_.get();
    if (!handle || ::nbd_add_meta_context(handle, source.context_.c_str()) ||
        ::nbd_connect_systemd_socket_activation(handle, argv.data()))
        return nbd_error("qemu-nbd");
    if (::nbd_can_meta_context(handle, source.context_.c_str()) != 1)
        return fail(EPROTO, "the server does not know {}", source.context_);
    const std::int64_t bytes = ::nbd_get_size(handle);
    if (bytes < 0)
        return nbd_error("asking for the size");
    source.bytes_ = static_cast<std::uint64_t>(bytes);
    return source;
}

Result<DiskExtents> NbdSource::extents() {
    Statuses statuses{context_, dirty_};
    while (statuses.end < bytes_) {
        const std::uint64_t at = statuses.end;
        const nbd_extent_callback callback{take_status, &statuses, nullptr};
        if (::nbd_block_status(handle_.get(), std::min(kAsked, bytes_ - at), at, callback, 0))
            return nbd_error("asking what there is");
        if (statuses.end <= at)
            return fail(EPROTO, "the server does not tell {} at {}", context_, at);
    }
    if (!statuses.wanted.empty()) {
        DiskExtent &last = statuses.wanted.back();
        last.length = std::min(last.length, bytes_ - last.begin);
    }
    return std::move(statuses.wanted);
}

Status NbdSource::copy(const DiskExtents &extents, int to) {
    std::vector<char> buffer(kChunk);
    for (const DiskExtent &extent : extents)
        for (std::uint64_t done = 0; done < extent.length;) {
            const std::uint64_t at = extent.begin + done;
            const auto chunk = std::span(buffer).first(std::min(kChunk, extent.length - done));
            if (::nbd_pread(handle_.get(), chunk.data(), chunk.size(), at, 0))
                return nbd_error("reading");
            if (!all_zero(chunk)) {
                const ssize_t n = ::pwrite(to, chunk.data(), chunk.size(), static_cast<off_t>(at));
                if (n != static_cast<ssize_t>(chunk.size()))
                    return fail(n < 0 ? errno : ENOSPC, "keeping what changed");
            }
            done += chunk.size();
        }
    return {};
}

} // namespace ckpt
