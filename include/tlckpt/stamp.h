/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * The stamp that a frame carries from node to node (Rules R1, R16): 24 octets,
 * big endian, the same in every carrier. The shim carrier adds its EtherType and
 * two octets of padding (28 in all), the Geneve carrier its option header.
 *
 *     0        1        2                 4
 *    +--------+--------+-----------------+-----------------------------------+
 *    | version| flags  | node            | incarnation                       |
 *    +--------+--------+-----------------+-----------------------------------+
 *    | sn                                                                    |
 *    +-----------------------------------------------------------------------+
 *    | tag: SipHash-2-4 over cluster id (u32) and the 16 octets above        |
 *    +-----------------------------------------------------------------------+
 *
 * The cluster id is not on the wire: a stamp of another cluster has a wrong tag.
 * A stamp changes only when a capture is finished or a rollback followed, so a
 * sender computes the tag once per change and a receiver remembers what it has
 * verified.
 */
#ifndef TLCKPT_STAMP_H
#define TLCKPT_STAMP_H

#include <tlckpt/types.h>

#define TLCKPT_STAMP_LEN 24
#define TLCKPT_STAMP_VERSION 1
#define TLCKPT_KEY_LEN 16

/**
 * struct tlckpt_stamp - what a stamp says
 * @sn:          the sender's newest finished capture when it sent the frame (R1)
 * @incarnation: the run of the cluster that the frame belongs to (R11)
 * @node:        the sender
 */
struct tlckpt_stamp {
	u64 sn;
	u32 incarnation;
	u16 node;
};

/**
 * struct tlckpt_cluster - what all nodes of one cluster share
 * @key: SipHash key, as its two little endian words
 * @id:  tells clusters that share a key and a wire apart
 */
struct tlckpt_cluster {
	u64 key[2];
	u32 id;
};

/**
 * tlckpt_stamp_peer() - the node that a stamp claims, not verified
 * @wire: 24 octets
 */
static inline u16 tlckpt_stamp_peer(const u8 wire[TLCKPT_STAMP_LEN])
{
	return (u16)(wire[2] << 8 | wire[3]);
}

TLCKPT_BEGIN_DECLS

/**
 * tlckpt_siphash24() - SipHash-2-4 (Aumasson and Bernstein 2012)
 * @key:  two little endian words of the 16-octet key
 * @data: @len octets, any alignment
 * @len:  any length
 */
u64 tlckpt_siphash24(const u64 key[2], const void *data, size_t len);

/**
 * tlckpt_cluster_init() - key octets to words
 * @cluster: result
 * @key:     16 octets, a shared secret
 * @id:      cluster id
 */
void tlckpt_cluster_init(struct tlckpt_cluster *cluster, const u8 key[TLCKPT_KEY_LEN], u32 id);

/**
 * tlckpt_stamp_write() - make the wire form (R1, R16)
 * @wire:    result, 24 octets
 * @stamp:   what to say; @stamp->node is not TLCKPT_NODE_NONE
 * @cluster: whose key makes the tag
 */
void tlckpt_stamp_write(u8 wire[TLCKPT_STAMP_LEN], const struct tlckpt_stamp *stamp,
			const struct tlckpt_cluster *cluster);

/**
 * tlckpt_stamp_read() - read and verify a stamp from the wire (R16)
 * @stamp:   result, written only on success
 * @wire:    24 octets, never trusted
 * @cluster: whose key checks the tag
 *
 * Return: 0; -EPROTONOSUPPORT another version or a flag that this one does not
 * know; -EINVAL no node id; -EBADMSG the tag is wrong: forged, another key or
 * another cluster.
 */
int tlckpt_stamp_read(struct tlckpt_stamp *stamp, const u8 wire[TLCKPT_STAMP_LEN],
		      const struct tlckpt_cluster *cluster);

TLCKPT_END_DECLS

#endif /* TLCKPT_STAMP_H */
