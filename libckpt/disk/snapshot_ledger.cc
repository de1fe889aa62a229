// SPDX-License-Identifier: GPL-2.0-only
#include "libckpt/disk/snapshot_ledger.hh"

#include <algorithm>
#include <sstream>

namespace ckpt {

namespace {

constexpr const char *kFile = "snapshots";
constexpr const char *kHeading = "tlckpt-snapshots-1";
constexpr std::uint32_t kFirst = 0x800000, kLast = 0xffffff;

} // namespace

// A line for each: pool, id, image, index and time of the cut, sectors, volume
// ("-": none).
Result<SnapshotLedger> SnapshotLedger::load(const std::string &directory) {
    SnapshotLedger ledger(CKPT_TRY(Disk::open(directory)));
    ledger.last_ = kFirst;
    if (!ledger.disk_.exists(kFile))
        return ledger;
    const auto bytes = CKPT_TRY(ledger.disk_.read(kFile));
    std::istringstream text(std::string(reinterpret_cast<const char *>(bytes.data()), bytes.size()));
    std::string heading, line;
    if (!(text >> heading >> ledger.last_) || heading != kHeading)
        return fail(EBADMSG, "{} is not what this program writes; move it away, and look for thin "
                             "devices from {} on that nobody needs",
                    ledger.disk_.full_path(kFile), kFirst);
    std::getline(text, line);
    while (std::getline(text, line)) {
        std::istringstream words(line);
        Item item;
        std::string image;
        words >> item.pool >> item.id >> image >> item.cut.sn >> item.cut.wall_ns >> item.sectors >> item.volume;
        auto uuid = Uuid::parse(image);
        if (!words || !uuid)
            return fail(EBADMSG, "{}: \"{}\"", ledger.disk_.full_path(kFile), line);
        item.image = *uuid;
        if (item.volume == "-")
            item.volume.clear();
        ledger.items_.push_back(std::move(item));
    }
    return ledger;
}

Status SnapshotLedger::save() const {
    std::string text = fmt::format("{} {}\n", kHeading, last_);
    for (const Item &item : items_)
        text += fmt::format("{} {} {} {} {} {} {}\n", item.pool, item.id, item.image.to_string(),
                            item.cut.sn, item.cut.wall_ns, item.sectors, item.volume.empty() ? "-" : item.volume);
    return disk_.replace(kFile, std::as_bytes(std::span(text)));
}

std::vector<SnapshotLedger::Item> SnapshotLedger::items() const {
    std::lock_guard lock(mutex_);
    return items_;
}

std::optional<SnapshotLedger::Item> SnapshotLedger::held(const std::string &pool, const Uuid &image,
                                                         const Cut &cut) const {
    std::lock_guard lock(mutex_);
    for (const Item &item : items_)
        if (item.pool == pool && item.image == image && item.cut == cut && item.volume.empty())
            return item;
    return std::nullopt;
}

Result<std::uint32_t> SnapshotLedger::reserve(Item item) {
    std::lock_guard lock(mutex_);
    do
        last_ = last_ == kLast ? kFirst : last_ + 1;
    while (std::ranges::find(items_, last_, &Item::id) != items_.end());
    item.id = last_;
    items_.push_back(std::move(item));
    if (auto saved = save(); !saved) {
        items_.pop_back();
        return tl::unexpected(saved.error());
    }
    return last_;
}

Status SnapshotLedger::set(std::uint32_t id, const Cut &cut, std::uint64_t sectors) {
    std::lock_guard lock(mutex_);
    for (Item &item : items_)
        if (item.id == id) {
            item.cut = cut;
            item.sectors = sectors;
        }
    return save();
}

Status SnapshotLedger::erase(std::uint32_t id) {
    std::lock_guard lock(mutex_);
    std::erase_if(items_, [id](const Item &item) { return item.id == id; });
    return save();
}

} // namespace ckpt
