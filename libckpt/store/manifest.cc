// SPDX-License-Identifier: GPL-2.0-only
#include "libckpt/store/manifest.hh"

#include <algorithm>
#include <charconv>
#include <cstring>

#include "libckpt/base/page.hh"
#include "libckpt/store/block.hh"

namespace ckpt {

namespace {

constexpr std::string_view kSuffix = ".manifest";

class Writer {
  public:
    Writer() : bytes_(sizeof(tlckpt_head)) {}
    void item(std::uint32_t type, const void *body, std::size_t length) {
        const tlckpt_item item{type, static_cast<std::uint32_t>(length)};
        append(&item, sizeof item);
        append(body, length);
        bytes_.resize((bytes_.size() + 7) & ~std::size_t{7});
    }
    template <typename T> void item(std::uint32_t type, const T &body) {
        item(type, &body, sizeof body);
    }
    template <typename T> void list(std::uint32_t type, const std::vector<T> &list) {
        item(type, list.data(), list.size() * sizeof(T));
    }
    void text(std::uint32_t type, const std::string &text) { item(type, text.data(), text.size()); }
    std::vector<std::byte> finish() {
        item(TLCKPT_ITEM_END, nullptr, 0);
        seal_block(bytes_, TLCKPT_MAGIC_MANIFEST);
        return std::move(bytes_);
    }

  private:
    void append(const void *data, std::size_t length) {
        const auto *from = static_cast<const std::byte *>(data);
        bytes_.insert(bytes_.end(), from, from + length);
    }
    std::vector<std::byte> bytes_;
};

tlckpt_times encode(const StageTimes &t) {
    return {t.suspend, t.registers, t.memory, t.disk, t.channel, t.resume, t.stopped};
}
StageTimes decode(const tlckpt_times &t) {
    return {t.suspend, t.registers, t.memory, t.disk, t.channel, t.resume, t.stopped};
}

tlckpt_item_guest encode(const GuestEntry &entry) {
    tlckpt_item_guest item{};
    std::memcpy(item.uuid, entry.uuid.bytes.data(), sizeof item.uuid);
    item.kind = static_cast<std::uint8_t>(entry.kind);
    item.tracking = static_cast<std::uint8_t>(entry.tracking);
    item.full = entry.full;
    item.pfn_limit = entry.pfn_limit;
    item.nr_pages = entry.nr_pages;
    item.nr_new = entry.nr_new;
    item.nr_zero = entry.nr_zero;
    item.nr_early = entry.nr_early;
    item.nr_paused = entry.nr_paused;
    item.bytes_written = entry.bytes_written;
    item.times = encode(entry.times);
    return item;
}

GuestEntry decode(const tlckpt_item_guest &item) {
    GuestEntry entry;
    std::memcpy(entry.uuid.bytes.data(), item.uuid, sizeof item.uuid);
    entry.kind = static_cast<GuestKind>(item.kind);
    entry.tracking = static_cast<Tracking>(item.tracking);
    entry.full = item.full != 0;
    entry.pfn_limit = item.pfn_limit;
    entry.nr_pages = item.nr_pages;
    entry.nr_new = item.nr_new;
    entry.nr_zero = item.nr_zero;
    entry.nr_early = item.nr_early;
    entry.nr_paused = item.nr_paused;
    entry.bytes_written = item.bytes_written;
    entry.times = decode(item.times);
    return entry;
}

tlckpt_item_disk encode(const DiskEntry &entry) {
    tlckpt_item_disk item{};
    std::memcpy(item.uuid, entry.uuid.bytes.data(), sizeof item.uuid);
    std::memcpy(item.guest, entry.guest.bytes.data(), sizeof item.guest);
    item.kind = static_cast<std::uint8_t>(entry.kind);
    item.full = entry.full;
    item.bytes = entry.bytes;
    item.nr_new = entry.nr_new;
    item.nr_zero = entry.nr_zero;
    item.nr_discarded = entry.nr_discarded;
    item.bytes_changed = entry.bytes_changed;
    item.bytes_written = entry.bytes_written;
    item.snapshot_ns = entry.snapshot_ns;
    return item;
}

DiskEntry decode(const tlckpt_item_disk &item) {
    DiskEntry entry;
    std::memcpy(entry.uuid.bytes.data(), item.uuid, sizeof item.uuid);
    std::memcpy(entry.guest.bytes.data(), item.guest, sizeof item.guest);
    entry.kind = static_cast<DiskKind>(item.kind);
    entry.full = item.full != 0;
    entry.bytes = item.bytes;
    entry.nr_new = item.nr_new;
    entry.nr_zero = item.nr_zero;
    entry.nr_discarded = item.nr_discarded;
    entry.bytes_changed = item.bytes_changed;
    entry.bytes_written = item.bytes_written;
    entry.snapshot_ns = item.snapshot_ns;
    return entry;
}

// Reads items one by one and puts each where it belongs.
class Reader {
  public:
    Reader(std::span<const std::byte> bytes, std::string_view where)
        : bytes_(bytes), where_(where) {}

