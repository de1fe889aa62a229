// SPDX-License-Identifier: GPL-2.0-only OR MIT
/* The protocol of one node: one function per event. */
#include <tlckpt/proto.h>

static int refuse(struct tlckpt_update *u, int error, const char *why)
{
	u->refusal = why;
	return error;
}

/* Asks for a checkpoint if one is wanted and can begin; else it waits its turn. */
static void announce(struct tlckpt_proto *p, struct tlckpt_update *u)
{
	if (!p->owned || p->view.frozen || p->phase == TLCKPT_CUT)
		return;
	if (p->target <= p->view.captured)
		return;
	if (p->phase == TLCKPT_IDLE)
		p->phase = TLCKPT_REQUESTED;
	u->todo |= TLCKPT_DO_REQUEST;
	u->target = p->target;
	u->reason = p->reason;
	u->cause_peer = p->cause_peer;
	u->cause_sn = p->cause_sn;
}

/* Rule R3: target := max(target, index); requests merge into the one under way. */
static void want(struct tlckpt_proto *p, u64 index, u8 reason, const struct tlckpt_frame *cause,
		 struct tlckpt_update *u)
{
	if (p->phase != TLCKPT_IDLE)
		u->note |= TLCKPT_NOTE_MERGED;
	if (index <= p->target)
		return;
	p->target = index;
	p->reason = reason;
	p->cause_peer = cause ? cause->peer : TLCKPT_NODE_NONE;
	p->cause_sn = cause ? cause->sn : 0;
	announce(p, u);
}

/* The attempt is over: the guests run, the intake opens, held frames get their chance. */
static void end_attempt(struct tlckpt_proto *p, struct tlckpt_update *u)
{
	p->phase = TLCKPT_IDLE;
	p->view.intake_open = true;
	u->todo |= TLCKPT_DO_PUBLISH | TLCKPT_DO_RELEASE;
}

/*
 * A recovery brought guests of a higher index, none of which may run before all are
 * captured: the attempt cannot be given up, only end in CAPTURED or with the node.
 */
static bool taking_over(const struct tlckpt_proto *p)
{
	return p->view.frozen && p->phase == TLCKPT_CUT;
}

static int on_tick(struct tlckpt_proto *p, struct tlckpt_update *u)
{
	if (p->view.frozen)
		return refuse(u, -EBUSY, "a recovery is under way");
	/* Rule R2, bcs: always the next index. */
	if (p->config.mode == TLCKPT_MODE_BCS) {
		want(p, p->view.sn + 1, TLCKPT_BASIC, NULL, u);
		return 0;
	}
	/*
	 * Rule R2, ms: only if no forced checkpoint did this period's work. A node
	 * that faster clocks have drawn far ahead counts on from there, or it would
	 * take none for many periods once they fall silent.
	 */
	p->next++;
	if (p->view.sn < p->next) {
		want(p, p->next, TLCKPT_BASIC, NULL, u);
	} else {
		p->next = p->view.sn;
		u->note |= TLCKPT_NOTE_SKIPPED;
	}
	return 0;
}

static int on_request(struct tlckpt_proto *p, struct tlckpt_update *u)
{
	if (p->view.frozen)
		return refuse(u, -EBUSY, "a recovery is under way");
	want(p, p->view.sn + 1, TLCKPT_MANUAL, NULL, u);
	return 0;
}

/* Rule R8: bounded in frames and bytes; the newest frame is the one that goes. */
static enum tlckpt_verdict hold(struct tlckpt_proto *p, const struct tlckpt_frame *f)
{
	if (f->flags & TLCKPT_FRAME_HELD)
		return TLCKPT_HOLD;
	if (p->held_frames >= p->config.max_frames ||
	    p->held_bytes + f->bytes > p->config.max_bytes)
		return TLCKPT_DROP_FULL;
	p->held_frames++;
	p->held_bytes += f->bytes;
	return TLCKPT_HOLD;
}

static void leave(struct tlckpt_proto *p, u32 frames, u64 bytes)
{
	p->held_frames -= frames;
	p->held_bytes -= bytes;
}

/* What a stamp that was not dropped tells the node. */
static void learn(struct tlckpt_proto *p, const struct tlckpt_frame *f, struct tlckpt_update *u)
{
	const struct tlckpt_view *v = &p->view;

	if (u->verdict != TLCKPT_HOLD && u->verdict != TLCKPT_DELIVER_UNPROTECTED)
		return;
	/* Rule R11: the others went back; told once per incarnation. */
	if (f->incarnation > v->incarnation) {
		if (f->incarnation > p->newest) {
			p->newest = f->incarnation;
			u->todo |= TLCKPT_DO_RECORD;
		}
		return;
	}
	/* Rule R3. While frozen it waits: the recovery decides first. */
	if (f->sn > v->sn && !v->frozen)
		want(p, f->sn, TLCKPT_FORCED, f, u);
}

