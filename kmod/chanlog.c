// SPDX-License-Identifier: GPL-2.0-only
/*
 * The channel log: copies of frames that are in transit relative to a checkpoint
 * (R12), until the daemon has made them part of com and forgets them here.
 * Bounded in bytes; what the bound keeps out is counted: to the guests it is
 * packet loss after a rollback.
 */
#include <linux/slab.h>

#include "tlckpt_priv.h"
#include "trace.h"

/**
 * tlckpt_log_add() - a copy of a frame for the indexes in @range
 * @tn:    node, tn->lock held
 * @dev:   where the frame is
 * @skb:   the frame: at a link, data behind the link-layer header; at a port, at it
 * @frame: its stamp; ->logged is set if it was logged
 * @range: indexes
 */
void tlckpt_log_add(struct tlckpt_net *tn, const struct net_device *dev, struct sk_buff *skb,
		    struct tlckpt_frame *frame, const struct tlckpt_range *range)
{
	struct tlckpt_log_entry *entry;
	unsigned int size = skb->truesize + sizeof(*entry);

	lockdep_assert_held(&tn->lock);
	if (tn->log_bytes + size > tn->log_max)
		goto lost;
	entry = kmalloc(sizeof(*entry), GFP_ATOMIC | __GFP_NOWARN);
	if (!entry)
		goto lost;
	entry->skb = skb_clone(skb, GFP_ATOMIC);
	if (!entry->skb) {
		kfree(entry);
		goto lost;
	}
	if (!(frame->flags & TLCKPT_FRAME_LOCAL))
		__skb_push(entry->skb, ETH_HLEN);
	/* The clone must pin neither a socket nor a device's route. */
	skb_dst_drop(entry->skb);
	entry->skb->dev = NULL;
	entry->range = *range;
	entry->frame = *frame;
	entry->ifindex = dev->ifindex;
	list_add_tail(&entry->list, &tn->log);
	tn->log_bytes += size;
	tn->log_frames++;
	frame->logged = range->to;
	trace_tlckpt_log(dev, frame, range);
	return;
lost:
	tn->log_lost++;
}

/**
 * tlckpt_log_forget() - drop what is logged only for indexes up to @sn
 * @tn: node, tn->lock held
 * @sn: newest index whose com part is durable or given up
 */
void tlckpt_log_forget(struct tlckpt_net *tn, u64 sn)
{
	struct tlckpt_log_entry *entry, *next;

	lockdep_assert_held(&tn->lock);
	list_for_each_entry_safe(entry, next, &tn->log, list) {
		if (entry->range.to > sn)
			continue;
		list_del(&entry->list);
		tn->log_bytes -= entry->skb->truesize + sizeof(*entry);
		tn->log_frames--;
		kfree_skb(entry->skb);
		kfree(entry);
	}
}
