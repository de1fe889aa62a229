// SPDX-License-Identifier: GPL-2.0-only
/*
 * Links: interfaces that lead to other nodes. Frames get their stamp on the way
 * out (R1) and are judged on the way in (R3, R5, R8, R11, R16).
 */
#include <linux/etherdevice.h>
#include <linux/netfilter_netdev.h>
#include <linux/rtnetlink.h>
#include <linux/slab.h>

#include "tlckpt_priv.h"
#include "trace.h"

static const struct tlckpt_carrier_ops *const carriers[] = {
	[TLCKPT_CARRIER_SHIM] = &tlckpt_shim_ops,
	[TLCKPT_CARRIER_GENEVE] = &tlckpt_geneve_ops,
};

static const u8 drop_stat[TLCKPT_NR_VERDICTS] = {
	[TLCKPT_DROP_PLAIN] = STAT_DROP_PLAIN,
	[TLCKPT_DROP_OWN] = STAT_DROP_OWN,
	[TLCKPT_DROP_GHOST] = STAT_DROP_GHOST,
	[TLCKPT_DROP_JUMP] = STAT_DROP_JUMP,
	[TLCKPT_DROP_FULL] = STAT_DROP_FULL,
	[TLCKPT_DROP_OWNERLESS] = STAT_DROP_OWNERLESS,
};

static noinline bool is_listed(struct tlckpt_net *tn, const struct ethhdr *eth)
{
	return xa_load(&tn->exempt, tlckpt_exempt_key(eth->h_source)) ||
	       xa_load(&tn->exempt, tlckpt_exempt_key(eth->h_dest));
}

/* Rule R16: Dom0's own addresses, and what never leaves a wire (802.1Q 8.6.3). */
static inline bool is_exempt(struct tlckpt_net *tn, const struct ethhdr *eth)
{
	return unlikely(is_link_local_ether_addr(eth->h_dest)) ||
	       (READ_ONCE(tn->nr_exempt) && is_listed(tn, eth));
}

static unsigned int link_tx(void *priv, struct sk_buff *skb, const struct nf_hook_state *state)
{
	struct tlckpt_link *link = priv;
	const struct tlckpt_pub *pub = rcu_dereference(link->tn->pub);
	struct sk_buff *own;
	unsigned int verdict;

	if (!pub)
		return NF_ACCEPT;
	if (unlikely(!pskb_may_pull(skb, ETH_HLEN)))
		return NF_DROP;
	if (is_exempt(link->tn, (struct ethhdr *)skb->data)) {
		stat_inc(link->stats, STAT_TX_EXEMPT);
		return NF_ACCEPT;
	}
	if (likely(!skb_shared(skb)))
		return link->carrier->stamp(link, skb, pub);
	own = skb_clone(skb, GFP_ATOMIC);
	consume_skb(skb);
	if (!own) {
		stat_inc(link->stats, STAT_TX_ERRORS);
		return NF_STOLEN;
	}
	verdict = link->carrier->stamp(link, own, pub);
	if (verdict == NF_ACCEPT)
		tlckpt_xmit_again(own);
	else if (verdict == NF_DROP)
		kfree_skb(own);
	return NF_STOLEN;
}

/* Frames that are given back skip taps, tc and this hook once; survives RPS. */
void tlckpt_receive_again(struct tlckpt_hold *hold, struct sk_buff *skb)
{
	skb->tc_skip_classify = 1;
	netif_receive_skb(skb);
}

/* As memcmp() == 0, which would be a call. */
static bool same_stamp(const u8 *a, const u8 *b)
{
	static_assert(TLCKPT_STAMP_LEN == 3 * sizeof(u64));
	return !((get_unaligned((const u64 *)a) ^ get_unaligned((const u64 *)b)) |
		 (get_unaligned((const u64 *)a + 1) ^ get_unaligned((const u64 *)b + 1)) |
		 (get_unaligned((const u64 *)a + 2) ^ get_unaligned((const u64 *)b + 2)));
}

