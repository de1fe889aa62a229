// SPDX-License-Identifier: GPL-2.0-only
#include "libckpt/io/disk.hh"

#include <dirent.h>
#include <fcntl.h>
#include <sys/random.h>
#include <sys/stat.h>

#include <algorithm>
#include <memory>

namespace ckpt {

namespace {

// The folder that holds `path`, "" for the directory itself.
std::string parent_of(const std::string &path) {
    const auto slash = path.rfind('/');
    return slash == std::string::npos ? std::string() : path.substr(0, slash);
}

const char *or_self(const std::string &path) { return path.empty() ? "." : path.c_str(); }

} // namespace

Result<Disk> Disk::open(std::string directory, DiskObserver *observer) {
    Fd fd(::open(directory.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    if (!fd)
        return fail(errno, "{}", directory);
    return Disk(std::move(directory), std::move(fd), observer);
}

std::string Disk::full_path(std::string_view path) const {
    return path.empty() ? directory_ : fmt::format("{}/{}", directory_, path);
}

Status Disk::announce(const DiskStep &step) const {
    return observer_ ? observer_->before(step) : Status();
}

Status Disk::make_dir(const std::string &path) const {
    CKPT_CHECK(announce({.kind = DiskStep::Kind::make_dir, .path = path}));
    if (::mkdirat(fd_.get(), path.c_str(), 0700) != 0 && errno != EEXIST)
        return fail(errno, "{}", full_path(path));
    return sync_dir(parent_of(path));
}

Result<Fd> Disk::create(const std::string &path, bool *direct) const {
    CKPT_CHECK(announce({.kind = DiskStep::Kind::create, .path = path}));
    const int flags = O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC;
    Fd fd;
    if (direct && *direct) {
        fd = Fd(::openat(fd_.get(), path.c_str(), flags | O_DIRECT, 0600));
        if (!fd && errno == EINVAL) {
            // Some file systems make the file before they refuse the flag.
            ::unlinkat(fd_.get(), path.c_str(), 0);
            *direct = false;
        } else if (!fd) {
            return fail(errno, "{}", full_path(path));
        }
    }
    if (!fd)
        fd = Fd(::openat(fd_.get(), path.c_str(), flags, 0600));
    if (!fd)
        return fail(errno, "{}", full_path(path));
    return fd;
}

Result<Fd> Disk::open_read(const std::string &path) const {
    Fd fd(::openat(fd_.get(), path.c_str(), O_RDONLY | O_CLOEXEC));
    if (!fd)
        return fail(errno, "{}", full_path(path));
    return fd;
}

Result<Fd> Disk::open_write(const std::string &path) const {
    Fd fd(::openat(fd_.get(), path.c_str(), O_RDWR | O_CLOEXEC));
    if (!fd)
        return fail(errno, "{}", full_path(path));
    return fd;
}

Status Disk::write(int fd, const std::string &path, std::uint64_t offset,
                   std::span<const std::byte> data) const {
    CKPT_CHECK(
        announce({.kind = DiskStep::Kind::write, .path = path, .offset = offset, .data = data}));
    while (!data.empty()) {
        const ssize_t n = ::pwrite(fd, data.data(), data.size(), static_cast<off_t>(offset));
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return fail(n < 0 ? errno : EIO, "{}: writing at {}", full_path(path), offset);
        data = data.subspan(static_cast<std::size_t>(n));
        offset += static_cast<std::uint64_t>(n);
    }
    return {};
}

Status Disk::truncate(int fd, const std::string &path, std::uint64_t size) const {
    CKPT_CHECK(announce({.kind = DiskStep::Kind::truncate, .path = path, .offset = size}));
    if (::ftruncate(fd, static_cast<off_t>(size)) != 0)
        return fail(errno, "{}: truncating to {}", full_path(path), size);
    return {};
}

Status Disk::sync(int fd, const std::string &path) const {
    CKPT_CHECK(announce({.kind = DiskStep::Kind::sync, .path = path}));
    if (::fdatasync(fd) != 0)
        return fail(errno, "{}: flushing to stable storage", full_path(path));
    return {};
}

Status Disk::sync_dir(const std::string &path) const {
    CKPT_CHECK(announce({.kind = DiskStep::Kind::sync_dir, .path = path}));
    Fd fd(::openat(fd_.get(), or_self(path), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    if (!fd || ::fsync(fd.get()) != 0)
        return fail(errno, "{}: flushing to stable storage", full_path(path));
    return {};
}

Status Disk::remove(const std::string &path) const {
    CKPT_CHECK(announce({.kind = DiskStep::Kind::remove, .path = path}));
    if (::unlinkat(fd_.get(), path.c_str(), 0) == 0)
        return {};
    if (errno == EISDIR && ::unlinkat(fd_.get(), path.c_str(), AT_REMOVEDIR) == 0)
        return {};
    return fail(errno, "{}", full_path(path));
}

Status Disk::put(const std::string &temporary, const std::string &path,
                 std::span<const std::byte> data,
                 int (*publish)(int, const char *, const char *)) const {
    ::unlinkat(fd_.get(), temporary.c_str(), 0); // of a crash
    auto attempt = [&]() -> Status {
        Fd fd = CKPT_TRY(create(temporary));
        CKPT_CHECK(write(fd.get(), temporary, 0, data));
        CKPT_CHECK(sync(fd.get(), temporary));
        CKPT_CHECK(announce({.kind = DiskStep::Kind::rename, .path = temporary, .to = path}));
        if (publish(fd_.get(), temporary.c_str(), path.c_str()) != 0)
            return fail(errno, "{}", full_path(path));
        return {};
    };
    const Status status = attempt();
    ::unlinkat(fd_.get(), temporary.c_str(), 0);
    CKPT_CHECK(status);
    return sync_dir(parent_of(path));
}

Status Disk::replace(const std::string &path, std::span<const std::byte> data) const {
    return put(path + ".tmp", path, data, [](int dir, const char *from, const char *to) {
        return ::renameat(dir, from, dir, to);
    });
}

Status Disk::put_new(const std::string &path, std::span<const std::byte> data) const {
    std::uint64_t unique = 0;
    if (::getrandom(&unique, sizeof unique, 0) != sizeof unique)
        return fail(errno, "{}: random name", full_path(path));
    return put(fmt::format("{}.{:016x}.tmp", path, unique), path, data,
               [](int dir, const char *from, const char *to) {
                   return ::linkat(dir, from, dir, to, 0);
               });
}

Result<std::vector<std::byte>> Disk::read(const std::string &path) const {
    Fd fd = CKPT_TRY(open_read(path));
    struct stat st{};
    if (::fstat(fd.get(), &st) != 0)
        return fail(errno, "{}", full_path(path));
    std::vector<std::byte> data(static_cast<std::size_t>(st.st_size));
    CKPT_CHECK(read_at(fd.get(), full_path(path), 0, data));
    return data;
}

Result<std::vector<FileInfo>> Disk::list(const std::string &path) const {
    const int fd = ::openat(fd_.get(), or_self(path), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    std::unique_ptr<DIR, int (*)(DIR *)> dir(fd >= 0 ? ::fdopendir(fd) : nullptr, ::closedir);
    if (!dir)
        return fail(errno, "{}", full_path(path));
    std::vector<FileInfo> files;
    while (const dirent *entry = ::readdir(dir.get())) {
        struct stat st{};
        if (std::string_view(entry->d_name) == "." || std::string_view(entry->d_name) == ".." ||
            ::fstatat(::dirfd(dir.get()), entry->d_name, &st, AT_SYMLINK_NOFOLLOW) != 0)
            continue; // the second: removed under our eyes
        files.push_back({entry->d_name, static_cast<std::uint64_t>(st.st_size),
                         static_cast<std::uint64_t>(st.st_blocks) * 512});
    }
    std::ranges::sort(files, {}, &FileInfo::name);
    return files;
}

bool Disk::exists(const std::string &path) const {
    return ::faccessat(fd_.get(), path.c_str(), F_OK, 0) == 0;
}

Status read_at(int fd, std::string_view path, std::uint64_t offset, std::span<std::byte> data) {
    while (!data.empty()) {
        const ssize_t n = ::pread(fd, data.data(), data.size(), static_cast<off_t>(offset));
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return fail(errno, "{}: reading at {}", path, offset);
        if (n == 0)
            return fail(EBADMSG, "{}: ends at {}, {} bytes are missing", path, offset,
                        data.size());
        data = data.subspan(static_cast<std::size_t>(n));
        offset += static_cast<std::uint64_t>(n);
    }
    return {};
}

} // namespace ckpt
