// SPDX-License-Identifier: GPL-2.0-only
// A thread that writes page batches: it owns a ring, asks each batch's sink
// where the batch goes, and gives the batch back to the arena once written.
// Whoever posts never waits for storage; the arena's bound is the back-pressure.
#pragma once

#include <cstdint>
#include <deque>
#include <memory>
#include <mutex>
#include <span>
#include <thread>
#include <vector>

#include "libckpt/base/fd.hh"
#include "libckpt/base/result.hh"
#include "libckpt/io/page_batch.hh"
#include "libckpt/io/ring.hh"

namespace ckpt {

// Where batches go. Called on the I/O thread only, in the order of posting.
class BatchSink {
  public:
    struct Place {
        int fd;
        std::uint64_t offset;
        std::span<const std::byte> bytes; // inside the batch's slot
    };
    virtual ~BatchSink() = default;
    // Prepares the batch (record header, checksums) and says where it goes; an
    // error is not passed on to written(). The fd stays open until written().
    virtual Result<Place> place(PageBatch &batch) = 0;
    // A placed batch is written, or failed to be.
    virtual void written(Status status) = 0;
    // A batch could not be placed.
    virtual void refused(Error error) = 0;
};

class IoThread {
  public:
    // `buffers` are registered with the ring: a PageArena's slots, or none.
    static Result<std::unique_ptr<IoThread>> start(std::vector<std::span<std::byte>> buffers);
    // Writes what was posted, then ends the thread.
    ~IoThread();

    // Thread-safe, does not block. Every post ends in written() or refused().
    void post(std::shared_ptr<BatchSink> sink, PageBatch batch);

    bool fixed_buffers() const { return fixed_buffers_; }
    // Processor time of the thread so far.
    std::uint64_t cpu_ns() const;

  private:
    // So many writes are handed to the kernel at once: beyond it a disk gets
    // no faster, only unfair.
    static constexpr unsigned kDepth = 32;

    struct Job {
        std::shared_ptr<BatchSink> sink;
        PageBatch batch;
        BatchSink::Place place{};
    };

    IoThread() = default;
    Status set_up(const std::vector<std::span<std::byte>> &buffers);
    void run();
    void listen();
    void start_jobs();
    void write(unsigned slot);
    void complete(const Ring::Completion &completion);
    void finish(unsigned slot, Status status);

    std::thread thread_;
    Fd wake_; // eventfd: something was posted
    bool fixed_buffers_ = false;

    std::mutex mutex_;
    std::deque<Job> posted_; // under mutex_
    bool stopping_ = false;  // under mutex_

    // Of the thread alone.
    std::unique_ptr<Ring> ring_;
    std::uint64_t wake_count_ = 0;
    bool listening_ = false;
    std::vector<Job> slots_;
    std::vector<unsigned> free_slots_;
};

} // namespace ckpt
