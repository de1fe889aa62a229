/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * The one switch between kernel and user space for the shared C: fixed-width
 * integers, bool, errno values and the memory functions a compiler may call.
 */
#ifndef TLCKPT_TYPES_H
#define TLCKPT_TYPES_H

#ifdef __KERNEL__
#include <linux/build_bug.h>
#include <linux/errno.h>
#include <linux/string.h>
#include <linux/types.h>
#else
#include <assert.h>
#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

typedef uint8_t u8;
typedef uint16_t u16;
typedef uint32_t u32;
typedef uint64_t u64;
#endif

#ifdef __cplusplus
#define TLCKPT_BEGIN_DECLS extern "C" {
#define TLCKPT_END_DECLS }
#else
#define TLCKPT_BEGIN_DECLS
#define TLCKPT_END_DECLS
#endif

/* Node ids are 1..65535. */
#define TLCKPT_NODE_NONE 0

#endif /* TLCKPT_TYPES_H */
