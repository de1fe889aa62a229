// SPDX-License-Identifier: GPL-2.0-only
/*
 * The channel log: copies of frames that are in transit relative to a checkpoint
 * (R12), until the daemon has made them part of com and forgets them here.
 * Bounded in bytes; what the bound keeps out is counted: to the guests it is
 * packet loss after a rollback.
 *
 * A logged frame is whole by itself, as on a wire: a super-packet is cut, its VLAN
 * tag is in it, its checksums are finished. It is given back to other guests, by
 * another kernel maybe, so nothing may depend on what stands beside an skb.
 */
#include <linux/if_vlan.h>
#include <linux/slab.h>

#include "compat.h"
#include "tlckpt_priv.h"
#include "trace.h"

/* What fits a netlink attribute beside the others of its message. */
#define LOG_MAX_FRAME 65000

/* Copies of @skb, a list, data at their link-layer headers; NULL for want of memory. */
static struct sk_buff *whole_frames(struct sk_buff *skb, bool local)
{
	struct sk_buff *copy = skb_clone(skb, GFP_ATOMIC), *list;

	if (!copy)
		return NULL;
	if (!local)
		__skb_push(copy, ETH_HLEN);
	/* It must pin neither a socket nor a route. */
	skb_dst_drop(copy);
	copy->dev = NULL;
	if (skb_vlan_tag_present(copy))
		copy = __vlan_hwaccel_push_inside(copy); /* frees it on failure */
	if (!copy)
		return NULL;
	if (skb_is_gso(copy)) {
		/* Which checksum states are an error depends on the direction: neither here. */
		list = __skb_gso_segment(copy, 0, copy->ip_summed == CHECKSUM_NONE);
		kfree_skb(copy);
		return IS_ERR(list) ? NULL : list;
	}
	skb_mark_not_on_list(copy);
	if (copy->ip_summed == CHECKSUM_PARTIAL && skb_checksum_help(copy)) {
		kfree_skb(copy);
		return NULL;
	}
	return copy;
}

/* One whole frame; @copy is consumed. */
static bool log_one(struct tlckpt_net *tn, const struct net_device *dev, struct sk_buff *copy,
		    const struct tlckpt_frame *frame, const struct tlckpt_range *range)
{
	const unsigned int size = copy->truesize + sizeof(struct tlckpt_log_entry);
	struct tlckpt_log_entry *entry;

	if (tn->log_bytes + size > tn->log_max || copy->len > LOG_MAX_FRAME)
		goto lost;
	entry = kmalloc(sizeof(*entry), GFP_ATOMIC | __GFP_NOWARN);
	if (!entry)
		goto lost;
	entry->skb = copy;
	entry->range = *range;
	entry->frame = *frame;
	entry->ifindex = dev->ifindex;
	list_add_tail(&entry->list, &tn->log);
	tn->log_bytes += size;
	tn->log_frames++;
	return true;
lost:
	kfree_skb(copy);
	tn->log_lost++;
	return false;
}

/**
 * tlckpt_log_add() - a copy of a frame for the indexes in @range
 * @tn:    node, tn->lock held
 * @dev:   where the frame is
 * @skb:   the frame: at a link, data behind the link-layer header; at a port, at it
 * @frame: its stamp; ->logged is set if all of it was logged
 * @range: indexes
 */
void tlckpt_log_add(struct tlckpt_net *tn, const struct net_device *dev, struct sk_buff *skb,
		    struct tlckpt_frame *frame, const struct tlckpt_range *range)
{
	struct sk_buff *list, *copy, *next;
	bool all = true;

	lockdep_assert_held(&tn->lock);
	/* Full: not worth the work. */
	list = tn->log_bytes < tn->log_max
		       ? whole_frames(skb, frame->flags & TLCKPT_FRAME_LOCAL)
		       : NULL;
	if (!list) {
		tn->log_lost++;
		return;
	}
	skb_list_walk_safe(list, copy, next) {
		skb_mark_not_on_list(copy);
		all &= log_one(tn, dev, copy, frame, range);
	}
	if (!all)
		return;
	frame->logged = range->to;
	trace_tlckpt_log(dev, frame, range);
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
