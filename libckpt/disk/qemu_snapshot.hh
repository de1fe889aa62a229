// SPDX-License-Identifier: GPL-2.0-only
// A snapshot of a disk by the QEMU that serves it. The guest's file stays the one
// that is written to. QEMU's dirty bitmaps tell what was written between two cuts;
// that, as it was at the cut, QEMU copies into an increment, a qcow2 file of its
// own, first what the guest is about to change. Whatever ends too early, daemon,
// QEMU or host, the file that the guest's configuration names has all that the
// guest wrote.
#pragma once

#include <cstdint>
#include <string>

#include "libckpt/disk/qmp.hh"

namespace ckpt::qemu {

struct Node {
    std::string name;
    std::uint64_t bytes = 0;     // of the disk
    std::uint64_t allocated = 0; // of its file
};

// The node of the qcow2 file at this path. ENODEV: QEMU serves none.
Result<Node> find(Qmp &qmp, const std::string &path);

// For the functions below: all that they make in QEMU for one disk has the name
// `ours`, bitmaps have one each; so it is found again after a crash.

// Before the cut. `file` is an empty qcow2 file of the disk's size.
Status add_increment(Qmp &qmp, const std::string &ours, const std::string &file);
// QEMU begins to copy what bitmap `last` has, which records no more; if it is
// empty, the whole disk. `next` records from now on. EREMOTEIO: nothing is done.
Status cut(Qmp &qmp, const Node &node, const std::string &ours, const std::string &next,
           const std::string &last);
// Waits until all is copied, and closes the increment; if `last` is not empty, it
// has a bitmap of the name `ours`, which is exact by blocks of 4096 bytes, while
// the copy is not. EIO: QEMU could not copy.
Status finish_increment(Qmp &qmp, const Node &node, const std::string &ours,
                        const std::string &last);
// Gives up what there is of an increment.
Status drop_increment(Qmp &qmp, const std::string &ours);

Status drop_bitmap(Qmp &qmp, const Node &node, const std::string &bitmap);
// `last` records again, as if it had never stopped; `next` is gone.
Status take_back_cut(Qmp &qmp, const Node &node, const std::string &next, const std::string &last);

} // namespace ckpt::qemu
