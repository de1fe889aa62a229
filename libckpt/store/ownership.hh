// SPDX-License-Identifier: GPL-2.0-only
// Whose store it is: the superblock, and the one process that may write a
// node's part of it (checkpoint-format.rst, "Superblock" and "Owner").
#pragma once

#include <cstdint>
#include <string>

#include "libckpt/base/fd.hh"
#include "libckpt/base/result.hh"
#include "libckpt/io/disk.hh"

namespace ckpt {

// Makes an empty directory (or none) into a store. ENOTEMPTY: it has files,
// and they are not a store's.
Status create_store(const std::string &directory, DiskObserver *observer);
// ENOENT: no store; EBADMSG; EPROTONOSUPPORT.
Status check_superblock(const Disk &disk);

// The exclusive right to write a node's part, held while this object lives.
class Ownership {
  public:
    // EBUSY names the holder; ESTALE: a later incarnation had it (R14).
    static Result<Ownership> take(const Disk &disk, const std::string &node,
                                  std::uint32_t incarnation);

    // Of the writer before; 0: there was none.
    static Result<std::uint32_t> incarnation(const Disk &disk, const std::string &node);
    // ESTALE: another host has raised the incarnation since, this writer's run
    // is over (R14).
    Status check(const Disk &disk, const std::string &node, std::uint32_t incarnation) const;
    // The holder goes on in a later incarnation.
    Status enter(const Disk &disk, const std::string &node, std::uint32_t incarnation);
    // From now on writers of an incarnation below this one are refused, the one
    // that holds the right included. Needs no lock: it may be a dead host's.
    static Status fence(const Disk &disk, const std::string &node, std::uint32_t incarnation);

  private:
    explicit Ownership(Fd lock) : lock_(std::move(lock)) {}
    Fd lock_;
};

// EINVAL unless a node's name can be a file's.
Status check_node_name(const std::string &node);

} // namespace ckpt
