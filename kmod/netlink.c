// SPDX-License-Identifier: GPL-2.0-only
/* Netlink requests and events. What they mean: include/uapi/linux/tlckpt.h. */
#include <linux/etherdevice.h>
#include <linux/rtnetlink.h>

#include "compat.h"
#include "netlink_gen.h"
#include "tlckpt_priv.h"

/* Returns @err and says why: @text, which is static. */
int tlckpt_nl_refuse(struct genl_info *info, int err, const char *text)
{
	if (info->extack)
		info->extack->_msg = text;
	return err;
}

/* Checks an attribute that a request needs and parses its nest. */
int tlckpt_nl_nest(struct genl_info *info, int which, int max, const struct nla_policy *policy,
		   struct nlattr **tb)
{
	if (GENL_REQ_ATTR_CHECK(info, which))
		return tlckpt_nl_refuse(info, -EINVAL, "the request lacks what it is about");
	return nla_parse_nested(tb, max, info->attrs[which], policy, info->extack);
}

/* ---- node ---- */

static void config_update(struct tlckpt_config *config, struct nlattr **tb)
{
	if (tb[TLCKPT_A_NODE_ID])
		config->node = nla_get_u16(tb[TLCKPT_A_NODE_ID]);
	if (tb[TLCKPT_A_NODE_MODE])
		config->mode = nla_get_u8(tb[TLCKPT_A_NODE_MODE]);
	if (tb[TLCKPT_A_NODE_POLICY])
		config->policy = nla_get_u8(tb[TLCKPT_A_NODE_POLICY]);
	if (tb[TLCKPT_A_NODE_STRICT])
		config->strict = nla_get_u8(tb[TLCKPT_A_NODE_STRICT]);
	if (tb[TLCKPT_A_NODE_JUMP])
		config->jump = nla_get_u64(tb[TLCKPT_A_NODE_JUMP]);
	if (tb[TLCKPT_A_NODE_MAX_FRAMES])
		config->max_frames = nla_get_u32(tb[TLCKPT_A_NODE_MAX_FRAMES]);
	if (tb[TLCKPT_A_NODE_MAX_BYTES])
		config->max_bytes = nla_get_u64(tb[TLCKPT_A_NODE_MAX_BYTES]);
}

static int node_create(struct tlckpt_net *tn, struct nlattr **tb, struct genl_info *info)
{
	struct tlckpt_config config = {
		.jump = 1000,
		.max_bytes = 16 << 20,
		.max_frames = 4096,
		.mode = TLCKPT_MODE_MS,
		.policy = TLCKPT_POLICY_HOLD,
		.strict = true,
	};

	if (!tb[TLCKPT_A_NODE_ID] || !tb[TLCKPT_A_NODE_KEY])
		return tlckpt_nl_refuse(info, -EINVAL, "a new node needs its id and the cluster's key");
	config_update(&config, tb);
	tn->grace_ms = 10000;
	tn->log_max = 16 << 20;
	tlckpt_cluster_init(&tn->cluster, nla_data(tb[TLCKPT_A_NODE_KEY]),
			    tb[TLCKPT_A_NODE_CLUSTER] ? nla_get_u32(tb[TLCKPT_A_NODE_CLUSTER]) : 0);
	return tlckpt_engine_start(tn, &config,
				   tb[TLCKPT_A_NODE_INCARNATION] ?
					   nla_get_u32(tb[TLCKPT_A_NODE_INCARNATION]) : 0,
				   tb[TLCKPT_A_NODE_SN] ? nla_get_u64(tb[TLCKPT_A_NODE_SN]) : 0);
}

static int node_change(struct tlckpt_net *tn, struct nlattr **tb, struct genl_info *info)
{
	struct tlckpt_config config = tn->proto.config;
	const struct tlckpt_cluster before = tn->cluster;
	int err;

	if (tb[TLCKPT_A_NODE_INCARNATION] || tb[TLCKPT_A_NODE_SN])
		return tlckpt_nl_refuse(info, -EBUSY,
			      "incarnation and sn of a running node change by its steps only");
	if (tb[TLCKPT_A_NODE_ID] && nla_get_u16(tb[TLCKPT_A_NODE_ID]) != config.node)
		return tlckpt_nl_refuse(info, -EBUSY, "the node has another id: delete it first");
	if (tb[TLCKPT_A_NODE_KEY])
		tlckpt_cluster_init(&tn->cluster, nla_data(tb[TLCKPT_A_NODE_KEY]), before.id);
	if (tb[TLCKPT_A_NODE_CLUSTER])
		tn->cluster.id = nla_get_u32(tb[TLCKPT_A_NODE_CLUSTER]);
	config_update(&config, tb);
	err = tlckpt_engine_configure(tn, &config);
	if (err)
		tn->cluster = before;
	return err;
}