static int on_frame(struct tlckpt_proto *p, const struct tlckpt_frame *f, struct tlckpt_update *u)
{
	const struct tlckpt_view *v = &p->view;

	if (f->flags & TLCKPT_FRAME_HELD && (!p->held_frames || f->bytes > p->held_bytes))
		return refuse(u, -EINVAL, "no such frame is held");
	u->verdict = tlckpt_view_judge(v, f);
	if (f->flags & TLCKPT_FRAME_STAMPED)
		learn(p, f, u);
	/* Rule R8: no capture can stand for an index that the guests were let past. */
	if (u->verdict == TLCKPT_DELIVER_UNPROTECTED && f->sn > p->gap)
		p->gap = f->sn;
	if (u->verdict == TLCKPT_HOLD) {
		u->verdict = hold(p, f);
		return 0;
	}
	if (f->flags & TLCKPT_FRAME_HELD)
		leave(p, 1, f->bytes);
	/* Rule R12: judged when it is delivered. */
	if (u->verdict == TLCKPT_DELIVER && tlckpt_view_log(v, f, TLCKPT_AT_DELIVERY, &u->log))
		u->todo |= TLCKPT_DO_LOG;
	return 0;
}

static int on_discard(struct tlckpt_proto *p, const struct tlckpt_discard *d,
		      struct tlckpt_update *u)
{
	if (d->frames > p->held_frames || d->bytes > p->held_bytes)
		return refuse(u, -EINVAL, "more than is held");
	leave(p, d->frames, d->bytes);
	return 0;
}

static int on_close(struct tlckpt_proto *p, struct tlckpt_update *u)
{
	/* Rule R4: first the intake, then the guests. */
	if (p->phase != TLCKPT_REQUESTED)
		return refuse(u, -EPROTO, "no checkpoint is requested");
	p->phase = TLCKPT_CLOSED;
	p->view.intake_open = false;
	u->todo |= TLCKPT_DO_PUBLISH;
	return 0;
}

static int on_suspended(struct tlckpt_proto *p, struct tlckpt_update *u)
{
	if (p->phase != TLCKPT_REQUESTED && p->phase != TLCKPT_CLOSED)
		return refuse(u, -EPROTO, "no checkpoint is requested");
	p->phase = TLCKPT_SUSPENDED;
	return 0;
}

static int on_cut(struct tlckpt_proto *p, struct tlckpt_update *u)
{
	/* Rule R4: raised before all are suspended, in-transit frames have no sign. */
	if (taking_over(p)) {
		/* sn has risen with the rollback: only what came in meanwhile is new. */
		u->sn = p->view.sn;
		u->todo |= TLCKPT_DO_LOG_HELD;
		return 0;
	}
	if (p->phase != TLCKPT_SUSPENDED)
		return refuse(u, -EPROTO, "the guests are not suspended");
	p->phase = TLCKPT_CUT;
	p->view.sn = p->target;
	u->sn = p->view.sn;
	u->todo |= TLCKPT_DO_PUBLISH | TLCKPT_DO_LOG_HELD;
	if (p->view.intake_open)
		u->note |= TLCKPT_NOTE_INTAKE_OPEN;
	return 0;
}

static int on_captured(struct tlckpt_proto *p, u64 index, struct tlckpt_update *u)
{
	if (p->phase != TLCKPT_CUT)
		return refuse(u, -EPROTO, "no cut was made");
	if (index != p->view.sn)
		return refuse(u, -ERANGE, "not the index of the cut");
	u->sn = index;
	/* Rule R9: a manifest names the capture before it, durable or not. */
	u->prev = p->view.captured > p->gap ? p->view.captured : p->gap;
	u->todo |= TLCKPT_DO_MANIFEST;
	/* Rule R6: captured is enough to deliver. */
	p->view.captured = index;
	end_attempt(p, u);
	announce(p, u);
	return 0;
}

static int on_durable(struct tlckpt_proto *p, u64 index, struct tlckpt_update *u)
{
	if (index > p->view.captured)
		return refuse(u, -ERANGE, "this index is not captured");
	if (index <= p->durable)
		return refuse(u, -EALREADY, "this index, or a newer one, is durable");
	p->durable = index;
	return 0;
}

