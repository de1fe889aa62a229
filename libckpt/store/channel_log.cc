// SPDX-License-Identifier: GPL-2.0-only
#include "libckpt/store/channel_log.hh"

#include <sys/stat.h>

#include <cstring>

#include "libckpt/base/fd.hh"
#include "libckpt/io/disk.hh"
#include "libckpt/store/block.hh"
#include "libckpt/store/manifest.hh"

namespace ckpt {

namespace {

std::vector<std::byte> encode(const ChannelFrame &frame) {
    tlckpt_channel_frame head{};
    head.from = frame.from;
    head.to = frame.to;
    head.sn = frame.sn;
    head.incarnation = frame.incarnation;
    head.peer = frame.peer;
    head.bytes = static_cast<std::uint32_t>(frame.bytes.size());
    std::vector<std::byte> record(sizeof head + frame.bytes.size());
    std::memcpy(record.data(), &head, sizeof head);
    std::memcpy(record.data() + sizeof head, frame.bytes.data(), frame.bytes.size());
    seal_block(std::span(record), TLCKPT_MAGIC_CHANNEL);
    return record;
}

// The frame at the front of `bytes` and its length there; 0: none, or torn.
std::size_t decode(std::span<const std::byte> bytes, ChannelFrame &frame) {
    tlckpt_channel_frame head;
    if (bytes.size() < sizeof head)
        return 0;
    std::memcpy(&head, bytes.data(), sizeof head);
    const std::size_t length = sizeof head + std::size_t{head.bytes};
    if (head.head.length != length || bytes.size() < length ||
        !check_block(bytes.first(length), TLCKPT_MAGIC_CHANNEL, ""))
        return 0;
    frame = {head.from, head.to, head.sn, head.incarnation, head.peer, std::string(head.bytes, '\0')};
    std::memcpy(frame.bytes.data(), bytes.data() + sizeof head, head.bytes);
    return length;
}

} // namespace

std::string channel_path(const std::string &node, std::uint64_t sn) {
    return fmt::format("{}/{}/{:020}.channel", kNodesFolder, node, sn);
}

Status append_channel(const std::string &directory, const std::string &node, std::uint64_t sn,
                      std::span<const ChannelFrame> frames) {
    if (frames.empty())
        return {};
    const Disk disk = CKPT_TRY(Disk::open(directory));
    const std::string path = channel_path(node, sn);
    const bool fresh = !disk.exists(path);
    Fd file = fresh ? CKPT_TRY(disk.create(path)) : CKPT_TRY(disk.open_write(path));
    struct stat found;
    if (::fstat(file.get(), &found) != 0)
        return fail(errno, "{}", disk.full_path(path));
    std::vector<std::byte> all;
    for (const ChannelFrame &frame : frames) {
        const auto record = encode(frame);
        all.insert(all.end(), record.begin(), record.end());
    }
    CKPT_CHECK(disk.write(file.get(), path, static_cast<std::uint64_t>(found.st_size), all));
    CKPT_CHECK(disk.sync(file.get(), path));
    return fresh ? disk.sync_dir(fmt::format("{}/{}", kNodesFolder, node)) : Status();
}

Result<std::vector<ChannelFrame>> read_channel(const std::string &directory,
                                               const std::string &node, std::uint64_t sn) {
    std::vector<ChannelFrame> frames;
    const Disk disk = CKPT_TRY(Disk::open(directory));
    const std::string path = channel_path(node, sn);
    if (!disk.exists(path))
        return frames;
    const auto bytes = CKPT_TRY(disk.read(path));
    std::span<const std::byte> rest(bytes);
    ChannelFrame frame;
    while (const std::size_t length = decode(rest, frame)) {
        frames.push_back(frame);
        rest = rest.subspan(length);
    }
    return frames;
}

} // namespace ckpt
