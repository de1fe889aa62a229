// SPDX-License-Identifier: GPL-2.0-only
/*
 * Hold queues (R3, R4, R5, R8): FIFOs of each device, its senders dealt among them.
 *
 *   frame, queue OPEN ---- the view delivers it ----> goes on, no lock
 *        |
 *        +-- held --> HOLD: whatever comes after it waits behind it
 *                      |  captured rises, intake opens: tlckpt_hold_release_all()
 *                      v
 *                    DRAIN: the work judges again and delivers, oldest first
 *                      |  empty: OPEN        head is still held: HOLD
 *
 * The work runs on the CPU that the last frame came to: frames that go on through
 * that CPU's backlog are not overtaken by the first ones after OPEN.
 */
#include <linux/hash.h>

#include "tlckpt_priv.h"
#include "trace.h"

/* Delivered at a time: released bursts are lost further on if they are long. */
#define RELEASE_BATCH 64

#define for_each_queue(q, hold) \
	for ((q) = (hold)->queues; (q) < (hold)->queues + ARRAY_SIZE((hold)->queues); (q)++)

static void hold_drain(struct work_struct *work);

/* The queue of a frame's sender; the frame is at ingress or egress of a device. */
static const struct tlckpt_queue *queue_of(const struct tlckpt_hold *hold, const struct sk_buff *skb)
{
	const struct ethhdr *eth = eth_hdr(skb);

	if (unlikely((u8 *)(eth + 1) > skb_tail_pointer(skb)))
		return hold->queues;
	return hold->queues + hash_64(ether_addr_to_u64(eth->h_source), TLCKPT_QUEUE_BITS);
}

static void set_state(struct tlckpt_queue *q, enum tlckpt_queue_state state)
{
	struct tlckpt_hold *hold = q->hold;

	lockdep_assert_held(&hold->tn->lock);
	WRITE_ONCE(hold->busy, hold->busy + (state != QUEUE_OPEN) - (q->state != QUEUE_OPEN));
	WRITE_ONCE(q->state, state);
}

void tlckpt_hold_init(struct tlckpt_hold *hold, struct tlckpt_net *tn, struct net_device *dev,
		      struct tlckpt_stats __percpu *stats,
		      void (*deliver)(struct tlckpt_hold *, struct sk_buff *))
{
	struct tlckpt_queue *q;

	hold->tn = tn;
	hold->dev = dev;
	hold->stats = stats;
	hold->deliver = deliver;
	for_each_queue(q, hold) {
		__skb_queue_head_init(&q->frames);
		q->state = QUEUE_OPEN;
		q->hold = hold;
		INIT_WORK(&q->work, hold_drain);
	}
	spin_lock_bh(&tn->lock);
	list_add_tail(&hold->list, &tn->holds);
	spin_unlock_bh(&tn->lock);
}

/**
 * tlckpt_hold_destroy() - the device goes: its held frames are lost
 * @hold: no hook of the device runs any more
 *
 * May sleep.
 */
void tlckpt_hold_destroy(struct tlckpt_hold *hold)
{
	struct tlckpt_net *tn = hold->tn;
	struct sk_buff_head gone;
	struct tlckpt_queue *q;
	u64 bytes = 0;
	struct sk_buff *skb;

	__skb_queue_head_init(&gone);
	spin_lock_bh(&tn->lock);
	list_del(&hold->list);
	for_each_queue(q, hold) {
		skb_queue_walk(&q->frames, skb)
			bytes += tlckpt_held(skb)->frame.bytes;
		skb_queue_splice_tail_init(&q->frames, &gone);
	}
	tlckpt_engine_discard(tn, skb_queue_len(&gone), bytes);
	spin_unlock_bh(&tn->lock);
	for_each_queue(q, hold)
		cancel_work_sync(&q->work);
	if (!skb_queue_empty(&gone))
		netdev_info(hold->dev, "tlckpt: gone with %u held frames\n", skb_queue_len(&gone));
	__skb_queue_purge(&gone);
}

/**
 * tlckpt_hold_behind() - is the queue of this frame's sender not open
 * @hold: hold queues
 * @skb:  frame
 *
 * For tlckpt_hold_busy().
 */
bool tlckpt_hold_behind(const struct tlckpt_hold *hold, const struct sk_buff *skb)
{
	return READ_ONCE(queue_of(hold, skb)->state) != QUEUE_OPEN;
}

/**
 * tlckpt_hold_enqueue() - keep a frame
 * @hold: hold queues; tn->lock is held
 * @skb:  with tlckpt_held() filled
 */
void tlckpt_hold_enqueue(struct tlckpt_hold *hold, struct sk_buff *skb)
{
	struct tlckpt_queue *q = (struct tlckpt_queue *)queue_of(hold, skb);

	__skb_queue_tail(&q->frames, skb);
	q->cpu = smp_processor_id();
	if (q->state == QUEUE_OPEN)
		set_state(q, QUEUE_HOLD);
}

/* Takes what is due off the queue; returns how many were looked at. */
static unsigned int take_due(struct tlckpt_queue *q, struct sk_buff_head *due,
			     struct sk_buff_head *drop)
{
	struct tlckpt_net *tn = q->hold->tn;
	struct tlckpt_update u;
	struct sk_buff *skb;
	unsigned int n = 0;

