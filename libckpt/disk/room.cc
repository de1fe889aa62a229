// SPDX-License-Identifier: GPL-2.0-only
#include "libckpt/disk/room.hh"

namespace ckpt {

Status Room::check(const std::string &holder, unsigned percent, const char *more) {
    if (percent >= limits_.refuse_percent)
        return fail(ENOSPC, "{} is {} % full{}, and takes no snapshots from {} % on "
                            "(disks.refuse_percent); {}",
                    holder, percent, more, limits_.refuse_percent, mend_);
    std::lock_guard lock(mutex_);
    if (percent < limits_.warn_percent)
        warned_.erase(holder);
    else if (warned_.insert(holder).second)
        logger_.warning("{} is {} % full{}; from {} % on there are no checkpoints", holder, percent,
                        more, limits_.refuse_percent);
    return {};
}

GuestNote Room::note(const std::string &holder, unsigned percent) const {
    const std::string found = fmt::format("{} % full", percent);
    if (percent >= limits_.refuse_percent)
        return {NoteKind::refuse, holder, found + ": no checkpoints", mend_};
    if (percent >= limits_.warn_percent)
        return {NoteKind::warn, holder, found, mend_};
    return {NoteKind::ok, holder, found, ""};
}

} // namespace ckpt
