// SPDX-License-Identifier: GPL-2.0-only
#include "libckpt/io/io_thread.hh"

#include <pthread.h>
#include <sys/eventfd.h>
#include <time.h>

#include <future>

#include "libckpt/base/assert.hh"

namespace ckpt {

namespace {
constexpr std::uint64_t kWakeTag = ~std::uint64_t{0};
} // namespace

Result<std::unique_ptr<IoThread>> IoThread::start(std::vector<std::span<std::byte>> buffers) {
    std::unique_ptr<IoThread> self(new IoThread);
    self->wake_ = Fd(::eventfd(0, EFD_CLOEXEC));
    if (!self->wake_)
        return fail(errno, "I/O thread");
    // The ring belongs to the thread that uses it, so that is who makes it.
    std::promise<Status> ready;
    auto status = ready.get_future();
    self->thread_ = std::thread([&ready, &buffers, io = self.get()] {
        Status made = io->set_up(buffers);
        const bool good = made.has_value();
        ready.set_value(std::move(made));
        if (good)
            io->run();
    });
    CKPT_CHECK(status.get());
    return self;
}

IoThread::~IoThread() {
    if (!thread_.joinable())
        return;
    {
        std::lock_guard lock(mutex_);
        stopping_ = true;
    }
    ::eventfd_write(wake_.get(), 1);
    thread_.join();
}

Status IoThread::set_up(const std::vector<std::span<std::byte>> &buffers) {
    ::pthread_setname_np(::pthread_self(), "tlckpt-io");
    ring_ = CKPT_TRY(Ring::create(kDepth + 1, buffers));
    fixed_buffers_ = ring_->fixed_buffers();
    slots_.resize(kDepth);
    for (unsigned slot = kDepth; slot-- > 0;)
        free_slots_.push_back(slot);
    return {};
}

void IoThread::post(std::shared_ptr<BatchSink> sink, PageBatch batch) {
    CKPT_ASSERT(batch.valid());
    {
        std::lock_guard lock(mutex_);
        posted_.push_back({std::move(sink), std::move(batch)});
    }
    ::eventfd_write(wake_.get(), 1);
}

std::uint64_t IoThread::cpu_ns() const {
    clockid_t clock;
    timespec time{};
    if (::pthread_getcpuclockid(const_cast<std::thread &>(thread_).native_handle(), &clock) == 0)
        ::clock_gettime(clock, &time);
    return static_cast<std::uint64_t>(time.tv_sec) * 1'000'000'000 +
           static_cast<std::uint64_t>(time.tv_nsec);
}

void IoThread::run() {
    std::vector<Ring::Completion> completions;
    for (;;) {
        start_jobs();
        {
            std::lock_guard lock(mutex_);
            if (stopping_ && posted_.empty() && free_slots_.size() == kDepth)
                break;
        }
        listen();
        completions.clear();
        Status status = ring_->submit(true, completions);
        CKPT_ASSERT(status.has_value()); // the ring itself is broken: nothing can go on
        for (const Ring::Completion &completion : completions)
            complete(completion);
    }
    ring_.reset();
}

// Keeps one read of the eventfd under way: a post ends the wait for writes.
void IoThread::listen() {
    if (listening_)
        return;
    ring_->read(wake_.get(), 0, std::as_writable_bytes(std::span(&wake_count_, 1)), kWakeTag);
    listening_ = true;
}

void IoThread::start_jobs() {
    while (!free_slots_.empty()) {
        Job job;
        {
            std::lock_guard lock(mutex_);
            if (posted_.empty())
                return;
            job = std::move(posted_.front());
            posted_.pop_front();
        }
        auto place = job.sink->place(job.batch);
        if (!place.has_value()) {
            job.batch = PageBatch();
            job.sink->refused(std::move(place).error());
            continue;
        }
        job.place = *place;
        const unsigned slot = free_slots_.back();
        free_slots_.pop_back();
        slots_[slot] = std::move(job);
        write(slot);
        // Handed over at once: the disk writes this one while the processor
        // prepares the next.
        std::vector<Ring::Completion> completions;
        Status status = ring_->submit(false, completions);
        CKPT_ASSERT(status.has_value());
        for (const Ring::Completion &completion : completions)
            complete(completion);
    }
}

void IoThread::write(unsigned slot) {
    const Job &job = slots_[slot];
    ring_->write(job.place.fd, job.place.offset, job.place.bytes, job.batch.slot_index(), slot);
}

void IoThread::complete(const Ring::Completion &completion) {
    if (completion.tag == kWakeTag) {
        listening_ = false;
        return;
    }
    const auto slot = static_cast<unsigned>(completion.tag);
    BatchSink::Place &place = slots_[slot].place;
    if (completion.result == -EINTR || completion.result == -EAGAIN) {
        write(slot);
        return;
    }
    if (completion.result <= 0) {
        finish(slot, fail(completion.result ? -completion.result : EIO, "writing at {}",
                          place.offset));
        return;
    }
    const auto done = static_cast<std::size_t>(completion.result);
    if (done < place.bytes.size()) { // the rest tells what was wrong
        place.offset += done;
        place.bytes = place.bytes.subspan(done);
        write(slot);
        return;
    }
    finish(slot, {});
}

void IoThread::finish(unsigned slot, Status status) {
    Job job = std::move(slots_[slot]);
    free_slots_.push_back(slot);
    job.batch = PageBatch(); // the slot is free before the sink says it is done
    job.sink->written(std::move(status));
}

} // namespace ckpt
