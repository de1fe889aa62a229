// SPDX-License-Identifier: GPL-2.0-only
#include "libckpt/io/ring.hh"

#include <liburing.h>
#include <sys/uio.h>

#include "libckpt/base/assert.hh"

namespace ckpt {

struct Ring::Native {
    io_uring ring;
    ~Native() { io_uring_queue_exit(&ring); }
};

namespace {

// Best first: completions run only when this thread asks for them (6.1), or at
// least without interrupting it (5.19).
constexpr unsigned kFlags[] = {
    IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN,
    IORING_SETUP_COOP_TASKRUN,
    0,
};

int set_up(unsigned nr_entries, io_uring *ring) {
    int status = -EINVAL;
    for (unsigned flags : kFlags) {
        status = io_uring_queue_init(nr_entries, ring, flags | IORING_SETUP_CLAMP);
        if (status != -EINVAL)
            break;
    }
    return status;
}

bool inside(std::span<const std::byte> data, std::span<std::byte> buffer) {
    return data.data() >= buffer.data() &&
           data.data() + data.size() <= buffer.data() + buffer.size();
}

} // namespace

Result<std::unique_ptr<Ring>> Ring::create(unsigned nr_entries,
                                           std::span<const std::span<std::byte>> buffers) {
    io_uring ring{};
    const int status = set_up(nr_entries, &ring);
    if (status == -EPERM)
        return fail(EPERM, "io_uring is not permitted (sysctl kernel.io_uring_disabled=0 permits)");
    if (status == -ENOSYS)
        return fail(ENOSYS, "this kernel was built without io_uring (CONFIG_IO_URING)");
    if (status < 0)
        return fail(-status, "io_uring with {} entries", nr_entries);
    std::vector<std::span<std::byte>> registered(buffers.begin(), buffers.end());
    std::vector<iovec> vectors;
    for (std::span<std::byte> buffer : buffers)
        vectors.push_back({buffer.data(), buffer.size()});
    if (!vectors.empty() &&
        io_uring_register_buffers(&ring, vectors.data(), static_cast<unsigned>(vectors.size())) < 0)
        registered.clear();
    return std::unique_ptr<Ring>(new Ring(std::unique_ptr<Native>(new Native{ring}),
                                          std::move(registered), ring.sq.ring_entries));
}

Ring::Ring(std::unique_ptr<Native> native, std::vector<std::span<std::byte>> buffers,
           unsigned nr_entries)
    : native_(std::move(native)), buffers_(std::move(buffers)), nr_entries_(nr_entries) {}

Ring::~Ring() = default;

void Ring::write(int fd, std::uint64_t offset, std::span<const std::byte> data, unsigned buffer,
                 std::uint64_t tag) {
    io_uring_sqe *sqe = io_uring_get_sqe(&native_->ring);
    CKPT_ASSERT(sqe);
    const auto bytes = static_cast<unsigned>(data.size());
    if (buffer < buffers_.size() && inside(data, buffers_[buffer]))
        io_uring_prep_write_fixed(sqe, fd, data.data(), bytes, offset, static_cast<int>(buffer));
    else
        io_uring_prep_write(sqe, fd, data.data(), bytes, offset);
    io_uring_sqe_set_data64(sqe, tag);
}

void Ring::read(int fd, std::uint64_t offset, std::span<std::byte> data, std::uint64_t tag) {
    io_uring_sqe *sqe = io_uring_get_sqe(&native_->ring);
    CKPT_ASSERT(sqe);
    io_uring_prep_read(sqe, fd, data.data(), static_cast<unsigned>(data.size()), offset);
    io_uring_sqe_set_data64(sqe, tag);
}

Status Ring::submit(bool wait, std::vector<Completion> &out) {
    io_uring *ring = &native_->ring;
    int status;
    do {
        // With deferred completions also the plain submit must look for them.
        status = wait ? io_uring_submit_and_wait(ring, 1) : io_uring_submit_and_get_events(ring);
    } while (status == -EINTR || status == -EAGAIN || status == -EBUSY);
    if (status < 0)
        return fail(-status, "io_uring: submitting requests");
    io_uring_cqe *cqe;
    unsigned head, seen = 0;
    io_uring_for_each_cqe(ring, head, cqe) {
        out.push_back({io_uring_cqe_get_data64(cqe), cqe->res});
        seen++;
    }
    io_uring_cq_advance(ring, seen);
    return {};
}

} // namespace ckpt
