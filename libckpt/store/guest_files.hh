// SPDX-License-Identifier: GPL-2.0-only
// The files of one guest's lineage: segments and index runs, numbered together
// in the order they were made.
#pragma once

#include <atomic>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "libckpt/base/result.hh"
#include "libckpt/base/uuid.hh"
#include "libckpt/io/disk.hh"

namespace ckpt {

inline constexpr const char *kGuestsFolder = "guests";

class GuestFiles {
  public:
    enum class Kind { segment, run };
    struct File {
        Kind kind;
        std::uint32_t id;
        std::uint64_t size;
        std::uint64_t allocated;
    };

    GuestFiles(const Disk &disk, const Uuid &guest);

    const Uuid &guest() const { return guest_; }
    const std::string &folder() const { return folder_; }
    std::string path(Kind kind, std::uint32_t id) const;
    // What messages call it: relative to the store.
    std::string segment(std::uint32_t id) const { return path(Kind::segment, id); }
    std::string run(std::uint32_t id) const { return path(Kind::run, id); }

    // Makes the folder if need be and learns which ids are taken.
    Status prepare();
    // A new file under the next free id, which goes into `id`.
    Result<Fd> create(Kind kind, std::uint32_t &id, bool *direct = nullptr);
    // Ids below are taken: a file made from now on has this one or a later.
    std::uint32_t next_id() const { return next_id_; }
    // Segments and runs, ascending by id; other files are left alone.
    Result<std::vector<File>> list() const;

    // Holds off the removal of this guest's files, in any process, until the
    // descriptor is closed. Also works in a store that may not be written.
    Result<Fd> lock_for_reading() const;
    // For removal: nothing if someone reads.
    Result<std::optional<Fd>> try_lock_for_removal() const;

    const Disk &disk() const { return disk_; }

  private:
    const Disk &disk_;
    Uuid guest_;
    std::string folder_;
    std::atomic<std::uint32_t> next_id_{1};
};

} // namespace ckpt