static int on_abort(struct tlckpt_proto *p, struct tlckpt_update *u)
{
	if (p->phase == TLCKPT_IDLE)
		return refuse(u, -EPROTO, "no checkpoint is under way");
	if (taking_over(p))
		return refuse(u, -EBUSY, "the guests taken over are not captured");
	/*
	 * Rule R7: sn stays what it is, raised or not; captured stays behind it and
	 * holds on (R5); target still stands, so the next attempt is asked for at once.
	 */
	end_attempt(p, u);
	announce(p, u);
	u->note |= TLCKPT_NOTE_RETRY;
	return 0;
}

static int on_owner_lost(struct tlckpt_proto *p, struct tlckpt_update *u)
{
	if (!p->owned)
		return refuse(u, -EALREADY, "no daemon owns this node");
	p->owned = false;
	/* Rule R7: nobody will finish the attempt. */
	if (!taking_over(p))
		end_attempt(p, u);
	/* Rule R8. */
	if (p->config.policy == TLCKPT_POLICY_PASS)
		p->view.gate = TLCKPT_GATE_PASS;
	else
		u->todo |= TLCKPT_DO_START_GRACE;
	return 0;
}

static int on_owner_grace(struct tlckpt_proto *p, struct tlckpt_update *u)
{
	if (p->owned)
		return refuse(u, -EALREADY, "a daemon owns this node");
	if (p->view.gate != TLCKPT_GATE_HOLD)
		return refuse(u, -EALREADY, "the grace time has ended before");
	/* Rule R8: hold until the grace time is over, then drop. */
	p->view.gate = TLCKPT_GATE_DROP;
	u->todo |= TLCKPT_DO_PUBLISH | TLCKPT_DO_RELEASE;
	return 0;
}

static int on_owner_back(struct tlckpt_proto *p, struct tlckpt_update *u)
{
	if (p->owned)
		return refuse(u, -EALREADY, "a daemon owns this node");
	p->owned = true;
	p->view.gate = TLCKPT_GATE_HOLD;
	u->todo |= TLCKPT_DO_PUBLISH;
	/* Rule R8: the first index that is protected again. */
	if (p->gap > p->view.captured && p->gap >= p->target)
		want(p, p->gap + 1, TLCKPT_FORCED, NULL, u);
	else
		announce(p, u);
	return 0;
}

static int on_freeze(struct tlckpt_proto *p, struct tlckpt_update *u)
{
	if (p->view.frozen)
		return refuse(u, -EALREADY, "a recovery is under way");
	/* Rule R15: what this node reports to the recovery stays true until THAW. */
	p->view.frozen = true;
	end_attempt(p, u);
	return 0;
}

/* Rule R11: remember a rollback; older ones that it covers are forgotten. */
static void remember(struct tlckpt_view *v, u32 incarnation, u64 k)
{
	struct tlckpt_undone *list = v->undone;
	unsigned int i, nr = v->nr_undone;

	while (nr && list[nr - 1].k >= k)
		nr--;
	if (nr == TLCKPT_NR_UNDONE) {
		/* Two become one with the lower k: a frame lost, not a ghost let in. */
		list[1].k = list[0].k;
		nr--;
		for (i = 0; i < nr; i++)
			list[i] = list[i + 1];
	}
	list[nr].incarnation = incarnation;
	list[nr].k = k;
	v->nr_undone = (u8)(nr + 1);
}

u64 tlckpt_proto_present(const struct tlckpt_proto *p)
{
	return p->gap > p->view.sn ? p->gap : p->view.sn;
}

/* Rule R10: the node stays as it is, or Rule R9: it goes back to its member. */
static void stand_on_line(struct tlckpt_proto *p, const struct tlckpt_rollback *r,
			  struct tlckpt_update *u)
{
	struct tlckpt_view *v = &p->view;

	if (r->member) {
		v->sn = r->member;
		v->captured = r->member;
		p->durable = r->member;
		p->next = r->member;
		p->gap = 0;
		end_attempt(p, u);
		u->todo |= TLCKPT_DO_PURGE;
	}
	/* What a ghost made this node want, it does not want any more. */
	p->target = v->sn;
	if (r->raise <= v->sn)
		return;
	/*
	 * Guests with a higher index arrive. The node cuts above them, all
	 * guests suspended, and its capture stands for the line too, but not for an
	 * index below: these guests have seen frames that this node had not.
	 */
	v->sn = r->raise;
	v->intake_open = false;
	p->target = r->raise;
	p->reason = TLCKPT_TAKEOVER;
	p->phase = TLCKPT_CUT;
	if (p->gap < r->k - 1)
		p->gap = r->k - 1;
	u->sn = v->sn;
}

