// SPDX-License-Identifier: GPL-2.0-only OR MIT
/* Judging frames: pure functions of the view and the frame. */
#include <tlckpt/proto.h>

static u64 smaller(u64 a, u64 b)
{
	return a < b ? a : b;
}

static u64 larger(u64 a, u64 b)
{
	return a > b ? a : b;
}

void tlckpt_view_stamp(const struct tlckpt_view *v, struct tlckpt_stamp *stamp)
{
	/*
	 * Rule R1. Not sn: what leaves between a cut and its capture (from the ring
	 * of a suspended guest), or after an attempt that failed behind its cut (R7),
	 * was sent before the capture of that index, and must say so (R12).
	 */
	stamp->sn = v->captured;
	stamp->incarnation = v->incarnation;
	stamp->node = v->node;
}

/*
 * Rule R11: a frame of an older incarnation was sent in a run that was undone
 * from line k on, for the smallest k of all rollbacks since.
 */
static bool frame_is_ghost(const struct tlckpt_view *v, const struct tlckpt_frame *f)
{
	unsigned int i;

	if (f->incarnation >= v->incarnation)
		return false;
	for (i = 0; i < v->nr_undone; i++)
		if (v->undone[i].incarnation > f->incarnation)
			return f->sn >= v->undone[i].k;
	return true; /* of a run that this node knows nothing about */
}

/* A frame without stamp, seen where the node's own guests are reached. */
static bool frame_is_local(const struct tlckpt_frame *f)
{
	return !(f->flags & TLCKPT_FRAME_STAMPED);
}

enum tlckpt_verdict tlckpt_view_judge(const struct tlckpt_view *v, const struct tlckpt_frame *f)
{
	if (frame_is_local(f)) {
		/* Rule R16: not from the cluster. */
		if (!(f->flags & TLCKPT_FRAME_LOCAL) && v->strict)
			return TLCKPT_DROP_PLAIN;
		/* Rule R4: the intake holds frames from anywhere. Rule R1: forces nothing. */
		if (!v->intake_open || f->flags & TLCKPT_FRAME_BEHIND)
			return TLCKPT_HOLD;
		return f->flags & TLCKPT_FRAME_LOCAL ? TLCKPT_DELIVER : TLCKPT_DELIVER_PLAIN;
	}
	if (f->peer == v->node)
		return TLCKPT_DROP_OWN;
	/* Rule R11: wait until this node has gone back too; R15: or until it knows. */
	if (f->incarnation > v->incarnation || v->frozen)
		return TLCKPT_HOLD;
	/* Rule R11. */
	if (frame_is_ghost(v, f))
		return TLCKPT_DROP_GHOST;
	/* Rule R16: an index that cannot be true. Rule R17: plain unsigned numbers. */
	if (f->sn > v->sn && f->sn - v->sn > v->jump)
		return TLCKPT_DROP_JUMP;
	/* Rule R5: whatever sn says. */
	if (f->sn > v->captured) {
		/* Rule R8: without an owner captured never rises. */
		if (v->gate == TLCKPT_GATE_DROP)
			return TLCKPT_DROP_OWNERLESS;
		return v->gate == TLCKPT_GATE_PASS ? TLCKPT_DELIVER_UNPROTECTED : TLCKPT_HOLD;
	}
	/* Rule R4: closed intake; Rule R3: what is behind a held frame stays behind it. */
	if (!v->intake_open || f->flags & TLCKPT_FRAME_BEHIND)
		return TLCKPT_HOLD;
	return TLCKPT_DELIVER;
}

bool tlckpt_view_log(const struct tlckpt_view *v, const struct tlckpt_frame *f,
		     enum tlckpt_point point, struct tlckpt_range *range)
{
	/* What an attempt that was given up logged went with it: count to captured only. */
	u64 logged = smaller(f->logged, v->captured);

	/*
	 * Rule R12, at the cut: what the closed intake holds was sent before it. At
	 * delivery: the frame is behind the captures up to captured. They are all the
	 * indexes up to sn, except between an attempt that failed after its cut and the
	 * next for the same index, which will hold the frame as received.
	 */
	range->to = point == TLCKPT_AT_CUT ? v->sn : v->captured;
	if (frame_is_local(f)) {
		range->from = v->captured;
		return point == TLCKPT_AT_CUT;
	}
	range->from = larger(f->sn, logged);
	return f->incarnation <= v->incarnation && !frame_is_ghost(v, f) &&
	       range->from < range->to;
}

bool tlckpt_view_replays(const struct tlckpt_view *v, const struct tlckpt_frame *f, u64 k)
{
	/* Rule R12: the intake frames of the member's cut, and what was sent before the line. */
	return frame_is_local(f) || (f->sn < k && !frame_is_ghost(v, f));
}

bool tlckpt_frame_undone(const struct tlckpt_view *v, const struct tlckpt_frame *f, u64 k)
{
	/* The member's own com part has those of its guests that belong to the line. */
	if (frame_is_local(f) || frame_is_ghost(v, f))
		return true;
	/* Logged for the line, so it comes back from there: once, not twice (Rule R12). */
	return f->sn < k && f->logged >= k;
}
