// SPDX-License-Identifier: GPL-2.0-only
// A pause must not wait behind ordinary work of Dom0 for a processor.
#pragma once

#include <pthread.h>
#include <sched.h>

namespace ckpt {

// The calling thread runs before all ordinary ones from now on, or is one of
// them again. Without the right to it (CAP_SYS_NICE) nothing changes.
inline void set_urgent(bool on) {
    sched_param param{};
    param.sched_priority = on ? 1 : 0;
    ::pthread_setschedparam(::pthread_self(), on ? SCHED_FIFO : SCHED_OTHER, &param);
}

} // namespace ckpt
