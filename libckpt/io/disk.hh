// SPDX-License-Identifier: GPL-2.0-only
// A directory that is changed in durable steps. Every change of the store's
// files goes through here, so that a test can fail any step, or record all of
// them and rebuild what a power cut would have left.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "libckpt/base/fd.hh"
#include "libckpt/base/result.hh"

namespace ckpt {

struct DiskStep {
    enum class Kind { make_dir, create, write, truncate, sync, rename, remove, sync_dir };
    Kind kind;
    std::string_view path; // relative to the directory
    std::string_view to{}; // rename: the new path
    std::uint64_t offset = 0; // write: where; truncate: the new size
    std::span<const std::byte> data{};
};

// Sees each step before it is done. Called from several threads.
class DiskObserver {
  public:
    virtual ~DiskObserver() = default;
    // An error makes the step fail with it, undone.
    virtual Status before(const DiskStep &step) = 0;
};

struct FileInfo {
    std::string name;
    std::uint64_t size = 0;
    std::uint64_t allocated = 0; // bytes of storage it takes
};

// Paths are relative to the directory. Errors name the file. Thread-safe.
class Disk {
  public:
    // ENOENT, ENOTDIR and the like name the directory.
    static Result<Disk> open(std::string directory, DiskObserver *observer = nullptr);

    const std::string &directory() const { return directory_; }
    std::string full_path(std::string_view path) const;

    // A directory of mode 0700, durable; fine if it is there already.
    Status make_dir(const std::string &path) const;
    // A new file of mode 0600, not durable before sync_dir(). EEXIST.
    // `direct`: O_DIRECT if the file system has it, else cleared.
    Result<Fd> create(const std::string &path, bool *direct = nullptr) const;
    Result<Fd> open_read(const std::string &path) const;
    Result<Fd> open_write(const std::string &path) const;

    Status write(int fd, const std::string &path, std::uint64_t offset,
                 std::span<const std::byte> data) const;
    Status truncate(int fd, const std::string &path, std::uint64_t size) const;
    // The file's contents and size, not its name.
    Status sync(int fd, const std::string &path) const;
    // The names in the directory `path` ("" is the directory itself).
    Status sync_dir(const std::string &path) const;
    Status remove(const std::string &path) const;
    // Puts a file with these contents at `path`, durable; old contents or new,
    // never a mixture, whatever happens in between.
    Status replace(const std::string &path, std::span<const std::byte> data) const;
    // The same for a file that must be new: of several hosts that put one here at
    // the same time, one succeeds and the others get EEXIST.
    Status put_new(const std::string &path, std::span<const std::byte> data) const;
    // For writes that others do (io_uring): shows the step to the observer.
    Status announce(const DiskStep &step) const;

    Result<std::vector<std::byte>> read(const std::string &path) const;
    // Ascending by name, without "." and "..". ENOENT.
    Result<std::vector<FileInfo>> list(const std::string &path) const;
    bool exists(const std::string &path) const;

  private:
    Disk(std::string directory, Fd fd, DiskObserver *observer)
        : directory_(std::move(directory)), fd_(std::move(fd)), observer_(observer) {}

    // Writes `temporary` durably; then `publish` gives it its name, and it is gone.
    Status put(const std::string &temporary, const std::string &path,
               std::span<const std::byte> data, int (*publish)(int, const char *, const char *)) const;

    std::string directory_;
    Fd fd_;
    DiskObserver *observer_;
};

// Reads exactly `data`. EBADMSG: the file ends before. `path` is for errors.
Status read_at(int fd, std::string_view path, std::uint64_t offset, std::span<std::byte> data);

} // namespace ckpt