	while (n < RELEASE_BATCH && (skb = skb_peek(&q->frames))) {
		struct tlckpt_frame *frame = &tlckpt_held(skb)->frame;
		const struct tlckpt_event ev = { .type = TLCKPT_EV_FRAME, .frame = frame };

		frame->flags = (frame->flags & ~TLCKPT_FRAME_BEHIND) | TLCKPT_FRAME_HELD;
		if (!rcu_access_pointer(tn->pub) || tlckpt_proto_step(&tn->proto, &ev, &u))
			u.verdict = TLCKPT_DROP_OWNERLESS;
		if (u.verdict == TLCKPT_HOLD)
			break;
		__skb_unlink(skb, &q->frames);
		n++;
		trace_tlckpt_release(q->hold->dev, frame, u.verdict);
		if (u.verdict > TLCKPT_HOLD) {
			__skb_queue_tail(drop, skb);
			continue;
		}
		if (u.todo & TLCKPT_DO_LOG)
			tlckpt_log_add(tn, q->hold->dev, skb, frame, &u.log);
		__skb_queue_tail(due, skb);
	}
	return n;
}

static void hold_drain(struct work_struct *work)
{
	struct tlckpt_queue *q = container_of(work, struct tlckpt_queue, work);
	struct tlckpt_hold *hold = q->hold;
	struct tlckpt_net *tn = hold->tn;
	struct sk_buff_head due, drop;
	struct sk_buff *skb;
	unsigned int n;

	__skb_queue_head_init(&due);
	__skb_queue_head_init(&drop);
	do {
		spin_lock_bh(&tn->lock);
		n = take_due(q, &due, &drop);
		if (!n)
			set_state(q, skb_queue_empty(&q->frames) ? QUEUE_OPEN : QUEUE_HOLD);
		spin_unlock_bh(&tn->lock);
		local_bh_disable();
		while ((skb = __skb_dequeue(&due))) {
			stat_inc(hold->stats, STAT_RX_RELEASED);
			memset(skb->cb, 0, sizeof(skb->cb));
			hold->deliver(hold, skb);
		}
		local_bh_enable();
		stat_add(hold->stats, STAT_DROP_OWNERLESS, skb_queue_len(&drop));
		__skb_queue_purge(&drop);
		cond_resched();
	} while (n);
}

/**
 * tlckpt_hold_release_all() - held frames are judged again
 * @tn: node, tn->lock held
 */
void tlckpt_hold_release_all(struct tlckpt_net *tn)
{
	struct tlckpt_hold *hold;
	struct tlckpt_queue *q;

	lockdep_assert_held(&tn->lock);
	list_for_each_entry(hold, &tn->holds, list)
		for_each_queue(q, hold) {
			if (q->state == QUEUE_OPEN)
				continue;
			set_state(q, QUEUE_DRAIN);
			queue_work_on(q->cpu, system_highpri_wq, &q->work);
		}
}

/**
 * tlckpt_hold_log_all() - at the cut: what is held belongs to com (R12)
 * @tn: node, tn->lock held, the view is that after the cut
 */
void tlckpt_hold_log_all(struct tlckpt_net *tn)
{
	struct tlckpt_range range;
	struct tlckpt_hold *hold;
	struct tlckpt_queue *q;
	struct sk_buff *skb;

	lockdep_assert_held(&tn->lock);
	list_for_each_entry(hold, &tn->holds, list)
		for_each_queue(q, hold)
			skb_queue_walk(&q->frames, skb) {
				struct tlckpt_frame *frame = &tlckpt_held(skb)->frame;

				if (tlckpt_view_log(&tn->proto.view, frame, TLCKPT_AT_CUT, &range))
					tlckpt_log_add(tn, hold->dev, skb, frame, &range);
			}
}

/**
 * tlckpt_hold_purge_undone() - after a rollback: what the line undid is dropped
 * @tn: node, tn->lock held
 * @k:  line
 */
void tlckpt_hold_purge_undone(struct tlckpt_net *tn, u64 k)
{
	struct sk_buff *skb, *next;
	struct tlckpt_hold *hold;
	struct tlckpt_queue *q;
	u64 bytes = 0;
	u32 n = 0;

	lockdep_assert_held(&tn->lock);
	list_for_each_entry(hold, &tn->holds, list)
		for_each_queue(q, hold)
			skb_queue_walk_safe(&q->frames, skb, next) {
				struct tlckpt_frame *frame = &tlckpt_held(skb)->frame;

				if (!tlckpt_frame_undone(&tn->proto.view, frame, k))
					continue;
				__skb_unlink(skb, &q->frames);
				bytes += frame->bytes;
				n++;
				stat_inc(hold->stats, STAT_DROP_GHOST);
				kfree_skb(skb);
			}
	tlckpt_engine_discard(tn, n, bytes);
}

u32 tlckpt_hold_count(const struct tlckpt_hold *hold)
{
	const struct tlckpt_queue *q;
	u32 n = 0;

	for_each_queue(q, hold)
		n += skb_queue_len_lockless(&q->frames);
	return n;
}