/* What this CPU knows of a stamp; NULL: it is none. */
static struct tlckpt_known *link_known(struct tlckpt_link *link, const struct tlckpt_pub *pub,
				       const u8 *wire)
{
	struct tlckpt_known *known =
		this_cpu_ptr(link->known) + tlckpt_stamp_peer(wire) % TLCKPT_NR_KNOWN;

	if (likely(known->serial == pub->serial && same_stamp(known->wire, wire)))
		return known;
	return tlckpt_known_learn(known, link->tn, pub, wire);
}

static void count(struct tlckpt_link *link, struct tlckpt_peer *peer, int stat)
{
	stat_inc(link->stats, stat);
	if (peer)
		this_cpu_inc(peer->cpu->stats.count[stat]);
}

/* The frame is stripped and goes on: on its own way if it is still the same skb. */
static unsigned int link_accept(struct tlckpt_link *link, struct sk_buff *skb,
				const struct sk_buff *came)
{
	if (skb == came)
		return NF_ACCEPT;
	tlckpt_receive_again(&link->hold, skb);
	return NF_STOLEN;
}

/* Not delivered by the published view: under the lock, maybe held. Consumes @skb. */
static noinline void link_judge(struct tlckpt_link *link, struct sk_buff *skb,
				const struct tlckpt_known *known)
{
	struct tlckpt_frame frame = known->frame;
	struct tlckpt_peer *peer = known->peer;
	enum tlckpt_verdict verdict;

	/* Held long: it must pin neither grants nor a socket. */
	if (skb_orphan_frags_rx(skb, GFP_ATOMIC)) {
		count(link, peer, STAT_RX_ERRORS);
		kfree_skb(skb);
		return;
	}
	skb_orphan(skb);
	skb_dst_force(skb);
	verdict = tlckpt_engine_frame(link->tn, &link->hold, skb, &frame);
	trace_tlckpt_inspect(link->dev, &frame, verdict);
	if (verdict == TLCKPT_HOLD) {
		count(link, peer, STAT_RX_HELD);
	} else if (verdict < TLCKPT_HOLD) {
		count(link, peer, STAT_RX_DELIVERED);
		if (frame.logged)
			count(link, peer, STAT_RX_LATE);
		tlckpt_receive_again(&link->hold, skb);
	} else {
		count(link, peer, drop_stat[verdict]);
		kfree_skb(skb);
	}
}

static __always_inline unsigned int link_pass(struct tlckpt_link *link, struct sk_buff *skb,
					      struct tlckpt_known *known, bool stamped)
{
	const struct sk_buff *came = skb;
	struct sk_buff *own;

	known->frame.bytes = skb->truesize;
	if (unlikely(known->verdict > TLCKPT_HOLD && known->verdict != TLCKPT_DROP_JUMP)) {
		trace_tlckpt_inspect(link->dev, &known->frame, known->verdict);
		count(link, known->peer, drop_stat[known->verdict]);
		return NF_DROP;
	}
	if (unlikely(skb_shared(skb))) {
		own = skb_clone(skb, GFP_ATOMIC);
		consume_skb(skb);
		skb = own;
		if (!skb)
			goto no_memory;
	}
	if (stamped) {
		skb = link->carrier->strip(skb);
		if (unlikely(!skb))
			goto no_memory;
	}
	if (likely(known->at_once && !tlckpt_hold_busy(&link->hold, skb))) {
		trace_tlckpt_inspect(link->dev, &known->frame, known->verdict);
		count(link, known->peer, stamped ? STAT_RX_DELIVERED : STAT_RX_PLAIN);
		return link_accept(link, skb, came);
	}
	link_judge(link, skb, known);
	return NF_STOLEN;

no_memory:
	count(link, known->peer, STAT_RX_ERRORS);
	return NF_STOLEN;
}