    Result<StoredManifest> read() {
        for (at_ = sizeof(tlckpt_head);;) {
            tlckpt_item item;
            if (bytes_.size() - at_ < sizeof item)
                return fail(EBADMSG, "{}: no end", where_);
            std::memcpy(&item, bytes_.data() + at_, sizeof item);
            if (item.length > bytes_.size() - at_ - sizeof item)
                return fail(EBADMSG, "{}: item at {} is too long", where_, at_);
            if (item.type == TLCKPT_ITEM_END)
                break;
            body_ = bytes_.subspan(at_ + sizeof item, item.length);
            CKPT_CHECK(take(item.type));
            at_ += (sizeof item + item.length + 7) & ~std::size_t{7};
            at_ = std::min(at_, bytes_.size());
        }
        if (stored_.manifest.sn == 0)
            return fail(EBADMSG, "{}: no checkpoint in it", where_);
        return std::move(stored_);
    }

  private:
    Status take(std::uint32_t type) {
        Manifest &manifest = stored_.manifest;
        switch (type) {
        case TLCKPT_ITEM_CHECKPOINT:
            return take_checkpoint();
        case TLCKPT_ITEM_NODE:
            manifest.node = text();
            return {};
        case TLCKPT_ITEM_PRODUCER:
            manifest.producer = text();
            return {};
        case TLCKPT_ITEM_PLATFORM:
            manifest.platform = text();
            return {};
        case TLCKPT_ITEM_GROUPS:
            list(manifest.groups);
            return {};
        case TLCKPT_ITEM_GUEST:
            if (!manifest.disks.empty())
                return fail(EBADMSG, "{}: item at {} is a guest behind a disk", where_, at_);
            manifest.guests.push_back(decode(CKPT_TRY(body<tlckpt_item_guest>())));
            stored_.storage.emplace_back();
            return {};
        case TLCKPT_ITEM_DISK:
            manifest.disks.push_back(decode(CKPT_TRY(body<tlckpt_item_disk>())));
            stored_.storage.emplace_back();
            return {};
        case TLCKPT_ITEM_GUEST_NAME:
        case TLCKPT_ITEM_GUEST_STATE:
        case TLCKPT_ITEM_GUEST_RUNS:
            return take_of_image(type);
        case TLCKPT_ITEM_DISK_TARGET:
        case TLCKPT_ITEM_DISK_SOURCE:
            if (manifest.disks.empty())
                return fail(EBADMSG, "{}: item of type {} at {} has no disk", where_, type, at_);
            (type == TLCKPT_ITEM_DISK_TARGET ? manifest.disks.back().target
                                             : manifest.disks.back().source) = text();
            return {};
        default:
            if (type & TLCKPT_ITEM_OPTIONAL)
                return {};
            return fail(EPROTONOSUPPORT, "{}: item of type {} at {} is unknown to this program",
                        where_, type, at_);
        }
    }

