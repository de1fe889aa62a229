// SPDX-License-Identifier: GPL-2.0-only
// The stream is parsed back by a reader of its own, written from Xen's
// specifications: it shares no constant with the writer.
#include "libckpt/restore/restore_stream.hh"

#include <cstring>
#include <future>
#include <map>
#include <string>
#include <thread>

#include <fcntl.h>
#include <gtest/gtest.h>

#include "libckpt/base/fd.hh"

namespace ckpt {
namespace {

std::vector<std::byte> bytes(const std::string &text) {
    std::vector<std::byte> out(text.size());
    std::memcpy(out.data(), text.data(), text.size());
    return out;
}

// A page whose every word tells its pfn.
std::string page_text(Pfn pfn) {
    std::string text(4096, 0);
    for (std::size_t i = 0; i < 512; i++) {
        const std::uint64_t word = pfn << 16 | i;
        std::memcpy(&text[i * 8], &word, 8);
    }
    return text;
}

// head and tail hold one record each, which the parser must meet unharmed.
std::string head_text() {
    return std::string("\xff\xff\xff\xff\xff\xff\xff\xff", 8) + std::string("XENF\0\0\0\3", 8) +
           std::string(8, 0) + std::string("\2\0\0\0\x0c\0\0\0\4\0\0\0\x11\0\0\0", 16) +
           std::string("\x10\0\0\0\0\0\0\0", 8);
}
std::string tail_text() {
    return std::string("\x09\0\0\0\5\0\0\0hello\0\0\0", 16) + std::string(8, 0);
}

class SyntheticImage : public ImageReader {
  public:
    SyntheticImage() {
        entry_.name = "g1";
        entry_.kind = GuestKind::pvh;
        state_ = {bytes("{\"c_info\":{}}"), bytes(head_text()), bytes(tail_text())};
    }
    void add(Pfn pfn, PageType type) {
        pages_.emplace_back(pfn, type);
        entry_.nr_pages++;
    }
    const GuestEntry &entry() const override { return entry_; }
    const StateRecords &state() const override { return state_; }
    Status for_each(const std::function<Status(std::span<const Page>)> &visit) override {
        for (std::size_t at = 0; at < pages_.size(); at += group) {
            if (at >= damaged_at)
                return fail(EBADMSG, "segment 3: page record: checksum differs");
            const std::size_t count = std::min(group, pages_.size() - at);
            // Every second group back to back, the others apart.
            const std::size_t step = at / group % 2 ? 4096 : 8192;
            std::vector<std::byte> memory(count * step);
            std::vector<Page> pages;
            for (std::size_t i = 0; i < count; i++) {
                const auto [pfn, type] = pages_[at + i];
                std::memcpy(&memory[i * step], page_text(pfn).data(), 4096);
                pages.push_back({pfn, type, has_contents(type) ? &memory[i * step] : nullptr});
            }
            CKPT_CHECK(visit(pages));
        }
        return {};
    }

    GuestEntry entry_;
    StateRecords state_;
    std::vector<std::pair<Pfn, PageType>> pages_;
    std::size_t group = 256, damaged_at = ~std::size_t{0};
};

// --- the reader ---------------------------------------------------------------

struct Parsed {
    std::string config;
    std::map<std::uint64_t, std::pair<unsigned, std::string>> pages; // pfn -> type, contents
    std::vector<std::uint32_t> records; // types in order, runs of PAGE_DATA once
    std::string context;                // body of record 9
    std::size_t page_records = 0, most_pages = 0;
};

class Cursor {
  public:
    explicit Cursor(const std::string &text) : text_(text) {}
    std::string take(std::size_t count) {
        EXPECT_LE(at_ + count, text_.size()) << "stream ends early";
        std::string out = text_.substr(std::min(at_, text_.size()), count);
        out.resize(count);
        at_ += count;
        return out;
    }
    template <typename T> T number() {
        T value;
        std::memcpy(&value, take(sizeof(T)).data(), sizeof(T));
        return value;
    }
    bool at_end() const { return at_ == text_.size(); }