static int on_rollback(struct tlckpt_proto *p, const struct tlckpt_rollback *r,
		       struct tlckpt_update *u)
{
	struct tlckpt_view *v = &p->view;

	if (!v->frozen)
		return refuse(u, -EPROTO, "no recovery is under way");
	if (r->incarnation <= v->incarnation)
		return refuse(u, -EALREADY, "this node is in that incarnation, or a later one");
	if (r->previous < v->incarnation || r->previous >= r->incarnation)
		return refuse(u, -EINVAL, "the record does not follow this node's incarnation");
	if (!r->k || (r->member && r->member < r->k))
		return refuse(u, -EINVAL, "no checkpoint on that line");
	/* Rule R10: only a node that has seen nothing from after the line may stay. */
	if (!r->member && tlckpt_proto_present(p) >= r->k)
		return refuse(u, -ERANGE, "this node's present state is after the line");

	if (r->previous > v->incarnation)
		remember(v, r->previous, 0);
	remember(v, r->incarnation, r->k);
	v->incarnation = r->incarnation;
	u->todo |= TLCKPT_DO_PUBLISH;
	stand_on_line(p, r, u);
	return 0;
}

static int on_thaw(struct tlckpt_proto *p, struct tlckpt_update *u)
{
	if (!p->view.frozen)
		return refuse(u, -EALREADY, "no recovery is under way");
	if (taking_over(p))
		return refuse(u, -EBUSY, "the guests taken over are not captured");
	p->view.frozen = false;
	u->todo |= TLCKPT_DO_PUBLISH | TLCKPT_DO_RELEASE;
	announce(p, u);
	return 0;
}

static int check_config(const struct tlckpt_config *c)
{
	if (!c->jump || !c->max_bytes || !c->max_frames || c->node == TLCKPT_NODE_NONE)
		return -EINVAL;
	if (c->mode > TLCKPT_MODE_MS || c->policy > TLCKPT_POLICY_PASS)
		return -EINVAL;
	return 0;
}

int tlckpt_proto_configure(struct tlckpt_proto *p, const struct tlckpt_config *config)
{
	int error = check_config(config);

	if (error)
		return error;
	p->config = *config;
	p->config.node = p->view.node;
	p->view.jump = config->jump;
	p->view.strict = config->strict;
	return 0;
}

int tlckpt_proto_init(struct tlckpt_proto *p, const struct tlckpt_config *config, u32 incarnation,
		      u64 sn)
{
	memset(p, 0, sizeof(*p));
	p->view.node = config->node;
	p->view.incarnation = incarnation;
	p->view.sn = sn;
	p->view.captured = sn;
	p->view.intake_open = true;
	p->view.frozen = true;
	p->target = sn;
	p->next = sn;
	p->durable = sn;
	p->owned = true;
	if (incarnation)
		remember(&p->view, incarnation, 0);
	return tlckpt_proto_configure(p, config);
}

int tlckpt_proto_step(struct tlckpt_proto *p, const struct tlckpt_event *ev,
		      struct tlckpt_update *u)
{
	memset(u, 0, sizeof(*u));
	switch (ev->type) {
	case TLCKPT_EV_TICK:
		return on_tick(p, u);
	case TLCKPT_EV_REQUEST:
		return on_request(p, u);
	case TLCKPT_EV_FRAME:
		return on_frame(p, ev->frame, u);
	case TLCKPT_EV_DISCARD:
		return on_discard(p, &ev->discard, u);
	case TLCKPT_EV_CLOSE:
		return on_close(p, u);
	case TLCKPT_EV_SUSPENDED:
		return on_suspended(p, u);
	case TLCKPT_EV_CUT:
		return on_cut(p, u);
	case TLCKPT_EV_CAPTURED:
		return on_captured(p, ev->index, u);
	case TLCKPT_EV_DURABLE:
		return on_durable(p, ev->index, u);
	case TLCKPT_EV_ABORT:
		return on_abort(p, u);
	case TLCKPT_EV_OWNER_LOST:
		return on_owner_lost(p, u);
	case TLCKPT_EV_OWNER_GRACE:
		return on_owner_grace(p, u);
	case TLCKPT_EV_OWNER_BACK:
		return on_owner_back(p, u);
	case TLCKPT_EV_FREEZE:
		return on_freeze(p, u);
	case TLCKPT_EV_ROLLBACK:
		return on_rollback(p, &ev->rollback, u);
	case TLCKPT_EV_THAW:
		return on_thaw(p, u);
	default:
		return refuse(u, -EINVAL, "no such event");
	}
}
