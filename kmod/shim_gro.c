// SPDX-License-Identifier: GPL-2.0-only
/*
 * GRO and GSO of shimmed frames: frames with the same stamp are aggregated, so a
 * guest gets as few and as large ones as without the shim. gso_segment is needed
 * as soon as gro_receive is there: a bridge may forward the aggregate.
 *
 * Behind the EtherType follow stamp, pad and the original EtherType: SHIM_LEN
 * octets too, of which the last two name the next protocol.
 */
#include <linux/netdevice.h>
#include <net/gro.h>

#include "compat.h"
#include "shim.h"
#include "tlckpt_priv.h"

static __be16 next_proto(const void *body)
{
	return *(const __be16 *)(body + SHIM_LEN - 2);
}

static struct sk_buff *shim_gro_receive(struct list_head *head, struct sk_buff *skb)
{
	unsigned int offset = skb_gro_offset(skb);
	void *body = skb_gro_header(skb, offset + SHIM_LEN, offset);
	const struct packet_offload *next;
	struct sk_buff *merged = NULL, *p;
	int flush = 1;

	if (unlikely(!body))
		goto out;
	next = gro_find_receive_by_type(next_proto(body));
	if (!next)
		goto out;
	flush = 0;
	list_for_each_entry(p, head, list)
		if (NAPI_GRO_CB(p)->same_flow && memcmp(body, p->data + offset, SHIM_LEN))
			NAPI_GRO_CB(p)->same_flow = 0;
	skb_gro_pull(skb, SHIM_LEN);
	skb_gro_postpull_rcsum(skb, body, SHIM_LEN);
	merged = next->callbacks.gro_receive(head, skb);
out:
	skb_gro_flush_final(skb, merged, flush);
	return merged;
}

static int shim_gro_complete(struct sk_buff *skb, int offset)
{
	const struct packet_offload *next =
		gro_find_complete_by_type(next_proto(skb->data + offset));
	int err = next ? next->callbacks.gro_complete(skb, offset + SHIM_LEN) : -ENOENT;

	if (!err)
		skb_shinfo(skb)->gso_type |= SHIM_GSO;
	return err;
}

static struct sk_buff *shim_gso_segment(struct sk_buff *skb, netdev_features_t features)
{
	const u16 mac_offset = skb->mac_header, mac_len = skb->mac_len;
	const __be16 proto = skb->protocol; /* 802.1Q, if the tag is not beside the frame */
	struct sk_buff *segments, *segment;

	if (unlikely(!pskb_may_pull(skb, SHIM_LEN)))
		return ERR_PTR(-EINVAL);
	skb->protocol = next_proto(skb->data);
	__skb_pull(skb, SHIM_LEN);
	skb_reset_mac_header(skb);
	skb->mac_len = 0;
	segments = skb_mac_gso_segment(skb, features & (NETIF_F_SG | NETIF_F_HW_CSUM));
	if (IS_ERR_OR_NULL(segments)) {
		skb_gso_error_unwind(skb, proto, SHIM_LEN, mac_offset, mac_len);
		return segments;
	}
	for (segment = segments; segment; segment = segment->next) {
		segment->protocol = proto;
		__skb_push(segment, SHIM_LEN + mac_len);
		skb_reset_mac_header(segment);
		skb_set_network_header(segment, mac_len);
		segment->mac_len = mac_len;
	}
	return segments;
}

static struct packet_offload shim_offload __read_mostly = {
	.type = cpu_to_be16(TLCKPT_ETHERTYPE),
	.priority = 15,
	.callbacks = {
		.gso_segment = shim_gso_segment,
		.gro_receive = shim_gro_receive,
		.gro_complete = shim_gro_complete,
	},
};

void tlckpt_shim_offload_add(void)
{
	dev_add_offload(&shim_offload);
}

/* Waits for those who use it. */
void tlckpt_shim_offload_remove(void)
{
	dev_remove_offload(&shim_offload);
}
