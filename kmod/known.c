// SPDX-License-Identifier: GPL-2.0-only
/* Stamps that a CPU has verified and judged (R16): once for each published state. */
#include "tlckpt_priv.h"

/**
 * tlckpt_known_judge() - what becomes of frames that say this
 * @known: @frame is set; @verdict and @at_once are the result
 * @view:  published
 */
void tlckpt_known_judge(struct tlckpt_known *known, const struct tlckpt_view *view)
{
	struct tlckpt_range range;

	known->verdict = tlckpt_view_judge(view, &known->frame);
	/* The core must see an unprotected one: no later capture stands for its index (R8). */
	known->at_once = known->verdict < TLCKPT_DELIVER_UNPROTECTED &&
			 !tlckpt_view_log(view, &known->frame, TLCKPT_AT_DELIVERY, &range);
}

/**
 * tlckpt_known_learn() - verify and judge a stamp
 * @known: where to remember it
 * @tn:    node
 * @pub:   published state
 * @wire:  the stamp, not trusted
 *
 * BH off. Return: @known; NULL, and @known as it was: that is no stamp.
 */
struct tlckpt_known *tlckpt_known_learn(struct tlckpt_known *known, struct tlckpt_net *tn,
					const struct tlckpt_pub *pub, const u8 *wire)
{
	struct tlckpt_stamp stamp;

	if (tlckpt_stamp_read(&stamp, wire, &pub->cluster))
		return NULL;
	memcpy(known->wire, wire, TLCKPT_STAMP_LEN);
	known->serial = pub->serial;
	known->frame = (struct tlckpt_frame){
		.sn = stamp.sn,
		.incarnation = stamp.incarnation,
		.peer = stamp.node,
		.flags = TLCKPT_FRAME_STAMPED,
	};
	tlckpt_known_judge(known, &pub->view);
	known->peer = tlckpt_peer_get(tn, stamp.node, stamp.node != pub->view.node);
	if (known->peer)
		this_cpu_ptr(known->peer->cpu)->stamp = stamp;
	return known;
}
