// SPDX-License-Identifier: GPL-2.0-only
/*
 * Carrier A: a shim header with an EtherType of its own between the addresses
 * (and VLAN tags) and the original EtherType. 28 octets, so that the IP header
 * keeps its alignment:
 *
 *   dst 6 | src 6 | [802.1Q] | 88b5 | stamp 24 | pad 2 | original EtherType | ...
 */
#include <linux/etherdevice.h>
#include <linux/if_vlan.h>
#include <linux/netfilter_netdev.h>

#include "compat.h"
#include "shim.h"
#include "tlckpt_priv.h"
#include "trace.h"

static int shim_push(struct sk_buff *skb, const u8 *wire)
{
	struct tlckpt_shim *shim;

	if (skb_cow_head(skb, SHIM_LEN))
		return -ENOMEM;
	__skb_push(skb, SHIM_LEN);
	memcpy(skb->data, skb->data + SHIM_LEN, 2 * ETH_ALEN); /* further than they are long */
	skb_reset_mac_header(skb);
	skb_set_network_header(skb, ETH_HLEN);
	skb_reset_mac_len(skb);
	shim = (struct tlckpt_shim *)(skb->data + 2 * ETH_ALEN);
	shim->proto = htons(TLCKPT_ETHERTYPE);
	memcpy(shim->stamp, wire, TLCKPT_STAMP_LEN);
	shim->pad = 0;
	skb->protocol = htons(TLCKPT_ETHERTYPE);
	return 0;
}

/* The bridge has checked the length without the shim; nobody does after us. */
static bool too_long(const struct tlckpt_link *link, const struct sk_buff *skb)
{
	const unsigned int room = READ_ONCE(link->dev->mtu) + ETH_HLEN + VLAN_HLEN - SHIM_LEN;

	return skb->len > room && !(skb_is_gso(skb) && skb_gso_validate_mac_len(skb, room));
}

/*
 * A super-packet is stamped once; each frame that it is cut into has the stamp. The
 * mark may be seen by the sender's TCP, which writes the type anew for each
 * transmission. One that is marked already has a shim: no guest's frame has.
 */
static int mark_super(struct tlckpt_link *link, struct sk_buff *skb)
{
	if (skb_cow_head(skb, SHIM_LEN))
		return -ENOMEM;
	if (skb_shinfo(skb)->gso_type & SHIM_GSO)
		return -EOPNOTSUPP;
	skb_shinfo(skb)->gso_type |= SHIM_GSO;
	stat_add(link->stats, STAT_TX_SEGMENTS, max_t(u16, skb_shinfo(skb)->gso_segs, 1));
	return 0;
}

static unsigned int shim_stamp(struct tlckpt_link *link, struct sk_buff *skb,
			       const struct tlckpt_pub *pub)
{
	const unsigned int len = skb->len;

	if (too_long(link, skb) || (skb_is_gso(skb) && mark_super(link, skb)) ||
	    shim_push(skb, pub->wire)) {
		stat_inc(link->stats, STAT_TX_ERRORS);
		return NF_DROP;
	}
	stat_inc(link->stats, STAT_TX_STAMPED);
	trace_tlckpt_stamp(link->dev, pub->view.captured, len,
			   skb_is_gso(skb) ? skb_shinfo(skb)->gso_segs : 1);
	return NF_ACCEPT;
}

static const u8 *shim_peek(struct sk_buff *skb)
{
	if (skb->protocol != htons(TLCKPT_ETHERTYPE))
		return NULL;
	if (unlikely(!pskb_may_pull(skb, SHIM_LEN)))
		return ERR_PTR(-EINVAL);
	/* data is behind the EtherType */
	return tlckpt_shim_find(skb->data, SHIM_LEN) ?: ERR_PTR(-EINVAL);
}

static struct sk_buff *shim_strip(struct sk_buff *skb)
{
	const void *shim;
	__be16 proto;

	/* A clone, as when tcpdump listens, shares its data. */
	if (unlikely(skb_cow(skb, skb_headroom(skb)))) {
		kfree_skb(skb);
		return NULL;
	}
	shim = skb->data;
	__skb_pull(skb, SHIM_LEN);
	skb_postpull_rcsum(skb, shim, SHIM_LEN); /* looks at what is left */
	memcpy(skb_mac_header(skb) + SHIM_LEN, skb_mac_header(skb), 2 * ETH_ALEN);
	skb->mac_header += SHIM_LEN;
	proto = *(__be16 *)(skb->data - 2);
	skb->protocol = eth_proto_is_802_3(proto) ? proto : htons(ETH_P_802_2);
	skb_reset_network_header(skb);
	if (skb_is_gso(skb))
		skb_shinfo(skb)->gso_type &= ~SHIM_GSO;
	else
		skb_reset_transport_header(skb);
	skb_reset_mac_len(skb);
	if (eth_type_vlan(skb->protocol) && !skb_vlan_tag_present(skb))
		skb = skb_vlan_untag(skb); /* frees it and returns NULL on failure */
	return skb;
}

/* Room for the shim in front, where devices ask for it: else each frame is copied. */
static int shim_attach(struct tlckpt_link *link, struct netlink_ext_ack *extack)
{
	link->headroom = SHIM_LEN;
	link->dev->needed_headroom += SHIM_LEN;
	return 0;
}

static void shim_detach(struct tlckpt_link *link)
{
	link->dev->needed_headroom -= link->headroom;
}

const struct tlckpt_carrier_ops tlckpt_shim_ops = {
	.name = "shim",
	.overhead = SHIM_LEN,
	.attach = shim_attach,
	.detach = shim_detach,
	.stamp = shim_stamp,
	.peek = shim_peek,
	.strip = shim_strip,
};
