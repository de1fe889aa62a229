// SPDX-License-Identifier: GPL-2.0-only
/*
 * The protocol core in the kernel: serialises its steps, publishes its view and
 * does what its updates say. Nothing else calls tlckpt_proto_step().
 */
#include <linux/jiffies.h>
#include <linux/slab.h>

#include "tlckpt_priv.h"
#include "trace.h"

static void pub_fill(struct tlckpt_net *tn, struct tlckpt_pub *pub)
{
	struct tlckpt_stamp stamp;

	pub->serial = ++tn->serial;
	pub->view = tn->proto.view;
	pub->cluster = tn->cluster;
	tlckpt_view_stamp(&pub->view, &stamp);
	tlckpt_stamp_write(pub->wire, &stamp, &tn->cluster);
}

/* Caller holds tn->lock, or the node is not yet seen by the hooks. */
static void publish(struct tlckpt_net *tn, struct tlckpt_pub *pub)
{
	struct tlckpt_pub *old;

	pub_fill(tn, pub);
	old = rcu_replace_pointer(tn->pub, pub, lockdep_is_held(&tn->lock));
	if (old)
		kfree_rcu(old, rcu);
}

/* The parts of an update that need the lock, in the order that proto.h asks for. */
static void apply_locked(struct tlckpt_net *tn, const struct tlckpt_event *ev,
			 const struct tlckpt_update *u, struct tlckpt_pub **pub)
{
	if (u->todo & TLCKPT_DO_PUBLISH) {
		publish(tn, *pub);
		*pub = NULL;
	}
	if (u->todo & TLCKPT_DO_PURGE)
		tlckpt_hold_purge_undone(tn, ev->rollback.k);
	if (u->todo & TLCKPT_DO_LOG_HELD)
		tlckpt_hold_log_all(tn);
	if (u->todo & TLCKPT_DO_RELEASE)
		tlckpt_hold_release_all(tn);
}

static void tell(struct tlckpt_net *tn, const struct tlckpt_update *u)
{
	if (u->todo & TLCKPT_DO_REQUEST) {
		trace_tlckpt_request(tn->net, u);
		tlckpt_event_request(tn, u);
	}
	if (u->todo & TLCKPT_DO_RECORD)
		tlckpt_event_simple(tn, TLCKPT_CMD_EV_RECORD);
}

/* Nobody would ask again for what is not a request: the intake would stay closed (R8). */
static gfp_t gfp_of(const struct tlckpt_event *ev)
{
	return ev->type == TLCKPT_EV_OWNER_LOST || ev->type == TLCKPT_EV_OWNER_GRACE
		       ? GFP_KERNEL | __GFP_NOFAIL
		       : GFP_KERNEL;
}

/**
 * tlckpt_engine_step() - one step that user space, or the grace timer, asks for
 * @tn: node; tn->mutex is held, tn->pub is set
 * @ev: not TLCKPT_EV_FRAME
 * @u:  result
 *
 * Process context. When a step that closes the intake returns, no frame that saw
 * it open is still on its way through a hook (R4).
 *
 * Return: as tlckpt_proto_step(), or -ENOMEM with nothing changed; the end of the
 * owner and of its grace time never lack memory.
 */
int tlckpt_engine_step(struct tlckpt_net *tn, const struct tlckpt_event *ev,
		       struct tlckpt_update *u)
{
	struct tlckpt_pub *pub = kzalloc(sizeof(*pub), gfp_of(ev));
	bool was_open;
	int err;

	if (!pub)
		return -ENOMEM;
	spin_lock_bh(&tn->lock);
	was_open = tn->proto.view.intake_open;
	err = tlckpt_proto_step(&tn->proto, ev, u);
	trace_tlckpt_step(tn->net, ev->type, &tn->proto, err);
	if (!err)
		apply_locked(tn, ev, u, &pub);
	spin_unlock_bh(&tn->lock);
	kfree(pub);
	if (err)
		return err;
	if (was_open && !tn->proto.view.intake_open)
		synchronize_rcu_expedited();
	tell(tn, u);
	if (u->todo & TLCKPT_DO_START_GRACE)
		schedule_delayed_work(&tn->grace, msecs_to_jiffies(tn->grace_ms));
	return 0;
}

/**
 * tlckpt_engine_frame() - judge a frame that the published view does not deliver
 * @tn:    node
 * @hold:  of the device that it came to
 * @skb:   the frame, stripped; may be held: orphaned, own fragments
 * @frame: what its stamp says
 *
 * Any context. Return: the verdict; with TLCKPT_HOLD the frame now belongs to
 * @hold, with the others still to the caller.
 */
enum tlckpt_verdict tlckpt_engine_frame(struct tlckpt_net *tn, struct tlckpt_hold *hold,
					struct sk_buff *skb, struct tlckpt_frame *frame)
{
	const struct tlckpt_event ev = { .type = TLCKPT_EV_FRAME, .frame = frame };
	struct tlckpt_update u;
	struct tlckpt_peer *peer;
	bool tell_full = false;

