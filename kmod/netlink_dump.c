// SPDX-License-Identifier: GPL-2.0-only
/* What netlink shows: the node, and dumps of ports, links, peers, exempt addresses, log. */
#include <linux/etherdevice.h>
#include <linux/rtnetlink.h>

#include "compat.h"
#include "netlink_gen.h"
#include "tlckpt_priv.h"

/* What a logged frame needs in its message beside itself, generously. */
#define LOG_MESSAGE_ROOM 512

#define PUT64(msg, attr, value, pad) nla_put_u64_64bit(msg, attr, value, pad)

static int node_put(struct sk_buff *msg, struct tlckpt_net *tn)
{
	const struct tlckpt_proto *p = &tn->proto;
	const int pad = TLCKPT_A_NODE_PAD;

	return nla_put_u16(msg, TLCKPT_A_NODE_ID, p->config.node) ||
	       nla_put_u32(msg, TLCKPT_A_NODE_CLUSTER, tn->cluster.id) ||
	       nla_put_u8(msg, TLCKPT_A_NODE_MODE, p->config.mode) ||
	       nla_put_u8(msg, TLCKPT_A_NODE_POLICY, p->config.policy) ||
	       nla_put_u8(msg, TLCKPT_A_NODE_STRICT, p->config.strict) ||
	       PUT64(msg, TLCKPT_A_NODE_JUMP, p->config.jump, pad) ||
	       nla_put_u32(msg, TLCKPT_A_NODE_MAX_FRAMES, p->config.max_frames) ||
	       PUT64(msg, TLCKPT_A_NODE_MAX_BYTES, p->config.max_bytes, pad) ||
	       nla_put_u32(msg, TLCKPT_A_NODE_GRACE_MS, tn->grace_ms) ||
	       PUT64(msg, TLCKPT_A_NODE_LOG_BYTES, tn->log_max, pad) ||
	       nla_put_u32(msg, TLCKPT_A_NODE_INCARNATION, p->view.incarnation) ||
	       PUT64(msg, TLCKPT_A_NODE_SN, p->view.sn, pad) ||
	       PUT64(msg, TLCKPT_A_NODE_CAPTURED, p->view.captured, pad) ||
	       PUT64(msg, TLCKPT_A_NODE_DURABLE, p->durable, pad) ||
	       PUT64(msg, TLCKPT_A_NODE_TARGET, p->target, pad) ||
	       nla_put_u8(msg, TLCKPT_A_NODE_PHASE, p->phase) ||
	       nla_put_u8(msg, TLCKPT_A_NODE_REASON, p->reason) ||
	       nla_put_u16(msg, TLCKPT_A_NODE_CAUSE_PEER, p->cause_peer) ||
	       PUT64(msg, TLCKPT_A_NODE_CAUSE_SN, p->cause_sn, pad) ||
	       nla_put_u32(msg, TLCKPT_A_NODE_OWNER, tn->owner) ||
	       nla_put_u8(msg, TLCKPT_A_NODE_FROZEN, p->view.frozen) ||
	       nla_put_u8(msg, TLCKPT_A_NODE_INTAKE_OPEN, p->view.intake_open) ||
	       nla_put_u32(msg, TLCKPT_A_NODE_HELD_FRAMES, p->held_frames) ||
	       PUT64(msg, TLCKPT_A_NODE_HELD_BYTES, p->held_bytes, pad) ||
	       nla_put_u32(msg, TLCKPT_A_NODE_LOG_FRAMES, tn->log_frames) ||
	       PUT64(msg, TLCKPT_A_NODE_LOG_USED, tn->log_bytes, pad) ||
	       PUT64(msg, TLCKPT_A_NODE_LOG_LOST, tn->log_lost, pad);
}

