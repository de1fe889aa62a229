// SPDX-License-Identifier: GPL-2.0-only
// One run of the program at a time for one state directory.
#pragma once

#include <string>

#include "libckpt/base/clock.hh"
#include "libckpt/base/fd.hh"
#include "libckpt/base/result.hh"

namespace ckpt {

// Takes `directory`/lock, and makes the folder if there is none. Two locks of
// different nature on that one file: a record lock, which is this process's
// alone, and a flock, which the children that inherit the descriptor hold too.
// So a run that is killed frees the first at once, and the second when its
// resume guard is done with the guests: the next run waits for that, at most
// `patience`. Errors: EBUSY another run lives (its pid is named), or the guard
// of one is not done in time.
Result<Fd> take_run_lock(const std::string &directory,
                         Duration patience = std::chrono::seconds(20));

} // namespace ckpt