int tlckpt_nl_node_set(struct sk_buff *skb, struct genl_info *info)
{
	struct tlckpt_net *tn = tlckpt_net(genl_info_net(info));
	struct nlattr *tb[TLCKPT_A_NODE_MAX + 1];
	int err = tlckpt_nl_nest(info, TLCKPT_A_NODE, TLCKPT_A_NODE_MAX, tlckpt_node_policy, tb);

	if (err)
		return err;
	mutex_lock(&tn->mutex);
	if (rcu_access_pointer(tn->pub))
		err = node_change(tn, tb, info);
	else
		err = node_create(tn, tb, info);
	if (!err && tb[TLCKPT_A_NODE_GRACE_MS])
		tn->grace_ms = nla_get_u32(tb[TLCKPT_A_NODE_GRACE_MS]);
	if (!err && tb[TLCKPT_A_NODE_LOG_BYTES])
		tn->log_max = nla_get_u64(tb[TLCKPT_A_NODE_LOG_BYTES]);
	mutex_unlock(&tn->mutex);
	return err;
}

int tlckpt_nl_node_del(struct sk_buff *skb, struct genl_info *info)
{
	struct tlckpt_net *tn = tlckpt_net(genl_info_net(info));
	struct tlckpt_link *link, *next;
	int err = 0;

	rtnl_lock();
	mutex_lock(&tn->mutex);
	if (!rcu_access_pointer(tn->pub)) {
		err = tlckpt_nl_refuse(info, -ENOENT, "this network namespace is no node");
	} else {
		list_for_each_entry_safe(link, next, &tn->links, list)
			tlckpt_link_del(tn, link);
		tlckpt_engine_stop(tn);
		tlckpt_peers_free(tn);
		tn->owner = 0;
		/* What ports held goes: judged without a node, it is dropped. */
		spin_lock_bh(&tn->lock);
		tlckpt_hold_release_all(tn);
		spin_unlock_bh(&tn->lock);
	}
	mutex_unlock(&tn->mutex);
	rtnl_unlock();
	return err;
}

/* ---- steps ---- */

int tlckpt_nl_own(struct sk_buff *skb, struct genl_info *info)
{
	struct tlckpt_net *tn = tlckpt_net(genl_info_net(info));
	const struct tlckpt_event ev = { .type = TLCKPT_EV_OWNER_BACK };
	struct tlckpt_update u;
	int err;

	mutex_lock(&tn->mutex);
	if (!rcu_access_pointer(tn->pub)) {
		err = tlckpt_nl_refuse(info, -ENOENT, "this network namespace is no node");
	} else if (tn->owner == info->snd_portid) {
		err = 0;
	} else if (tn->owner) {
		err = tlckpt_nl_refuse(info, -EBUSY, "another daemon owns the node");
	} else {
		/* A new node counts as owned: its maker comes for it. */
		err = tn->proto.owned ? 0 : tlckpt_engine_step(tn, &ev, &u);
		if (!err) {
			tn->owner = info->snd_portid;
			cancel_delayed_work(&tn->grace);
		}
	}
	mutex_unlock(&tn->mutex);
	if (!err)
		tlckpt_event_simple(tn, TLCKPT_CMD_EV_OWNER);
	return err;
}

/* Rule R8: the daemon's socket is closed. */
static int owner_gone(struct notifier_block *nb, unsigned long action, void *data)
{
	const struct netlink_notify *notify = data;
	const struct tlckpt_event ev = { .type = TLCKPT_EV_OWNER_LOST };
	struct tlckpt_update u;
	struct tlckpt_net *tn;
	bool gone = false;

	if (action != NETLINK_URELEASE || notify->protocol != NETLINK_GENERIC)
		return NOTIFY_DONE;
	tn = tlckpt_net(notify->net);
	if (READ_ONCE(tn->owner) != notify->portid || !notify->portid)
		return NOTIFY_DONE;
	mutex_lock(&tn->mutex);
	if (tn->owner == notify->portid) {
		tn->owner = 0;
		gone = true;
		if (rcu_access_pointer(tn->pub))
			tlckpt_engine_step(tn, &ev, &u);
	}
	mutex_unlock(&tn->mutex);
	if (gone)
		tlckpt_event_simple(tn, TLCKPT_CMD_EV_OWNER);
	return NOTIFY_DONE;
}

static struct notifier_block owner_notifier = {
	.notifier_call = owner_gone,
};