    Status take_checkpoint() {
        const auto item = CKPT_TRY(body<tlckpt_item_checkpoint>());
        Manifest &manifest = stored_.manifest;
        manifest.sn = item.sn;
        manifest.prev = item.prev;
        manifest.incarnation = item.incarnation;
        manifest.kind = static_cast<CheckpointKind>(item.kind);
        manifest.cut_wall_ns = item.cut_wall_ns;
        manifest.durable_ns = item.durable_ns;
        manifest.suspend_skew = item.suspend_skew_ns;
        manifest.times = decode(item.times);
        return {};
    }

    // Of the guest or disk before.
    Status take_of_image(std::uint32_t type) {
        Manifest &manifest = stored_.manifest;
        if (stored_.storage.empty())
            return fail(EBADMSG, "{}: item of type {} at {} has no guest", where_, type, at_);
        if (type == TLCKPT_ITEM_GUEST_NAME) {
            (manifest.disks.empty() ? manifest.guests.back().name : manifest.disks.back().name) =
                text();
        } else if (type == TLCKPT_ITEM_GUEST_STATE) {
            stored_.storage.back().state = CKPT_TRY(body<tlckpt_item_state>());
        } else {
            list(stored_.storage.back().runs);
        }
        return {};
    }

    std::string text() const {
        return {reinterpret_cast<const char *>(body_.data()), body_.size()};
    }
    template <typename T> void list(std::vector<T> &into) const {
        into.resize(body_.size() / sizeof(T));
        if (!into.empty())
            std::memcpy(into.data(), body_.data(), into.size() * sizeof(T));
    }
    template <typename T> Result<T> body() const {
        if (body_.size() < sizeof(T))
            return fail(EBADMSG, "{}: item at {} is too short", where_, at_);
        T item;
        std::memcpy(&item, body_.data(), sizeof item);
        return item;
    }