int tlckpt_nl_node_get(struct sk_buff *skb, struct genl_info *info)
{
	struct tlckpt_net *tn = tlckpt_net(genl_info_net(info));
	struct nlattr *nest;
	struct sk_buff *msg;
	void *head;
	int err = -EMSGSIZE;

	msg = genlmsg_new(NLMSG_DEFAULT_SIZE, GFP_KERNEL);
	if (!msg)
		return -ENOMEM;
	head = genlmsg_put(msg, info->snd_portid, info->snd_seq, &tlckpt_family, 0,
			   TLCKPT_CMD_NODE_GET);
	nest = head ? nla_nest_start(msg, TLCKPT_A_NODE) : NULL;
	if (!nest)
		goto free;
	mutex_lock(&tn->mutex);
	if (!rcu_access_pointer(tn->pub)) {
		NL_SET_ERR_MSG(info->extack, "this network namespace is no node");
		err = -ENOENT;
	} else {
		spin_lock_bh(&tn->lock);
		err = node_put(msg, tn) ? -EMSGSIZE : 0;
		spin_unlock_bh(&tn->lock);
	}
	mutex_unlock(&tn->mutex);
	if (err)
		goto free;
	nla_nest_end(msg, nest);
	genlmsg_end(msg, head);
	return genlmsg_reply(msg, info);
free:
	nlmsg_free(msg);
	return err;
}

struct dump_entry {
	void *head;
	struct nlattr *nest;
};

/* Starts one message of a dump with its nest; false: the buffer is full. */
static bool entry_begin(struct dump_entry *entry, struct sk_buff *msg, struct netlink_callback *cb,
			int cmd, int attr)
{
	entry->head = genlmsg_put(msg, NETLINK_CB(cb->skb).portid, cb->nlh->nlmsg_seq,
				  &tlckpt_family, NLM_F_MULTI, cmd);
	entry->nest = NULL;
	if (entry->head && attr) {
		entry->nest = nla_nest_start(msg, attr);
		if (!entry->nest) {
			genlmsg_cancel(msg, entry->head);
			entry->head = NULL;
		}
	}
	return entry->head;
}

/* Ends it; false, and nothing of it stays, if something did not fit. */
static bool entry_end(struct dump_entry *entry, struct sk_buff *msg, int failed)
{
	if (failed) {
		genlmsg_cancel(msg, entry->head);
		return false;
	}
	if (entry->nest)
		nla_nest_end(msg, entry->nest);
	genlmsg_end(msg, entry->head);
	return true;
}

static int port_put(struct sk_buff *msg, const struct tlckpt_port *port)
{
	struct tlckpt_stats sum;

	tlckpt_stats_sum(port->stats, &sum);
	return nla_put_u32(msg, TLCKPT_A_PORT_IFINDEX, port->dev->ifindex) ||
	       nla_put_string(msg, TLCKPT_A_PORT_IFNAME, port->dev->name) ||
	       nla_put_u8(msg, TLCKPT_A_PORT_AUTO, port->automatic) ||
	       nla_put_u32(msg, TLCKPT_A_PORT_HELD, tlckpt_hold_count(&port->hold)) ||
	       tlckpt_stats_put(msg, TLCKPT_A_PORT_STATS, &sum);
}

int tlckpt_nl_port_dump(struct sk_buff *skb, struct netlink_callback *cb)
{
	struct tlckpt_net *tn = tlckpt_net(sock_net(skb->sk));
	struct tlckpt_port *port;
	struct dump_entry entry;
	long at = 0;

	rtnl_lock();
	list_for_each_entry(port, &tn->ports, list) {
		if (at++ < cb->args[0])
			continue;
		if (!entry_begin(&entry, skb, cb, TLCKPT_CMD_PORT_GET, TLCKPT_A_PORT) ||
		    !entry_end(&entry, skb, port_put(skb, port)))
			break;
		cb->args[0] = at;
	}
	rtnl_unlock();
	return skb->len;
}