  private:
    const std::string &text_;
    std::size_t at_ = 0;
};

void parse_page_data(const std::string &body, Parsed &out) {
    Cursor in(body);
    const auto count = in.number<std::uint32_t>();
    EXPECT_EQ(in.number<std::uint32_t>(), 0u);
    std::vector<std::uint64_t> entries;
    for (std::uint32_t i = 0; i < count; i++)
        entries.push_back(in.number<std::uint64_t>());
    for (std::uint64_t entry : entries) {
        const auto type = static_cast<unsigned>(entry >> 60);
        const std::uint64_t pfn = entry & 0xfffffffffffff;
        EXPECT_EQ(entry >> 52 & 0xff, 0u) << "reserved bits";
        EXPECT_FALSE(out.pages.count(pfn)) << "page twice";
        out.pages[pfn] = {type, type >= 0xd ? "" : in.take(4096)};
    }
    EXPECT_TRUE(in.at_end());
    out.page_records++;
    out.most_pages = std::max<std::size_t>(out.most_pages, count);
}

void parse_libxc(Cursor &in, Parsed &out) {
    EXPECT_EQ(in.number<std::uint64_t>(), ~std::uint64_t{0});
    EXPECT_EQ(in.take(8), std::string("XENF\0\0\0\3", 8));
    in.take(8);
    in.take(16);
    for (;;) {
        const auto type = in.number<std::uint32_t>();
        const auto length = in.number<std::uint32_t>();
        const std::string body = in.take(length);
        in.take((8 - length % 8) % 8);
        if (out.records.empty() || out.records.back() != type)
            out.records.push_back(type);
        if (type == 1)
            parse_page_data(body, out);
        else if (type == 9)
            out.context = body;
        else if (type == 0)
            return;
    }
}

Parsed parse(const std::string &text) {
    Parsed out;
    Cursor in(text);
    EXPECT_EQ(in.take(32), std::string("Xen saved domain, xl format\n \0 \r", 32));
    EXPECT_EQ(in.number<std::uint32_t>(), 0x01020304u);
    EXPECT_EQ(in.number<std::uint32_t>(), 3u);
    EXPECT_EQ(in.number<std::uint32_t>(), 0u);
    const auto optional = in.number<std::uint32_t>();
    const auto length = in.number<std::uint32_t>();
    EXPECT_EQ(optional, length + 4);
    out.config = in.take(length);
    EXPECT_EQ(in.take(8), "LibxlFmt");
    EXPECT_EQ(in.take(8), std::string("\0\0\0\2\0\0\0\0", 8));
    EXPECT_EQ(in.take(8), std::string("\1\0\0\0\0\0\0\0", 8)); // LIBXC_CONTEXT
    parse_libxc(in, out);
    EXPECT_EQ(in.take(8), std::string(8, 0)); // libxl END
    EXPECT_TRUE(in.at_end());
    return out;
}

// Reads all that comes until the writers are gone, `chunk` bytes at a time.
std::string drain(int fd, std::size_t chunk) {
    std::string out, buffer(chunk, 0);
    ssize_t got;
    while ((got = ::read(fd, buffer.data(), chunk)) > 0)
        out.append(buffer, 0, static_cast<std::size_t>(got));
    return out;
}

std::string through_pipe(SyntheticImage &image, int flags, std::size_t chunk) {
    int ends[2];
    EXPECT_EQ(pipe2(ends, flags), 0);
    const Fd reader(ends[0]);
    Fd writer(ends[1]);
    fcntl(reader.get(), F_SETFL, 0);
    auto text = std::async(std::launch::async, drain, reader.get(), chunk);
    Status written = write_restore_stream(image, writer.get(), nullptr);
    EXPECT_TRUE(written.has_value()) << written.error().message();
    writer.reset();
    return text.get();
}

TEST(RestoreStream, ParsesBackWhole) {
    SyntheticImage image;
    for (Pfn pfn = 0; pfn < 1000; pfn++)
        image.add(999 - pfn, PageType::normal);
    image.add(0xfeffd, PageType{9}); // a pinned page table
    image.add(5000, PageType::hole);
    image.add(5001, PageType::broken);
    image.add(5002, PageType::allocated_only);
    const Parsed parsed = parse(through_pipe(image, 0, 1 << 20));

    EXPECT_EQ(parsed.config, std::string("{\"c_info\":{}}") + '\0');
    EXPECT_EQ(parsed.records, (std::vector<std::uint32_t>{0x10, 1, 9, 0}));
    EXPECT_EQ(parsed.context, "hello");
    EXPECT_EQ(parsed.pages.size(), 1002u);
    EXPECT_LE(parsed.most_pages, 256u);
    for (Pfn pfn = 0; pfn < 1000; pfn++) {
        ASSERT_TRUE(parsed.pages.count(pfn)) << pfn;
        EXPECT_EQ(parsed.pages.at(pfn).first, 0u);
        EXPECT_EQ(parsed.pages.at(pfn).second, page_text(pfn)) << pfn;
    }
    EXPECT_EQ(parsed.pages.at(0xfeffd).first, 9u);
    EXPECT_EQ(parsed.pages.at(5002).first, 0xeu);
    EXPECT_FALSE(parsed.pages.count(5000));
    EXPECT_FALSE(parsed.pages.count(5001));
}

// A pipe takes less at a time than is written, a non-blocking one says so.
TEST(RestoreStream, GoesThroughASlowPipe) {
    SyntheticImage image;
    image.group = 200;
    for (Pfn pfn = 0; pfn < 700; pfn++)
        image.add(pfn, PageType::normal);
    for (int flags : {0, O_NONBLOCK}) {
        const Parsed parsed = parse(through_pipe(image, flags, 4001));
        EXPECT_EQ(parsed.pages.size(), 700u);
        EXPECT_EQ(parsed.page_records, 4u);
        for (Pfn pfn = 0; pfn < 700; pfn++)
            EXPECT_EQ(parsed.pages.at(pfn).second, page_text(pfn)) << pfn;
    }
}

TEST(RestoreStream, GroupOfHolesMakesNoRecord) {
    SyntheticImage image;
    for (Pfn pfn = 0; pfn < 256; pfn++)
        image.add(pfn, PageType::hole);
    image.add(256, PageType::normal);
    EXPECT_EQ(parse(through_pipe(image, 0, 4096)).page_records, 1u);
}

TEST(RestoreStream, ReaderThatGoesAwayIsAnError) {
    SyntheticImage image;
    for (Pfn pfn = 0; pfn < 512; pfn++)
        image.add(pfn, PageType::normal);
    int ends[2];
    ASSERT_EQ(pipe(ends), 0);
    const Fd writer(ends[1]);
    close(ends[0]);
    const Status written = write_restore_stream(image, writer.get(), nullptr);
    ASSERT_FALSE(written.has_value());
    EXPECT_TRUE(written.error().is(EPIPE));
    sigset_t pending;
    sigpending(&pending);
    EXPECT_FALSE(sigismember(&pending, SIGPIPE));
}

TEST(RestoreStream, ProgressCountsAndCancels) {
    SyntheticImage image;
    for (Pfn pfn = 0; pfn < 1024; pfn++)
        image.add(pfn, PageType::normal);
    const Fd sink(open("/dev/null", O_WRONLY));
    std::vector<std::uint64_t> seen;
    ASSERT_TRUE(write_restore_stream(image, sink.get(), [&](std::uint64_t done, std::uint64_t total) {
                    EXPECT_EQ(total, 1024u * 4096);
                    seen.push_back(done);
                    return true;
                }).has_value());
    EXPECT_EQ(seen, (std::vector<std::uint64_t>{256u << 12, 512u << 12, 768u << 12, 1024u << 12}));
    const Status cancelled = write_restore_stream(
        image, sink.get(), [](std::uint64_t done, std::uint64_t) { return done < (512u << 12); });
    ASSERT_FALSE(cancelled.has_value());
    EXPECT_TRUE(cancelled.error().is(ECANCELED));
}

TEST(RestoreStream, DamageAndFullDiskArePassedOn) {
    SyntheticImage image;
    for (Pfn pfn = 0; pfn < 512; pfn++)
        image.add(pfn, PageType::normal);
    const Fd full(open("/dev/full", O_WRONLY));
    const Status no_space = write_restore_stream(image, full.get(), nullptr);
    ASSERT_FALSE(no_space.has_value());
    EXPECT_TRUE(no_space.error().is(ENOSPC));
    image.damaged_at = 256;
    const Fd sink(open("/dev/null", O_WRONLY));
    const Status damaged = write_restore_stream(image, sink.get(), nullptr);
    ASSERT_FALSE(damaged.has_value());
    EXPECT_TRUE(damaged.error().is(EBADMSG));
}

TEST(RestoreStream, RefusesWhatXenCantRestore) {
    SyntheticImage image;
    image.entry_.kind = GuestKind::hvm;
    const Fd sink(open("/dev/null", O_WRONLY));
    const Status refused = write_restore_stream(image, sink.get(), nullptr);
    ASSERT_FALSE(refused.has_value());
    EXPECT_TRUE(refused.error().is(EOPNOTSUPP));
}

} // namespace
} // namespace ckpt
