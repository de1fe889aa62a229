// SPDX-License-Identifier: GPL-2.0-only
#include "libckpt/store/guest_files.hh"

#include <fcntl.h>
#include <sys/file.h>

#include <algorithm>
#include <charconv>

namespace ckpt {

namespace {

constexpr std::string_view kSegmentSuffix = ".segment", kRunSuffix = ".run";
constexpr std::size_t kDigits = 8; // hexadecimal, so that names sort by id

std::optional<GuestFiles::File> parse(const FileInfo &info) {
    const std::string_view name = info.name;
    if (name.size() <= kDigits)
        return {};
    const std::string_view suffix = name.substr(kDigits);
    std::uint32_t id = 0;
    const auto [end, error] = std::from_chars(name.data(), name.data() + kDigits, id, 16);
    if (error != std::errc() || end != name.data() + kDigits || id == 0)
        return {};
    if (suffix == kSegmentSuffix)
        return GuestFiles::File{GuestFiles::Kind::segment, id, info.size, info.allocated};
    if (suffix == kRunSuffix)
        return GuestFiles::File{GuestFiles::Kind::run, id, info.size, info.allocated};
    return {};
}

} // namespace

GuestFiles::GuestFiles(const Disk &disk, const Uuid &guest)
    : disk_(disk), guest_(guest), folder_(fmt::format("{}/{}", kGuestsFolder, guest.to_string())) {}

std::string GuestFiles::path(Kind kind, std::uint32_t id) const {
    return fmt::format("{}/{:08x}{}", folder_, id,
                       kind == Kind::segment ? kSegmentSuffix : kRunSuffix);
}

Status GuestFiles::prepare() {
    CKPT_CHECK(disk_.make_dir(folder_));
    std::uint32_t last = 0;
    for (const File &file : CKPT_TRY(list()))
        last = std::max(last, file.id);
    next_id_ = last + 1;
    if (const std::string lock = folder_ + "/readers"; !disk_.exists(lock))
        CKPT_TRY(disk_.create(lock));
    return {};
}

Result<Fd> GuestFiles::create(Kind kind, std::uint32_t &id, bool *direct) {
    for (;;) {
        id = next_id_++;
        auto fd = disk_.create(path(kind, id), direct);
        // Made by another node that has this guest in its care, or had.
        if (!fd.has_value() && fd.error().is(EEXIST))
            continue;
        return fd;
    }
}

Result<std::vector<GuestFiles::File>> GuestFiles::list() const {
    std::vector<File> files;
    for (const FileInfo &info : CKPT_TRY(disk_.list(folder_)))
        if (auto file = parse(info))
            files.push_back(*file);
    std::ranges::sort(files, {}, &File::id);
    return files;
}

Result<Fd> GuestFiles::lock_for_reading() const {
    Fd fd = CKPT_TRY(disk_.open_read(folder_ + "/readers"));
    if (::flock(fd.get(), LOCK_SH) != 0)
        return fail(errno, "{}: locking", disk_.full_path(folder_));
    return fd;
}

Result<std::optional<Fd>> GuestFiles::try_lock_for_removal() const {
    Fd fd = CKPT_TRY(disk_.open_read(folder_ + "/readers"));
    if (::flock(fd.get(), LOCK_EX | LOCK_NB) == 0)
        return std::optional<Fd>(std::move(fd));
    if (errno == EWOULDBLOCK)
        return std::optional<Fd>();
    return fail(errno, "{}: locking", disk_.full_path(folder_));
}

} // namespace ckpt
