// SPDX-License-Identifier: GPL-2.0-only
#include "libckpt/store/ownership.hh"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/random.h>
#include <sys/stat.h>

#include <array>
#include <cstring>
#include <optional>

#include "libckpt/base/clock.hh"
#include "libckpt/store/block.hh"
#include "libckpt/store/guest_files.hh"
#include "libckpt/store/manifest.hh"

namespace ckpt {

namespace {

constexpr const char *kSuperblock = "superblock";

std::string host_name() {
    std::array<char, 65> name{};
    ::gethostname(name.data(), name.size() - 1);
    return name.data();
}

// Nothing: never opened for writing.
Result<std::optional<tlckpt_owner>> read_owner(const Disk &disk, const std::string &path) {
    if (!disk.exists(path))
        return std::optional<tlckpt_owner>();
    const auto bytes = CKPT_TRY(disk.read(path));
    const std::string where = fmt::format(
        "{} (to be removed if no other host uses this node's part)", disk.full_path(path));
    CKPT_CHECK(check_block(bytes, TLCKPT_MAGIC_OWNER, where));
    tlckpt_owner owner{};
    if (bytes.size() != sizeof owner)
        return fail(EBADMSG, "{}: {} bytes", where, bytes.size());
    std::memcpy(&owner, bytes.data(), sizeof owner);
    return std::optional(owner);
}

Result<Fd> lock_node(const Disk &disk, const std::string &folder) {
    const std::string path = folder + "/lock";
    if (auto made = disk.create(path); !made.has_value() && !made.error().is(EEXIST))
        return made;
    Fd lock(::open(disk.full_path(path).c_str(), O_RDWR | O_CLOEXEC));
    if (!lock)
        return fail(errno, "{}", disk.full_path(path));
    if (::flock(lock.get(), LOCK_EX | LOCK_NB) == 0)
        return lock;
    if (errno != EWOULDBLOCK)
        return fail(errno, "{}: locking", disk.full_path(path));
    auto owner = read_owner(disk, folder + "/owner");
    if (owner.has_value() && owner->has_value())
        return fail(EBUSY, "{}: in use by process {} on host {}, incarnation {}",
                    disk.full_path(folder), (*owner)->pid, get_text((*owner)->host),
                    (*owner)->incarnation);
    return fail(EBUSY, "{}: in use by another process", disk.full_path(folder));
}

Status write_owner(const Disk &disk, const std::string &folder, std::uint32_t incarnation) {
    tlckpt_owner owner{};
    owner.incarnation = incarnation;
    owner.pid = static_cast<std::uint32_t>(::getpid());
    owner.opened_ns = wall_clock_ns();
    put_text(owner.host, host_name());
    seal_block(owner, TLCKPT_MAGIC_OWNER);
    return disk.replace(folder + "/owner", std::as_bytes(std::span(&owner, 1)));
}

} // namespace

Status create_store(const std::string &directory, DiskObserver *observer) {
    if (::mkdir(directory.c_str(), 0700) != 0 && errno != EEXIST)
        return fail(errno, "store {}", directory);
    const Disk disk = CKPT_TRY(Disk::open(directory, observer));
    for (const FileInfo &file : CKPT_TRY(disk.list("")))
        // A new file system has lost+found; a creation that was cut short
        // leaves its folders.
        if (file.name != "lost+found" && file.name != kNodesFolder && file.name != kGuestsFolder &&
            !file.name.starts_with(kSuperblock))
            return fail(ENOTEMPTY, "store {}: has other files ({}) and no superblock", directory,
                        file.name);
    std::string used;
    for (const char *folder : {kNodesFolder, kGuestsFolder}) {
        CKPT_CHECK(disk.make_dir(folder));
        if (!CKPT_TRY(disk.list(folder)).empty())
            used = folder;
    }
    tlckpt_superblock superblock{};
    if (::getrandom(superblock.store_uuid, sizeof superblock.store_uuid, 0) !=
        sizeof superblock.store_uuid)
        return fail(errno, "store {}: random identity", directory);
    superblock.created_ns = wall_clock_ns();
    superblock.page_bytes = TLCKPT_BLOCK;
    seal_block(superblock, TLCKPT_MAGIC_SUPERBLOCK);
    // Several nodes of a new cluster do this at the same time: whose superblock comes first
    // counts. That it is there, only this step tells for sure: NFS remembers absent names.
    const Status put = disk.put_new(kSuperblock, std::as_bytes(std::span(&superblock, 1)));
    if (!put && put.error().is(EEXIST))
        return {};
    CKPT_CHECK(put);
    if (used.empty())
        return {};
    CKPT_CHECK(disk.remove(kSuperblock));
    return fail(ENOTEMPTY, "store {}: has a store's files in {}/, but no superblock", directory, used);
}

Status check_superblock(const Disk &disk) {
    if (!disk.exists(kSuperblock))
        return fail(ENOENT, "store {}: no store here (no superblock)", disk.directory());
    const auto bytes = CKPT_TRY(disk.read(kSuperblock));
    const std::string where = disk.full_path(kSuperblock);
    CKPT_CHECK(check_block(bytes, TLCKPT_MAGIC_SUPERBLOCK, where));
    tlckpt_superblock superblock;
    if (bytes.size() != sizeof superblock)
        return fail(EBADMSG, "{}: {} bytes", where, bytes.size());
    std::memcpy(&superblock, bytes.data(), sizeof superblock);
    if (superblock.page_bytes != TLCKPT_BLOCK)
        return fail(EPROTONOSUPPORT, "{}: pages of {} bytes, this program knows {}", where,
                    superblock.page_bytes, TLCKPT_BLOCK);
    return {};
}

Result<Ownership> Ownership::take(const Disk &disk, const std::string &node,
                                  std::uint32_t incarnation) {
    const std::string folder = fmt::format("{}/{}", kNodesFolder, node);
    CKPT_CHECK(disk.make_dir(folder));
    Ownership ownership(CKPT_TRY(lock_node(disk, folder)));
    CKPT_CHECK(ownership.enter(disk, node, incarnation));
    return ownership;
}

Result<std::uint32_t> Ownership::incarnation(const Disk &disk, const std::string &node) {
    const auto owner = CKPT_TRY(read_owner(disk, fmt::format("{}/{}/owner", kNodesFolder, node)));
    return owner ? owner->incarnation : 0u;
}

Status Ownership::check(const Disk &disk, const std::string &node,
                        std::uint32_t incarnation) const {
    const std::string folder = fmt::format("{}/{}", kNodesFolder, node);
    const auto now = CKPT_TRY(read_owner(disk, folder + "/owner"));
    if (now && now->incarnation > incarnation)
        return fail(ESTALE, "{}: was opened by incarnation {}, this is the older {}",
                    disk.full_path(folder), now->incarnation, incarnation);
    return {};
}

Status Ownership::enter(const Disk &disk, const std::string &node, std::uint32_t incarnation) {
    CKPT_CHECK(check(disk, node, incarnation));
    return write_owner(disk, fmt::format("{}/{}", kNodesFolder, node), incarnation);
}

Status Ownership::fence(const Disk &disk, const std::string &node, std::uint32_t incarnation) {
    const std::string folder = fmt::format("{}/{}", kNodesFolder, node);
    CKPT_CHECK(disk.make_dir(folder));
    const auto before = CKPT_TRY(read_owner(disk, folder + "/owner"));
    if (before && before->incarnation >= incarnation)
        return {};
    return write_owner(disk, folder, incarnation);
}

Status check_node_name(const std::string &node) {
    constexpr std::string_view kAllowed =
        "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.";
    if (node.empty() || node.size() > 63 || node[0] == '.' ||
        node.find_first_not_of(kAllowed) != std::string::npos)
        return fail(EINVAL, "node name \"{}\": 1 to 63 letters, digits, '-', '_' or '.'", node);
    return {};
}

} // namespace ckpt
