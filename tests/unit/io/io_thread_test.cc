// SPDX-License-Identifier: GPL-2.0-only
#include "libckpt/io/io_thread.hh"

#include <atomic>
#include <cstring>
#include <fcntl.h>
#include <unistd.h>

#include <gtest/gtest.h>

namespace ckpt {
namespace {

// Puts each batch's contents behind the one before.
class Appender : public BatchSink {
  public:
    explicit Appender(int fd) : fd_(fd) {}
    Result<Place> place(PageBatch &batch) override {
        if (batch.pfn(0) == 666)
            return fail(EINVAL, "refused");
        order.push_back(batch.pfn(0));
        const std::uint64_t offset = end_;
        end_ += batch.contents().size();
        return Place{batch.pfn(0) == 1013 ? -1 : fd_, offset, batch.contents()};
    }
    void written(Status status) override {
        if (!status.has_value() && status.error().is(EBADF))
            nr_bad++;
        nr_done++;
    }
    void refused(Error) override { nr_refused++; }

    std::vector<Pfn> order;
    std::atomic<unsigned> nr_done = 0, nr_bad = 0, nr_refused = 0;

  private:
    int fd_;
    std::uint64_t end_ = 0;
};

TEST(IoThread, WritesInOrderWithMoreBatchesThanSlotsAndGivesThemBack) {
    auto arena = PageArena::create(3).value();
    Fd file(::open("/tmp", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600));
    auto sink = std::make_shared<Appender>(file.get());
    {
        auto io = IoThread::start(arena->slots()).value();
        EXPECT_TRUE(io->fixed_buffers());
        for (Pfn pfn = 0; pfn < 100; pfn++) {
            PageBatch batch = arena->get();
            for (unsigned i = 0; i <= pfn % 5; i++)
                std::memset(batch.add(pfn, PageType::normal), static_cast<int>(pfn), kPageSize);
            io->post(sink, std::move(batch));
        }
        EXPECT_GT(io->cpu_ns(), 0u);
    } // ends what was posted
    EXPECT_EQ(sink->nr_done, 100u);
    EXPECT_EQ(sink->nr_bad, 0u);
    EXPECT_EQ(arena->nr_free(), 3u);
    ASSERT_EQ(sink->order.size(), 100u);
    std::uint64_t offset = 0;
    for (Pfn pfn = 0; pfn < 100; pfn++) {
        EXPECT_EQ(sink->order[pfn], pfn);
        for (unsigned i = 0; i <= pfn % 5; i++, offset += kPageSize) {
            std::uint8_t byte = 0;
            ASSERT_EQ(::pread(file.get(), &byte, 1, static_cast<off_t>(offset + 4095)), 1);
            EXPECT_EQ(byte, pfn);
        }
    }
}

TEST(IoThread, TellsOfEachFailure) {
    auto arena = PageArena::create(2).value();
    Fd file(::open("/tmp", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600));
    auto sink = std::make_shared<Appender>(file.get());
    {
        auto io = IoThread::start({}).value();
        for (const Pfn pfn : {1, 666, 1013, 2}) {
            PageBatch batch = arena->get();
            batch.add(pfn, PageType::normal);
            io->post(sink, std::move(batch));
        }
    }
    EXPECT_EQ(sink->nr_done, 3u);
    EXPECT_EQ(sink->nr_bad, 1u);
    EXPECT_EQ(sink->nr_refused, 1u);
    EXPECT_EQ(arena->nr_free(), 2u);
}

} // namespace
} // namespace ckpt