static int step_event(struct tlckpt_event *ev, struct genl_info *info)
{
	static const enum tlckpt_event_type type_of[TLCKPT_CMD_MAX + 1] = {
		[TLCKPT_CMD_TICK] = TLCKPT_EV_TICK,
		[TLCKPT_CMD_REQUEST] = TLCKPT_EV_REQUEST,
		[TLCKPT_CMD_CLOSE] = TLCKPT_EV_CLOSE,
		[TLCKPT_CMD_SUSPENDED] = TLCKPT_EV_SUSPENDED,
		[TLCKPT_CMD_CUT] = TLCKPT_EV_CUT,
		[TLCKPT_CMD_CAPTURED] = TLCKPT_EV_CAPTURED,
		[TLCKPT_CMD_DURABLE] = TLCKPT_EV_DURABLE,
		[TLCKPT_CMD_ABORT] = TLCKPT_EV_ABORT,
		[TLCKPT_CMD_FREEZE] = TLCKPT_EV_FREEZE,
		[TLCKPT_CMD_ROLLBACK] = TLCKPT_EV_ROLLBACK,
		[TLCKPT_CMD_THAW] = TLCKPT_EV_THAW,
	};
	struct nlattr *tb[TLCKPT_A_STEP_MAX + 1];
	int err;

	memset(ev, 0, sizeof(*ev));
	ev->type = type_of[info->genlhdr->cmd];
	if (ev->type != TLCKPT_EV_CAPTURED && ev->type != TLCKPT_EV_DURABLE &&
	    ev->type != TLCKPT_EV_ROLLBACK)
		return 0;
	err = tlckpt_nl_nest(info, TLCKPT_A_STEP, TLCKPT_A_STEP_MAX, tlckpt_step_policy, tb);
	if (err)
		return err;
	if (ev->type != TLCKPT_EV_ROLLBACK) {
		if (!tb[TLCKPT_A_STEP_SN])
			return tlckpt_nl_refuse(info, -EINVAL, "the step needs its sn");
		ev->index = nla_get_u64(tb[TLCKPT_A_STEP_SN]);
		return 0;
	}
	if (!tb[TLCKPT_A_STEP_K] || !tb[TLCKPT_A_STEP_INCARNATION])
		return tlckpt_nl_refuse(info, -EINVAL, "a rollback needs k and the new incarnation");
	ev->rollback.k = nla_get_u64(tb[TLCKPT_A_STEP_K]);
	ev->rollback.incarnation = nla_get_u32(tb[TLCKPT_A_STEP_INCARNATION]);
	if (tb[TLCKPT_A_STEP_MEMBER])
		ev->rollback.member = nla_get_u64(tb[TLCKPT_A_STEP_MEMBER]);
	if (tb[TLCKPT_A_STEP_RAISE])
		ev->rollback.raise = nla_get_u64(tb[TLCKPT_A_STEP_RAISE]);
	if (tb[TLCKPT_A_STEP_PREVIOUS])
		ev->rollback.previous = nla_get_u32(tb[TLCKPT_A_STEP_PREVIOUS]);
	return 0;
}

/* The answer to CUT and CAPTURED. @msg was made before the step, so this can't fail. */
static int step_reply(struct sk_buff *msg, struct genl_info *info, const struct tlckpt_update *u)
{
	void *head = genlmsg_put_reply(msg, info, &tlckpt_family, 0, info->genlhdr->cmd);
	struct nlattr *nest = head ? nla_nest_start(msg, TLCKPT_A_STEP) : NULL;

	if (!nest || nla_put_u64_64bit(msg, TLCKPT_A_STEP_SN, u->sn, TLCKPT_A_STEP_PAD) ||
	    (u->todo & TLCKPT_DO_MANIFEST &&
	     nla_put_u64_64bit(msg, TLCKPT_A_STEP_PREV, u->prev, TLCKPT_A_STEP_PAD)) ||
	    (u->note & TLCKPT_NOTE_INTAKE_OPEN &&
	     nla_put_flag(msg, TLCKPT_A_STEP_INTAKE_OPEN))) {
		nlmsg_free(msg);
		return -EMSGSIZE;
	}
	nla_nest_end(msg, nest);
	genlmsg_end(msg, head);
	return genlmsg_reply(msg, info);
}

