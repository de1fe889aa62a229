// SPDX-License-Identifier: GPL-2.0-only
// One io_uring, owned by one thread: made, used and destroyed there. What the
// kernel lacks of its newer flags is left out at creation, never an error.
//
// Files are not registered with the ring: at a mebibyte a write the saving is
// beyond measuring, while a registered file keeps a deleted segment's space.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "libckpt/base/result.hh"

namespace ckpt {

class Ring {
  public:
    struct Completion {
        std::uint64_t tag;
        int result; // bytes, or negative errno
    };

    // Room for `nr_entries` requests. `buffers` are registered, so that the
    // kernel pins them once and not at each write; if it may not (limit of
    // locked memory), writes do without and fixed_buffers() says so. Errors:
    // EPERM and ENOSYS say how io_uring is switched on.
    static Result<std::unique_ptr<Ring>> create(unsigned nr_entries,
                                                std::span<const std::span<std::byte>> buffers);
    ~Ring();

    unsigned nr_entries() const { return nr_entries_; }
    bool fixed_buffers() const { return !buffers_.empty(); }

    // Queue a request; the memory stays until its completion. No more than
    // nr_entries() may be under way. `buffer`: the registered buffer that
    // `data` is (likely) in.
    void write(int fd, std::uint64_t offset, std::span<const std::byte> data, unsigned buffer,
               std::uint64_t tag);
    void read(int fd, std::uint64_t offset, std::span<std::byte> data, std::uint64_t tag);

    // Hands what is queued to the kernel, waits for at least one completion
    // (any number with `wait` false) and puts those there are into `out`.
    Status submit(bool wait, std::vector<Completion> &out);

  private:
    struct Native;
    Ring(std::unique_ptr<Native> native, std::vector<std::span<std::byte>> buffers,
         unsigned nr_entries);

    std::unique_ptr<Native> native_;
    std::vector<std::span<std::byte>> buffers_;
    unsigned nr_entries_;
};

} // namespace ckpt