    std::span<const std::byte> bytes_, body_;
    std::string_view where_;
    std::size_t at_ = 0;
    StoredManifest stored_;
};

} // namespace

int StoredManifest::find(const Uuid &image) const {
    const auto guest = std::ranges::find(manifest.guests, image, &GuestEntry::uuid);
    if (guest != manifest.guests.end())
        return static_cast<int>(guest - manifest.guests.begin());
    const auto disk = std::ranges::find_if(manifest.disks, [&](const DiskEntry &entry) {
        return entry.uuid == image && entry.kind == DiskKind::captured;
    });
    if (disk == manifest.disks.end())
        return -1;
    return static_cast<int>(manifest.guests.size()) + static_cast<int>(disk - manifest.disks.begin());
}

Pfn StoredManifest::pfn_limit(std::size_t place) const { return entry(place).pfn_limit; }

GuestEntry StoredManifest::entry(std::size_t place) const {
    if (place < manifest.guests.size())
        return manifest.guests[place];
    const DiskEntry &disk = manifest.disks[place - manifest.guests.size()];
    GuestEntry entry;
    entry.uuid = disk.uuid;
    entry.name = disk.name;
    entry.full = disk.full;
    entry.pfn_limit = entry.nr_pages = disk_blocks(disk.bytes);
    return entry;
}

void StoredManifest::add_disks(std::vector<DiskEntry> disks, std::vector<GuestStorage> images) {
    manifest.disks.insert(manifest.disks.begin(), disks.begin(), disks.end());
    storage.insert(storage.end(), images.begin(), images.end());
    storage.resize(manifest.guests.size() + manifest.disks.size());
}

std::vector<std::byte> encode_manifest(const StoredManifest &stored) {
    const Manifest &m = stored.manifest;
    Writer writer;
    writer.item(TLCKPT_ITEM_CHECKPOINT,
                tlckpt_item_checkpoint{m.sn, m.prev, m.incarnation,
                                       static_cast<std::uint32_t>(m.kind), m.cut_wall_ns,
                                       m.durable_ns, m.suspend_skew, encode(m.times)});
    writer.text(TLCKPT_ITEM_NODE, m.node);
    writer.text(TLCKPT_ITEM_PRODUCER, m.producer);
    writer.text(TLCKPT_ITEM_PLATFORM, m.platform);
    if (!m.groups.empty())
        writer.list(TLCKPT_ITEM_GROUPS, m.groups);
    for (std::size_t i = 0; i < m.guests.size(); i++) {
        const GuestStorage &storage = stored.storage[i];
        writer.item(TLCKPT_ITEM_GUEST, encode(m.guests[i]));
        writer.text(TLCKPT_ITEM_GUEST_NAME, m.guests[i].name);
        writer.item(TLCKPT_ITEM_GUEST_STATE, storage.state);
        writer.list(TLCKPT_ITEM_GUEST_RUNS, storage.runs);
    }
    for (std::size_t i = 0; i < m.disks.size(); i++) {
        const DiskEntry &disk = m.disks[i];
        writer.item(TLCKPT_ITEM_DISK, encode(disk));
        writer.text(TLCKPT_ITEM_GUEST_NAME, disk.name);
        writer.text(TLCKPT_ITEM_DISK_TARGET, disk.target);
        writer.text(TLCKPT_ITEM_DISK_SOURCE, disk.source);
        if (disk.kind != DiskKind::captured)
            continue;
        const GuestStorage &storage = stored.storage[m.guests.size() + i];
        writer.item(TLCKPT_ITEM_GUEST_STATE, storage.state);
        writer.list(TLCKPT_ITEM_GUEST_RUNS, storage.runs);
    }
    return writer.finish();
}

Result<StoredManifest> decode_manifest(std::span<const std::byte> bytes, std::string_view where) {
    CKPT_CHECK(check_block(bytes, TLCKPT_MAGIC_MANIFEST, where));
    return Reader(bytes, where).read();
}

Catalog::Catalog(const Disk &disk, const std::string &node)
    : disk_(disk), folder_(fmt::format("{}/{}", kNodesFolder, node)) {}

std::string Catalog::path(Sn sn) const { return fmt::format("{}/{:020}{}", folder_, sn, kSuffix); }

Result<std::vector<Sn>> Catalog::indexes() const {
    std::vector<Sn> indexes;
    for (const FileInfo &file : CKPT_TRY(disk_.list(folder_))) {
        const std::string_view name = file.name;
        if (!name.ends_with(kSuffix))
            continue;
        Sn sn = 0;
        const char *end = name.data() + name.size() - kSuffix.size();
        const auto [stop, error] = std::from_chars(name.data(), end, sn);
        if (error == std::errc() && stop == end)
            indexes.push_back(sn);
    }
    std::ranges::sort(indexes);
    return indexes;
}

Result<StoredManifest> Catalog::read(Sn sn) const {
    const std::string file = path(sn);
    const std::string where = disk_.full_path(file);
    auto bytes = disk_.read(file);
    if (!bytes.has_value() && bytes.error().is(ENOENT))
        return fail(ENOENT, "{}: no checkpoint {}", disk_.full_path(folder_), sn);
    auto stored = CKPT_TRY(decode_manifest(CKPT_TRY(std::move(bytes)), where));
    if (stored.manifest.sn != sn)
        return fail(EBADMSG, "{}: is of checkpoint {}", where, stored.manifest.sn);
    return stored;
}

Status Catalog::put(const StoredManifest &stored) const {
    return disk_.replace(path(stored.manifest.sn), encode_manifest(stored));
}

// The channel log is worth nothing without it, and harmless if it stays.
Status Catalog::remove(Sn sn) const {
    CKPT_CHECK(disk_.remove(path(sn)));
    const std::string channel = fmt::format("{}/{:020}.channel", folder_, sn);
    return disk_.exists(channel) ? disk_.remove(channel) : Status();
}

Result<std::vector<std::string>> list_nodes(const Disk &disk) {
    std::vector<std::string> nodes;
    for (FileInfo &file : CKPT_TRY(disk.list(kNodesFolder)))
        nodes.push_back(std::move(file.name));
    return nodes;
}

} // namespace ckpt