static noinline unsigned int link_plain(struct tlckpt_link *link, struct sk_buff *skb,
					const struct tlckpt_pub *pub)
{
	struct tlckpt_known plain = { .frame.peer = TLCKPT_NODE_NONE };

	if (is_exempt(link->tn, eth_hdr(skb))) {
		stat_inc(link->stats, STAT_RX_PLAIN);
		return NF_ACCEPT;
	}
	tlckpt_known_judge(&plain, &pub->view);
	return link_pass(link, skb, &plain, false);
}

/* @wire: what looked like a stamp, or an error. */
static noinline unsigned int link_forged(struct tlckpt_link *link, const u8 *wire)
{
	count(link, IS_ERR(wire) ? NULL : tlckpt_peer_get(link->tn, tlckpt_stamp_peer(wire), false),
	      STAT_DROP_FORGED);
	return NF_DROP;
}

static unsigned int link_rx(void *priv, struct sk_buff *skb, const struct nf_hook_state *state)
{
	struct tlckpt_link *link = priv;
	const struct tlckpt_pub *pub = rcu_dereference(link->tn->pub);
	struct tlckpt_known *known;
	const u8 *wire;

	if (!pub)
		return NF_ACCEPT;
	wire = link->carrier->peek(skb);
	if (IS_ERR_OR_NULL(wire))
		return wire ? link_forged(link, wire) : link_plain(link, skb, pub);
	known = link_known(link, pub, wire);
	if (unlikely(!known))
		return link_forged(link, wire);
	return link_pass(link, skb, known, true);
}

struct tlckpt_link *tlckpt_link_find(struct tlckpt_net *tn, int ifindex)
{
	struct tlckpt_link *link;

	ASSERT_RTNL();
	list_for_each_entry(link, &tn->links, list)
		if (link->dev->ifindex == ifindex)
			return link;
	return NULL;
}

/**
 * tlckpt_link_guest_mtu() - what guests behind this link may use
 * @link: link
 */
unsigned int tlckpt_link_guest_mtu(const struct tlckpt_link *link)
{
	return READ_ONCE(link->dev->mtu) - link->carrier->overhead;
}

/* The largest frames that may have to pass: of the ports, or Ethernet's usual. */
static unsigned int ports_mtu(const struct tlckpt_net *tn)
{
	const struct tlckpt_port *port;
	unsigned int mtu = 0;

	list_for_each_entry(port, &tn->ports, list)
		mtu = max(mtu, port->dev->mtu);
	return mtu ?: ETH_DATA_LEN;
}

static bool has_room(const struct tlckpt_link *link, unsigned int guests_mtu)
{
	const unsigned int needed = guests_mtu + link->carrier->overhead;

	if (link->dev->mtu >= needed)
		return true;
	netdev_warn(link->dev, "tlckpt: guests with an MTU of %u need %u at this link\n",
		    guests_mtu, needed);
	return false;
}

/**
 * tlckpt_link_check_mtu() - may @dev, if it is a link or a port, have its MTU
 * @dev: device
 *
 * RTNL. Return: 0, or -EMSGSIZE: stamped frames of the guests would not fit.
 */
int tlckpt_link_check_mtu(const struct net_device *dev)
{
	struct tlckpt_net *tn = tlckpt_net(dev_net(dev));
	const struct tlckpt_link *link = tlckpt_link_find(tn, dev->ifindex);

	if (link)
		return has_room(link, ports_mtu(tn)) ? 0 : -EMSGSIZE;
	if (tlckpt_port_find(tn, dev->ifindex))
		list_for_each_entry(link, &tn->links, list)
			if (!has_room(link, dev->mtu))
				return -EMSGSIZE;
	return 0;
}

