// SPDX-License-Identifier: GPL-2.0-only
/* The nodes that were heard: newest stamp, and counters. */
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
 * tlckpt_peers_free() - the node goes
 * @tn: node; its links, which know them, are gone
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