int tlckpt_nl_step(struct sk_buff *skb, struct genl_info *info)
{
	struct tlckpt_net *tn = tlckpt_net(genl_info_net(info));
	struct sk_buff *msg = NULL;
	struct tlckpt_event ev;
	struct tlckpt_update u = {};
	int err = step_event(&ev, info);

	if (err)
		return err;
	/* What is done must be told: no memory for the answer, no step. */
	if (ev.type == TLCKPT_EV_CUT || ev.type == TLCKPT_EV_CAPTURED) {
		msg = genlmsg_new(NLMSG_DEFAULT_SIZE, GFP_KERNEL);
		if (!msg)
			return -ENOMEM;
	}
	mutex_lock(&tn->mutex);
	if (!rcu_access_pointer(tn->pub))
		err = tlckpt_nl_refuse(info, -ENOENT, "this network namespace is no node");
	else
		err = tlckpt_engine_step(tn, &ev, &u);
	mutex_unlock(&tn->mutex);
	if (!err)
		return msg ? step_reply(msg, info, &u) : 0;
	nlmsg_free(msg);
	return u.refusal ? tlckpt_nl_refuse(info, err, u.refusal) : err;
}

/* ---- events ---- */

static void event_send(struct tlckpt_net *tn, struct sk_buff *msg, void *head)
{
	genlmsg_end(msg, head);
	/* -ESRCH: nobody listens, which is fine. */
	genlmsg_multicast_netns(&tlckpt_family, tn->net, msg, 0, 0, GFP_ATOMIC);
}

/* Listeners get ENOBUFS: they read by NODE_GET what the events would have told. */
static void event_lost(struct tlckpt_net *tn)
{
	genl_set_err(&tlckpt_family, tn->net, 0, 0, -ENOBUFS);
}

/**
 * tlckpt_event_request() - tell the daemon that a checkpoint is wanted
 * @tn: node
 * @u:  update with TLCKPT_DO_REQUEST
 *
 * Any context. Without memory the listeners are told that they missed something.
 */
void tlckpt_event_request(struct tlckpt_net *tn, const struct tlckpt_update *u)
{
	struct sk_buff *msg = genlmsg_new(NLMSG_DEFAULT_SIZE, GFP_ATOMIC | __GFP_NOWARN);
	struct nlattr *nest;
	void *head;

	if (!msg) {
		event_lost(tn);
		return;
	}
	head = genlmsg_put(msg, 0, 0, &tlckpt_family, 0, TLCKPT_CMD_EV_REQUEST);
	nest = head ? nla_nest_start(msg, TLCKPT_A_STEP) : NULL;
	if (!nest || nla_put_u64_64bit(msg, TLCKPT_A_STEP_TARGET, u->target, TLCKPT_A_STEP_PAD) ||
	    nla_put_u8(msg, TLCKPT_A_STEP_REASON, u->reason) ||
	    (u->reason == TLCKPT_FORCED &&
	     (nla_put_u16(msg, TLCKPT_A_STEP_PEER, u->cause_peer) ||
	      nla_put_u64_64bit(msg, TLCKPT_A_STEP_SN, u->cause_sn, TLCKPT_A_STEP_PAD)))) {
		nlmsg_free(msg);
		return;
	}
	nla_nest_end(msg, nest);
	event_send(tn, msg, head);
}

/* An event without attributes: what it is about is read by NODE_GET. Any context. */
void tlckpt_event_simple(struct tlckpt_net *tn, u8 cmd)
{
	struct sk_buff *msg = genlmsg_new(0, GFP_ATOMIC | __GFP_NOWARN);
	void *head;

	if (!msg) {
		event_lost(tn);
		return;
	}
	head = genlmsg_put(msg, 0, 0, &tlckpt_family, 0, cmd);
	if (head)
		event_send(tn, msg, head);
	else
		nlmsg_free(msg);
}

static const struct genl_multicast_group groups[] = {
	{ .name = TLCKPT_MCGRP_EVENTS, .flags = COMPAT_MCAST_FLAGS },
};

struct genl_family tlckpt_family = {
	.name = TLCKPT_GENL_NAME,
	.version = TLCKPT_GENL_VERSION,
	.maxattr = TLCKPT_A_MAX,
	.policy = tlckpt_policy,
	.netnsok = true,
	.parallel_ops = true,
	.ops = tlckpt_ops,
	.n_ops = TLCKPT_NR_OPS,
	.mcgrps = groups,
	.n_mcgrps = ARRAY_SIZE(groups),
	.module = THIS_MODULE,
};

int tlckpt_netlink_init(void)
{
	int err = genl_register_family(&tlckpt_family);

	if (err)
		return err;
	err = netlink_register_notifier(&owner_notifier);
	if (err)
		genl_unregister_family(&tlckpt_family);
	return err;
}

void tlckpt_netlink_exit(void)
{
	netlink_unregister_notifier(&owner_notifier);
	genl_unregister_family(&tlckpt_family);
}
