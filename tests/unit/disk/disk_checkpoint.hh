// SPDX-License-Identifier: GPL-2.0-only
#pragma once

#include <functional>

#include "libckpt/disk/guest_disks.hh"
#include "tests/unit/store/store_rig.hh"

namespace ckpt {

// All steps of a checkpoint of a guest's disks; committed, or given up if one fails.
// `after_cut` stands for the guest that goes on.
inline Status disk_checkpoint(GuestDisks &disks, StoreRig &rig, Sn sn,
                              const std::function<Status()> &after_cut) {
    auto work = [&]() -> Status {
        CKPT_CHECK(disks.prepare());
        std::uint64_t longest = 0;
        disks.begin_snapshots();
        CKPT_CHECK(disks.finish_snapshots(longest));
        EXPECT_GT(longest, 0u);
        CKPT_CHECK(after_cut());
        GuestParts parts;
        CKPT_CHECK(disks.persist(parts));
        Manifest manifest = manifest_of(sn);
        manifest.disks = disks.others();
        return rig.store().commit(std::move(manifest), parts);
    };
    Status done = work();
    if (done)
        disks.keep({sn, 1});
    else
        disks.discard();
    return done;
}

} // namespace ckpt
