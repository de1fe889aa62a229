// SPDX-License-Identifier: GPL-2.0-only
#include "tests/workload/disk_log.hh"

#include <algorithm>
#include <cstddef>
#include <cstdlib>
#include <cstring>
#include <fcntl.h>
#include <sys/stat.h>

#include "tests/workload/json.hh"
#include "tests/workload/mix.hh"

namespace ckpt::workload {

namespace {
constexpr std::uint64_t kMagic = 0x474f4c44'4b50434b; // "KCPKDLOG"
constexpr std::size_t kRecordSize = 4096;
constexpr std::size_t kMaxPeers = 16;

// Records of an earlier run must not be taken for ours from outside.
Status clear(int fd, const std::string &path, std::uint32_t slots) {
    alignas(kRecordSize) static const std::uint8_t zeros[16 * kRecordSize] = {};
    const std::size_t size = slots * kRecordSize;
    for (std::size_t at = 0; at < size;) {
        const ssize_t some = pwrite(fd, zeros, std::min(sizeof zeros, size - at), static_cast<off_t>(at));
        if (some <= 0)
            return fail(some ? errno : EIO, "disk {}", path);
        at += static_cast<std::size_t>(some);
    }
    return {};
}
} // namespace

// A record as it lies on the disk.
struct DiskLog::Record {
    struct Clock {
        std::uint64_t member;
        std::uint64_t events;
    };
    struct PeerRow {
        std::uint64_t member;
        std::uint64_t udp_sent, udp_received, tcp_sent, tcp_received;
        std::uint64_t tcp_sent_chain, tcp_received_chain;
    };
    std::uint64_t magic;
    std::uint64_t run;
    std::uint64_t sequence; // from 1; record n lies in slot n % slots
    std::uint64_t slots;
    std::uint64_t previous; // hash of record sequence - 1
    std::uint64_t member;
    std::uint64_t step;
    std::uint64_t digest;
    std::uint64_t nr_clocks;
    std::uint64_t nr_peers;
    Clock clocks[VectorClock::kMaxMembers];
    PeerRow peers[kMaxPeers];
    std::uint8_t filling[2600]; // a function of the rest: no byte of the record is idle
    std::uint64_t hash;         // of all before
};

std::uint64_t DiskLog::hash_of(const Record &record) {
    return hash_bytes(&record, offsetof(Record, hash), 0);
}

Result<std::unique_ptr<DiskLog>> DiskLog::open(const std::string &path, std::uint32_t slots,
                                               std::uint64_t run) {
    static_assert(sizeof(Record) == kRecordSize);
    constexpr int flags = O_RDWR | O_DSYNC | O_CLOEXEC;
    Fd fd(::open(path.c_str(), flags | O_CREAT | O_DIRECT, 0600));
    if (!fd && errno == EINVAL) // a file system without O_DIRECT
        fd = Fd(::open(path.c_str(), flags | O_CREAT, 0600));
    if (!fd)
        return fail(errno, "disk {}", path);
    struct stat status;
    if (fstat(fd.get(), &status))
        return fail(errno, "disk {}", path);
    const off_t size = S_ISBLK(status.st_mode) ? lseek(fd.get(), 0, SEEK_END) : -1;
    if (size >= 0 && size < static_cast<off_t>(slots * kRecordSize))
        return fail(ENOSPC, "disk {}: {} bytes, {} records wanted", path, size, slots);
    CKPT_CHECK(clear(fd.get(), path, slots));
    return std::unique_ptr<DiskLog>(new DiskLog(std::move(fd), slots, run));
}

DiskLog::DiskLog(Fd fd, std::uint32_t slots, std::uint64_t run)
    : fd_(std::move(fd)), slots_(slots), run_(run),
      record_(static_cast<Record *>(aligned_alloc(kRecordSize, kRecordSize))),
      ring_(static_cast<Record *>(aligned_alloc(kRecordSize, slots * kRecordSize))), hashes_(slots),
      writer_([this] { work(); }) {}

DiskLog::~DiskLog() {
    {
        const std::lock_guard lock(mutex_);
        stop_ = true;
    }
    changed_.notify_one();
    writer_.join();
}

void DiskLog::fill(Record &record, const Snapshot &state) const {
    record = {};
    record.magic = kMagic;
    record.run = run_;
    record.sequence = state.disk.issued + 1;
    record.slots = slots_;
    record.previous = state.disk.chain;
    record.member = state.id.packed();
    record.step = state.step;
    record.digest = state.digest;
    for (const auto &[member, events] : state.clock.entries())
        record.clocks[record.nr_clocks++] = {member.packed(), events};
    for (const PeerCounts &peer : state.peers)
        if (record.nr_peers < kMaxPeers)
            record.peers[record.nr_peers++] = {
                peer.id.packed(),           peer.udp_sent.messages,
                peer.udp_received.messages, peer.tcp_sent.messages,
                peer.tcp_received.messages, peer.tcp_sent.chain,
                peer.tcp_received.chain};
    for (std::size_t i = 0; i < sizeof record.filling; i += 8) {
        const std::uint64_t word = mix(record.sequence ^ record.run ^ i);
        std::memcpy(record.filling + i, &word, 8);
    }
    record.hash = hash_of(record);
}

bool DiskLog::append(const Snapshot &state) {
    {
        const std::lock_guard lock(mutex_);
        if (writing_ || check_)
            return false;
        fill(*record_, state);
        state_.issued = record_->sequence;
        state_.chain = record_->hash;
        hashes_[record_->sequence % slots_] = record_->hash;
        writing_ = true;
    }
    changed_.notify_one();
    return true;
}

void DiskLog::ask_check() {
    {
        const std::lock_guard lock(mutex_);
        check_ = true;
    }
    changed_.notify_one();
}

DiskState DiskLog::state() const {
    const std::lock_guard lock(mutex_);
    return state_;
}

// What is under way at a freeze is finished after it, before the check: then the disk must
// hold exactly the records up to `done`.
void DiskLog::work() {
    std::unique_lock lock(mutex_);
    while (true) {
        changed_.wait(lock, [this] { return stop_ || writing_ || check_; });
        if (stop_)
            return;
        if (writing_) {
            lock.unlock();
            write_record();
            lock.lock();
            continue;
        }
        const std::uint64_t done = state_.done;
        lock.unlock();
        const std::string wrong = check_ring(done);
        lock.lock();
        check_ = false;
        state_.checks++;
        if (!wrong.empty() && state_.verdict == "ok")
            state_.verdict = wrong;
    }
}

void DiskLog::write_record() {
    const auto offset = static_cast<off_t>(record_->sequence % slots_ * kRecordSize);
    const bool good = pwrite(fd_.get(), record_.get(), kRecordSize, offset) == kRecordSize;
    std::unique_lock lock(mutex_);
    if (good) {
        state_.done = record_->sequence;
        writing_ = false;
        return;
    }
    state_.errors++; // the same record again: `done` must not run ahead of the disk
    changed_.wait_for(lock, std::chrono::seconds(1), [this] { return stop_; });
}

std::string DiskLog::check_ring(std::uint64_t done) const {
    const std::size_t size = slots_ * kRecordSize;
    auto *at = reinterpret_cast<std::uint8_t *>(ring_.get());
    std::memset(at, 0, size);
    std::size_t got = 0;
    while (got < size) {
        const ssize_t some = pread(fd_.get(), at + got, size - got, static_cast<off_t>(got));
        if (some < 0)
            return fmt::format("reading back: {}", std::strerror(errno));
        if (some == 0)
            break; // a file that is not that long yet
        got += static_cast<std::size_t>(some);
    }
    for (std::uint32_t slot = 0; slot < slots_; slot++)
        if (std::string wrong = check_slot(ring_[slot], slot, done); !wrong.empty())
            return wrong;
    return "";
}

std::string DiskLog::check_slot(const Record &record, std::uint32_t slot, std::uint64_t done) const {
    // The newest sequence <= done that belongs into this slot; 0 or less: none yet.
    const std::uint64_t age = (done + slots_ - slot) % slots_;
    const bool expected = done > age;
    const bool ours = record.magic == kMagic && record.run == run_;
    if (!expected)
        return ours ? fmt::format("disk ahead of memory: record {} on disk, {} done", record.sequence, done)
                    : "";
    const std::uint64_t want = done - age;
    if (!ours)
        return fmt::format("record {} missing on disk ({} done)", want, done);
    if (record.sequence > want)
        return fmt::format("disk ahead of memory: record {} on disk, {} done", record.sequence, done);
    if (record.sequence < want)
        return fmt::format("disk behind memory: record {} on disk for {} ({} done)", record.sequence,
                           want, done);
    if (record.hash != hash_of(record))
        return fmt::format("record {} torn on disk", want);
    if (record.hash != hashes_[slot])
        return fmt::format("record {} on disk is not the one written", want);
    return "";
}

Result<std::string> DiskLog::describe(const std::string &path) {
    const Fd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
    if (!fd)
        return fail(errno, "disk {}", path);
    Record newest{}, record;
    std::uint64_t slots = 2, torn = 0, records = 0; // record 1 lies in slot 1 and names the rest
    for (std::uint64_t slot = 0; slot < slots; slot++) {
        if (pread(fd.get(), &record, kRecordSize, static_cast<off_t>(slot * kRecordSize)) != kRecordSize)
            break;
        if (record.magic != kMagic)
            continue;
        slots = std::clamp<std::uint64_t>(record.slots, slots, 1U << 20);
        if (record.hash != hash_of(record)) {
            torn++;
            continue;
        }
        records++;
        if (record.sequence > newest.sequence)
            newest = record;
    }
    Json json;
    json.open_object();
    json.add("records", records).add("torn", torn).add("slots", slots);
    json.add("id", MemberId::unpack(static_cast<std::uint32_t>(newest.member)).text());
    json.add_hex("run", newest.run);
    json.add("sequence", newest.sequence).add("step", newest.step);
    json.add_hex("digest", newest.digest).add_hex("chain", newest.hash);
    json.close_object();
    return json.text();
}

} // namespace ckpt::workload
