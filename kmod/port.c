// SPDX-License-Identifier: GPL-2.0-only
/*
 * Ports: interfaces that lead to guests of this node. A hook on their egress holds
 * what goes to the guests while the intake is closed (R4). netback's vifs are
 * recognised by their driver and come and go by themselves.
 */
#include <linux/device.h>
#include <linux/netfilter_netdev.h>
#include <linux/rtnetlink.h>
#include <linux/slab.h>

#include "tlckpt_priv.h"
#include "trace.h"

/* Past every egress hook, to the driver. */
void tlckpt_xmit_again(struct sk_buff *skb)
{
	nf_skip_egress(skb, true);
	dev_queue_xmit(skb);
}

static void port_deliver(struct tlckpt_hold *hold, struct sk_buff *skb)
{
	tlckpt_xmit_again(skb);
}

/* Not delivered by the published view: under the lock, maybe held. */
static noinline unsigned int port_judge(struct tlckpt_port *port, struct sk_buff *skb)
{
	struct tlckpt_frame frame = {
		.flags = TLCKPT_FRAME_LOCAL,
		.bytes = skb->truesize,
	};
	struct sk_buff *own = skb;

	if (unlikely(skb_shared(skb))) {
		own = skb_clone(skb, GFP_ATOMIC);
		consume_skb(skb);
		if (!own) {
			stat_inc(port->stats, STAT_RX_ERRORS);
			return NF_STOLEN;
		}
	}
	/* Held long: it must pin neither the sender's grants nor its socket. */
	if (skb_orphan_frags_rx(own, GFP_ATOMIC)) {
		stat_inc(port->stats, STAT_RX_ERRORS);
		kfree_skb(own);
		return NF_STOLEN;
	}
	skb_orphan(own);
	skb_dst_force(own);
	switch (tlckpt_engine_frame(port->hold.tn, &port->hold, own, &frame)) {
	case TLCKPT_HOLD:
		stat_inc(port->stats, STAT_RX_HELD);
		return NF_STOLEN;
	case TLCKPT_DELIVER:
		if (own == skb)
			return NF_ACCEPT;
		tlckpt_xmit_again(own);
		return NF_STOLEN;
	default:
		trace_tlckpt_inspect(port->dev, &frame, TLCKPT_DROP_FULL);
		stat_inc(port->stats, STAT_DROP_FULL);
		kfree_skb(own);
		return NF_STOLEN;
	}
}

static unsigned int port_tx(void *priv, struct sk_buff *skb, const struct nf_hook_state *state)
{
	struct tlckpt_port *port = priv;
	const struct tlckpt_pub *pub = rcu_dereference(port->hold.tn->pub);

	if (likely(!pub || (pub->view.intake_open && !tlckpt_hold_busy(&port->hold, skb))))
		return NF_ACCEPT;
	return port_judge(port, skb);
}

/**
 * tlckpt_port_is_vif() - is this netback's interface of a guest
 * @dev: device
 */
bool tlckpt_port_is_vif(const struct net_device *dev)
{
	const struct device *parent = dev->dev.parent;

	return parent && parent->bus && parent->driver &&
	       !strcmp(parent->bus->name, "xen-backend") && !strcmp(parent->driver->name, "vif");
}

struct tlckpt_port *tlckpt_port_find(struct tlckpt_net *tn, int ifindex)
{
	struct tlckpt_port *port;

	ASSERT_RTNL();
	list_for_each_entry(port, &tn->ports, list)
		if (port->dev->ifindex == ifindex)
			return port;
	return NULL;
}

/**
 * tlckpt_port_add() - a guest's interface is there
 * @tn:        node, or not yet one
 * @dev:       interface
 * @automatic: it is netback's
 * @extack:    why not; may be NULL
 *
 * RTNL. Return: 0, -EEXIST, -EBUSY: it is a link, -ENOMEM.
 */
int tlckpt_port_add(struct tlckpt_net *tn, struct net_device *dev, bool automatic,
		    struct netlink_ext_ack *extack)
{
	struct tlckpt_port *port;
	int err = -ENOMEM;

	if (tlckpt_port_find(tn, dev->ifindex)) {
		NL_SET_ERR_MSG(extack, "the interface is a port already");
		return -EEXIST;
	}
	if (tlckpt_link_find(tn, dev->ifindex)) {
		NL_SET_ERR_MSG(extack, "the interface is a link, it can't be a port");
		return -EBUSY;
	}
	port = kzalloc(sizeof(*port), GFP_KERNEL);
	if (!port)
		return -ENOMEM;
	port->dev = dev;
	port->automatic = automatic;
	port->stats = alloc_percpu(struct tlckpt_stats);
	if (!port->stats)
		goto free_port;
	tlckpt_hold_init(&port->hold, tn, dev, port->stats, port_deliver);
	port->ops = (struct nf_hook_ops){
		.hook = port_tx,
		.dev = dev,
		.priv = port,
		.pf = NFPROTO_NETDEV,
		.hooknum = NF_NETDEV_EGRESS,
		.priority = INT_MAX,
	};
	err = nf_register_net_hook(tn->net, &port->ops);
	if (err)
		goto destroy_hold;
	netdev_hold(dev, &port->tracker, GFP_KERNEL);
	list_add_tail(&port->list, &tn->ports);
	return 0;

destroy_hold:
	tlckpt_hold_destroy(&port->hold);
	free_percpu(port->stats);
free_port:
	kfree(port);
	return err;
}

/**
 * tlckpt_port_del() - a guest's interface goes, what it held is lost
 * @tn:   node
 * @port: freed
 *
 * RTNL, may sleep.
 */
void tlckpt_port_del(struct tlckpt_net *tn, struct tlckpt_port *port)
{
	ASSERT_RTNL();
	list_del(&port->list);
	nf_unregister_net_hook(tn->net, &port->ops);
	/* Unregistering does not wait for hooks that run. */
	synchronize_net();
	tlckpt_hold_destroy(&port->hold);
	netdev_put(port->dev, &port->tracker);
	free_percpu(port->stats);
	kfree(port);
}