static int link_put(struct sk_buff *msg, const struct tlckpt_link *link)
{
	const struct tlckpt_link_config *config = &link->config;
	struct tlckpt_stats sum;

	tlckpt_stats_sum(link->stats, &sum);
	return nla_put_u32(msg, TLCKPT_A_LINK_IFINDEX, link->dev->ifindex) ||
	       nla_put_string(msg, TLCKPT_A_LINK_IFNAME, link->dev->name) ||
	       nla_put_u8(msg, TLCKPT_A_LINK_CARRIER, config->carrier) ||
	       (config->family == AF_INET &&
		nla_put_in_addr(msg, TLCKPT_A_LINK_REMOTE4, config->remote4)) ||
	       (config->family == AF_INET6 &&
		nla_put_in6_addr(msg, TLCKPT_A_LINK_REMOTE6, &config->remote6)) ||
	       (config->family && nla_put_u32(msg, TLCKPT_A_LINK_VNI, config->vni)) ||
	       nla_put_u32(msg, TLCKPT_A_LINK_MTU, tlckpt_link_guest_mtu(link)) ||
	       nla_put_u32(msg, TLCKPT_A_LINK_HELD, tlckpt_hold_count(&link->hold)) ||
	       tlckpt_stats_put(msg, TLCKPT_A_LINK_STATS, &sum);
}

int tlckpt_nl_link_dump(struct sk_buff *skb, struct netlink_callback *cb)
{
	struct tlckpt_net *tn = tlckpt_net(sock_net(skb->sk));
	struct tlckpt_link *link;
	struct dump_entry entry;
	long at = 0;

	rtnl_lock();
	list_for_each_entry(link, &tn->links, list) {
		if (at++ < cb->args[0])
			continue;
		if (!entry_begin(&entry, skb, cb, TLCKPT_CMD_LINK_GET, TLCKPT_A_LINK) ||
		    !entry_end(&entry, skb, link_put(skb, link)))
			break;
		cb->args[0] = at;
	}
	rtnl_unlock();
	return skb->len;
}

int tlckpt_nl_exempt_dump(struct sk_buff *skb, struct netlink_callback *cb)
{
	struct tlckpt_net *tn = tlckpt_net(sock_net(skb->sk));
	unsigned long key = cb->args[0];
	struct dump_entry entry;
	u8 address[ETH_ALEN];
	void *value;

	rtnl_lock();
	for (value = xa_find(&tn->exempt, &key, ULONG_MAX, XA_PRESENT); value;
	     value = xa_find_after(&tn->exempt, &key, ULONG_MAX, XA_PRESENT)) {
		u64_to_ether_addr(key, address);
		if (!entry_begin(&entry, skb, cb, TLCKPT_CMD_EXEMPT_GET, 0) ||
		    !entry_end(&entry, skb, nla_put(skb, TLCKPT_A_EXEMPT, ETH_ALEN, address)))
			break;
		cb->args[0] = key + 1;
	}
	rtnl_unlock();
	return skb->len;
}

static int peer_put(struct sk_buff *msg, const struct tlckpt_peer *peer)
{
	struct tlckpt_stats sum = {};
	u32 incarnation = 0;
	u64 sn = 0;
	int cpu, i;

	for_each_possible_cpu(cpu) {
		const struct tlckpt_peer_cpu *part = per_cpu_ptr(peer->cpu, cpu);

		if (part->stamp.incarnation >= incarnation) {
			sn = part->stamp.incarnation > incarnation ? part->stamp.sn
								    : max(sn, part->stamp.sn);
			incarnation = part->stamp.incarnation;
		}
		for (i = 0; i < TLCKPT_NR_STATS; i++)
			sum.count[i] += READ_ONCE(part->stats.count[i]);
	}
	return nla_put_u16(msg, TLCKPT_A_PEER_NODE, peer->node) ||
	       PUT64(msg, TLCKPT_A_PEER_SN, sn, TLCKPT_A_PEER_PAD) ||
	       nla_put_u32(msg, TLCKPT_A_PEER_INCARNATION, incarnation) ||
	       PUT64(msg, TLCKPT_A_PEER_FORCED, READ_ONCE(peer->forced), TLCKPT_A_PEER_PAD) ||
	       tlckpt_stats_put(msg, TLCKPT_A_PEER_STATS, &sum);
}

