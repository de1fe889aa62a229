// SPDX-License-Identifier: GPL-2.0-only
// Broken invariants end the process, in release builds too: restart plus the
// last durable checkpoint is the designed way out.
#pragma once

#include <cstdio>
#include <cstdlib>

#define CKPT_ASSERT(condition)                                                                     \
    do {                                                                                           \
        if (!(condition)) {                                                                        \
            std::fprintf(stderr, "%s:%d: %s: assertion failed: %s\n", __FILE__, __LINE__,          \
                         __func__, #condition);                                                    \
            std::abort();                                                                          \
        }                                                                                          \
    } while (0)