	spin_lock_bh(&tn->lock);
	if (tlckpt_hold_busy(hold, skb))
		frame->flags |= TLCKPT_FRAME_BEHIND;
	if (WARN_ON_ONCE(tlckpt_proto_step(&tn->proto, &ev, &u))) {
		spin_unlock_bh(&tn->lock);
		return TLCKPT_DROP_FULL;
	}
	WARN_ON_ONCE(u.todo & (TLCKPT_DO_PUBLISH | TLCKPT_DO_PURGE | TLCKPT_DO_RELEASE));
	if (u.todo & TLCKPT_DO_LOG)
		tlckpt_log_add(tn, hold->dev, skb, frame, &u.log);
	if (u.verdict == TLCKPT_HOLD) {
		tlckpt_held(skb)->frame = *frame;
		tlckpt_hold_enqueue(hold, skb);
	}
	if (u.todo & TLCKPT_DO_REQUEST) {
		peer = tlckpt_peer_get(tn, frame->peer, false);
		if (peer)
			peer->forced++;
	}
	if (u.verdict == TLCKPT_DROP_FULL && time_after(jiffies, tn->full_event + HZ)) {
		tn->full_event = jiffies;
		tell_full = true;
	}
	spin_unlock_bh(&tn->lock);
	tell(tn, &u);
	if (tell_full)
		tlckpt_event_simple(tn, TLCKPT_CMD_EV_FULL);
	return u.verdict;
}

/**
 * tlckpt_engine_discard() - frames left a hold queue unjudged
 * @tn:     node, tn->lock held
 * @frames: how many
 * @bytes:  their bytes
 */
void tlckpt_engine_discard(struct tlckpt_net *tn, u32 frames, u64 bytes)
{
	const struct tlckpt_event ev = {
		.type = TLCKPT_EV_DISCARD,
		.discard = { .bytes = bytes, .frames = frames },
	};
	struct tlckpt_update u;

	lockdep_assert_held(&tn->lock);
	if (frames && rcu_access_pointer(tn->pub))
		WARN_ON_ONCE(tlckpt_proto_step(&tn->proto, &ev, &u));
}

/* Rule R8: the daemon did not come back in time. */
static void grace_over(struct work_struct *work)
{
	struct tlckpt_net *tn = container_of(work, struct tlckpt_net, grace.work);
	const struct tlckpt_event ev = { .type = TLCKPT_EV_OWNER_GRACE };
	struct tlckpt_update u;

	mutex_lock(&tn->mutex);
	if (rcu_access_pointer(tn->pub) && !tn->owner)
		tlckpt_engine_step(tn, &ev, &u);
	mutex_unlock(&tn->mutex);
}

/**
 * tlckpt_engine_start() - this namespace becomes a node
 * @tn:          state; tn->mutex is held, tn->cluster is set
 * @config:      settings
 * @incarnation: that it is in
 * @sn:          that it stands on
 *
 * Return: 0, -EINVAL, -ENOMEM.
 */
int tlckpt_engine_start(struct tlckpt_net *tn, const struct tlckpt_config *config, u32 incarnation,
			u64 sn)
{
	struct tlckpt_pub *pub = kzalloc(sizeof(*pub), GFP_KERNEL);
	int err;

	if (!pub)
		return -ENOMEM;
	spin_lock_bh(&tn->lock);
	err = tlckpt_proto_init(&tn->proto, config, incarnation, sn);
	if (!err)
		publish(tn, pub);
	spin_unlock_bh(&tn->lock);
	if (err)
		kfree(pub);
	return err;
}

/**
 * tlckpt_engine_configure() - other settings for a running node
 * @tn:     node; tn->mutex is held
 * @config: settings
 *
 * Return: 0, -EINVAL, -ENOMEM.
 */
int tlckpt_engine_configure(struct tlckpt_net *tn, const struct tlckpt_config *config)
{
	struct tlckpt_pub *pub = kzalloc(sizeof(*pub), GFP_KERNEL);
	int err;

	if (!pub)
		return -ENOMEM;
	spin_lock_bh(&tn->lock);
	err = tlckpt_proto_configure(&tn->proto, config);
	if (!err)
		publish(tn, pub);
	spin_unlock_bh(&tn->lock);
	if (err)
		kfree(pub);
	return err;
}

/**
 * tlckpt_engine_stop() - this namespace is no node any more
 * @tn: node; its links are gone, RTNL is held
 */
void tlckpt_engine_stop(struct tlckpt_net *tn)
{
	struct tlckpt_pub *old;

	spin_lock_bh(&tn->lock);
	old = rcu_replace_pointer(tn->pub, NULL, lockdep_is_held(&tn->lock));
	tlckpt_log_forget(tn, U64_MAX);
	spin_unlock_bh(&tn->lock);
	if (!old)
		return;
	synchronize_net();
	kfree(old);
	memzero_explicit(&tn->cluster, sizeof(tn->cluster));
}

/**
 * tlckpt_engine_init() - a new namespace: no node yet
 * @tn: zeroed
 */
void tlckpt_engine_init(struct tlckpt_net *tn)
{
	mutex_init(&tn->mutex);
	spin_lock_init(&tn->lock);
	INIT_LIST_HEAD(&tn->links);
	INIT_LIST_HEAD(&tn->ports);
	INIT_LIST_HEAD(&tn->holds);
	INIT_LIST_HEAD(&tn->log);
	/* Both so, for lockdep: an inline initialiser gives them one class. */
	xa_init_flags(&tn->exempt, XA_FLAGS_LOCK_BH);
	xa_init_flags(&tn->peers, XA_FLAGS_LOCK_BH);
	INIT_DELAYED_WORK(&tn->grace, grace_over);
}