int tlckpt_nl_peer_dump(struct sk_buff *skb, struct netlink_callback *cb)
{
	struct tlckpt_net *tn = tlckpt_net(sock_net(skb->sk));
	unsigned long node = cb->args[0];
	struct tlckpt_peer *peer;
	struct dump_entry entry;

	rcu_read_lock();
	xa_for_each_start(&tn->peers, node, peer, cb->args[0]) {
		if (!entry_begin(&entry, skb, cb, TLCKPT_CMD_PEER_GET, TLCKPT_A_PEER) ||
		    !entry_end(&entry, skb, peer_put(skb, peer)))
			break;
		cb->args[0] = node + 1;
	}
	rcu_read_unlock();
	return skb->len;
}

static int log_put(struct sk_buff *msg, const struct tlckpt_log_entry *entry)
{
	const struct tlckpt_frame *frame = &entry->frame;
	struct nlattr *data;

	if (PUT64(msg, TLCKPT_A_LOG_FROM, entry->range.from, TLCKPT_A_LOG_PAD) ||
	    PUT64(msg, TLCKPT_A_LOG_TO, entry->range.to, TLCKPT_A_LOG_PAD) ||
	    nla_put_u32(msg, TLCKPT_A_LOG_IFINDEX, entry->ifindex))
		return -EMSGSIZE;
	if (frame->flags & TLCKPT_FRAME_STAMPED &&
	    (PUT64(msg, TLCKPT_A_LOG_FRAME_SN, frame->sn, TLCKPT_A_LOG_PAD) ||
	     nla_put_u32(msg, TLCKPT_A_LOG_INCARNATION, frame->incarnation) ||
	     nla_put_u16(msg, TLCKPT_A_LOG_PEER, frame->peer)))
		return -EMSGSIZE;
	data = nla_reserve(msg, TLCKPT_A_LOG_FRAME, entry->skb->len);
	if (!data || skb_copy_bits(entry->skb, 0, nla_data(data), entry->skb->len))
		return -EMSGSIZE;
	return 0;
}

/* The sn that a LOG_GET names, or all. */
static u64 log_wanted(struct netlink_callback *cb)
{
	const struct nlattr *nest = compat_dump_attrs(cb)[TLCKPT_A_LOG];
	struct nlattr *tb[TLCKPT_A_LOG_MAX + 1];

	if (!nest || nla_parse_nested(tb, TLCKPT_A_LOG_MAX, nest, tlckpt_log_policy, NULL) ||
	    !tb[TLCKPT_A_LOG_SN])
		return 0;
	return nla_get_u64(tb[TLCKPT_A_LOG_SN]);
}

/* A message must hold the longest frame. */
int tlckpt_nl_log_start(struct netlink_callback *cb)
{
	struct tlckpt_net *tn = tlckpt_net(sock_net(cb->skb->sk));
	const struct tlckpt_log_entry *logged;
	unsigned int longest = 0;

	spin_lock_bh(&tn->lock);
	list_for_each_entry(logged, &tn->log, list)
		longest = max(longest, logged->skb->len);
	spin_unlock_bh(&tn->lock);
	cb->min_dump_alloc = longest + LOG_MESSAGE_ROOM;
	return 0;
}

int tlckpt_nl_log_dump(struct sk_buff *skb, struct netlink_callback *cb)
{
	struct tlckpt_net *tn = tlckpt_net(sock_net(skb->sk));
	const u64 wanted = log_wanted(cb);
	struct tlckpt_log_entry *logged;
	struct dump_entry entry;
	bool full = false;
	long at = 0;

	spin_lock_bh(&tn->lock);
	list_for_each_entry(logged, &tn->log, list) {
		if (at++ < cb->args[0])
			continue;
		if (!wanted || (logged->range.from < wanted && wanted <= logged->range.to)) {
			full = !entry_begin(&entry, skb, cb, TLCKPT_CMD_LOG_GET, TLCKPT_A_LOG) ||
			       !entry_end(&entry, skb, log_put(skb, logged));
			if (full)
				break;
		}
		cb->args[0] = at;
	}
	spin_unlock_bh(&tn->lock);
	/* A longer frame came after the start: an error, not a log that seems to end. */
	return full && !skb->len ? -EMSGSIZE : skb->len;
}