static int link_check(struct tlckpt_net *tn, struct net_device *dev,
		      const struct tlckpt_link_config *config, struct netlink_ext_ack *extack)
{
	if (!rcu_access_pointer(tn->pub)) {
		NL_SET_ERR_MSG(extack, "set the node first: its id and key");
		return -ENOTCONN;
	}
	if (tlckpt_link_find(tn, dev->ifindex)) {
		NL_SET_ERR_MSG(extack, "the interface is a link already");
		return -EEXIST;
	}
	if (tlckpt_port_find(tn, dev->ifindex)) {
		NL_SET_ERR_MSG(extack, "the interface is a port, it can't be a link");
		return -EBUSY;
	}
	if (dev->type != ARPHRD_ETHER || dev->flags & IFF_LOOPBACK) {
		NL_SET_ERR_MSG(extack, "a link must be an Ethernet interface");
		return -EINVAL;
	}
	if (dev->mtu < ports_mtu(tn) + carriers[config->carrier]->overhead) {
		NL_SET_ERR_MSG(extack,
			       "the MTU has no room for the stamp: raise it by 28 above the guests' MTU");
		return -EMSGSIZE;
	}
	return 0;
}

static int link_hooks(struct tlckpt_link *link)
{
	link->ops[0] = (struct nf_hook_ops){
		.hook = link_rx,
		.dev = link->dev,
		.priv = link,
		.pf = NFPROTO_NETDEV,
		.hooknum = NF_NETDEV_INGRESS,
		.priority = INT_MAX,
	};
	link->ops[1] = (struct nf_hook_ops){
		.hook = link_tx,
		.dev = link->dev,
		.priv = link,
		.pf = NFPROTO_NETDEV,
		.hooknum = NF_NETDEV_EGRESS,
		.priority = INT_MAX,
	};
	return nf_register_net_hooks(link->tn->net, link->ops, 2);
}

static void link_free(struct tlckpt_link *link)
{
	free_percpu(link->known);
	free_percpu(link->stats);
	kfree(link);
}

/**
 * tlckpt_link_add() - an interface leads to other nodes from now on
 * @tn:     node
 * @dev:    interface
 * @config: how stamps travel there
 * @extack: why not
 *
 * RTNL. Return: 0; -ENOTCONN no node here; -EEXIST; -EBUSY it is a port; -EINVAL not
 * Ethernet, or not what the carrier needs; -EMSGSIZE its MTU; -ENOMEM.
 */
int tlckpt_link_add(struct tlckpt_net *tn, struct net_device *dev,
		    const struct tlckpt_link_config *config, struct netlink_ext_ack *extack)
{
	struct tlckpt_link *link;
	int err = link_check(tn, dev, config, extack);

	if (err)
		return err;
	link = kzalloc(sizeof(*link), GFP_KERNEL);
	if (!link)
		return -ENOMEM;
	link->tn = tn;
	link->dev = dev;
	link->config = *config;
	link->carrier = carriers[config->carrier];
	err = -ENOMEM;
	link->stats = alloc_percpu(struct tlckpt_stats);
	link->known = __alloc_percpu(TLCKPT_NR_KNOWN * sizeof(*link->known),
				     __alignof__(*link->known));
	if (!link->stats || !link->known)
		goto free_link;
	tlckpt_hold_init(&link->hold, tn, dev, link->stats, tlckpt_receive_again);
	err = link->carrier->attach ? link->carrier->attach(link, extack) : 0;
	if (err)
		goto destroy_hold;
	err = link_hooks(link);
	if (err)
		goto detach;
	netdev_hold(dev, &link->tracker, GFP_KERNEL);
	list_add_tail(&link->list, &tn->links);
	return 0;

detach:
	if (link->carrier->detach)
		link->carrier->detach(link);
destroy_hold:
	tlckpt_hold_destroy(&link->hold);
free_link:
	link_free(link);
	return err;
}

/**
 * tlckpt_link_del() - the interface is a link no more, what it held is lost
 * @tn:   node
 * @link: freed
 *
 * RTNL, may sleep.
 */
void tlckpt_link_del(struct tlckpt_net *tn, struct tlckpt_link *link)
{
	ASSERT_RTNL();
	list_del(&link->list);
	nf_unregister_net_hooks(tn->net, link->ops, 2);
	/* Unregistering does not wait for hooks that run. */
	synchronize_net();
	tlckpt_hold_destroy(&link->hold);
	if (link->carrier->detach)
		link->carrier->detach(link);
	netdev_put(link->dev, &link->tracker);
	link_free(link);
}
