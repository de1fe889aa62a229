// SPDX-License-Identifier: GPL-2.0-only
/* The nodes that were heard: last good stamp, so that it is verified once (R16), and counters. */
#include <linux/slab.h>

#include "tlckpt_priv.h"

static void peer_free_rcu(struct rcu_head *rcu)
{
	struct tlckpt_peer *peer = container_of(rcu, struct tlckpt_peer, rcu);

	free_percpu(peer->cpu);
	kfree(peer);
}

/**
 * tlckpt_peer_get() - the peer with this id
 * @tn:     node
 * @node:   id; its stamp was verified if @create
 * @create: make it if it is new
 *
 * BH off, under rcu_read_lock(). Return: NULL if there is none, or no memory.
 */
struct tlckpt_peer *tlckpt_peer_get(struct tlckpt_net *tn, u16 node, bool create)
{
	struct tlckpt_peer *peer = xa_load(&tn->peers, node), *other;

	if (peer || !create)
		return peer;
	peer = kzalloc(sizeof(*peer), GFP_ATOMIC | __GFP_NOWARN);
	if (!peer)
		return NULL;
	peer->node = node;
	peer->cpu = alloc_percpu_gfp(struct tlckpt_peer_cpu, GFP_ATOMIC | __GFP_NOWARN);
	if (!peer->cpu) {
		kfree(peer);
		return NULL;
	}
	other = xa_cmpxchg_bh(&tn->peers, node, NULL, peer, GFP_ATOMIC | __GFP_NOWARN);
	if (!other)
		return peer;
	free_percpu(peer->cpu);
	kfree(peer);
	return xa_is_err(other) ? NULL : other;
}

/**
 * tlckpt_peer_read() - read and verify the stamp of an arrived frame
 * @tn:    node
 * @pub:   published state
 * @wire:  the stamp, not trusted
 * @stamp: result
 * @peer:  its sender; may be NULL for want of memory
 *
 * BH off. Return: as tlckpt_stamp_read().
 */
int tlckpt_peer_read(struct tlckpt_net *tn, const struct tlckpt_pub *pub, const u8 *wire,
		     struct tlckpt_stamp *stamp, struct tlckpt_peer **peer)
{
	struct tlckpt_peer_cpu *cpu;
	int err;

	*peer = tlckpt_peer_get(tn, tlckpt_stamp_peer(wire), false);
	cpu = *peer ? this_cpu_ptr((*peer)->cpu) : NULL;
	err = tlckpt_stamp_read(stamp, wire, &pub->cluster, cpu ? &cpu->cache : NULL);
	if (err)
		return err;
	if (!*peer && stamp->node != pub->view.node)
		*peer = tlckpt_peer_get(tn, stamp->node, true);
	if (cpu)
		cpu->stamp = *stamp;
	return 0;
}

/**
 * tlckpt_peers_free() - the node's key changed or it goes
 * @tn: node
 */
void tlckpt_peers_free(struct tlckpt_net *tn)
{
	struct tlckpt_peer *peer;
	unsigned long node;

	xa_for_each(&tn->peers, node, peer) {
		xa_erase_bh(&tn->peers, node);
		call_rcu(&peer->rcu, peer_free_rcu);
	}
}
