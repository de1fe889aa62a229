/* SPDX-License-Identifier: GPL-2.0-only */
/* The shim header on the wire, for those who write it (Documentation/wire-format.rst). */
#ifndef _TLCKPT_SHIM_H
#define _TLCKPT_SHIM_H

#include <linux/build_bug.h>
#include <linux/skbuff.h>
#include <linux/types.h>
#include <tlckpt/carrier.h>

/**
 * struct tlckpt_shim - stands where the EtherType stood, which follows it
 * @proto: TLCKPT_ETHERTYPE
 * @stamp: stamp
 * @pad:   0
 */
struct tlckpt_shim {
	__be16 proto;
	u8 stamp[TLCKPT_STAMP_LEN];
	__be16 pad;
} __packed;

#define SHIM_LEN ((unsigned int)TLCKPT_SHIM_LEN)
static_assert(sizeof(struct tlckpt_shim) == TLCKPT_SHIM_LEN);

/*
 * Marks a stamped super-packet. A device that cuts by itself would not find the
 * IP header behind an EtherType that it does not know; as none offers this kind of
 * segmentation, the stack cuts, with the shim's gso_segment, where the frame leaves.
 */
#define SHIM_GSO SKB_GSO_TUNNEL_REMCSUM

#endif /* _TLCKPT_SHIM_H */
