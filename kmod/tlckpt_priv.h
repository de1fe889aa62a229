/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The module's own structures. Frames move like this:
 *
 *   link ingress hook (link.c)  judge, strip, hold --> bridge or OVS --+
 *   port egress hook (port.c)   closed intake: hold                 <--+--> guest
 *   link egress hook (link.c)   stamp, out
 *
 * Locks, outermost first:
 *   RTNL              links, ports and exempt addresses come and go
 *   tlckpt_net.mutex  one step of user space at a time (process context)
 *   tlckpt_net.lock   protocol state, hold queues, channel log (any context)
 * Hooks run under rcu_read_lock() and read tlckpt_net.pub; a frame that the
 * published view delivers takes no lock.
 */
#ifndef _TLCKPT_PRIV_H
#define _TLCKPT_PRIV_H

#include <linux/etherdevice.h>
#include <linux/mutex.h>
#include <linux/netdevice.h>
#include <linux/netfilter.h>
#include <linux/skbuff.h>
#include <linux/spinlock.h>
#include <linux/workqueue.h>
#include <linux/xarray.h>
#include <net/genetlink.h>

#include <linux/tlckpt.h>
#include <tlckpt/proto.h>
#include <tlckpt/stamp.h>

struct tlckpt_link;
struct tlckpt_metadata;
struct tlckpt_net;

/**
 * struct tlckpt_pub - what the hooks read, replaced at every change (RCU)
 * @rcu:      for freeing
 * @serial:   another one for each
 * @view:     judging frames
 * @cluster:  checking stamps
 * @wire:     the stamp of leaving frames, tag included (R16)
 */
struct tlckpt_pub {
	struct rcu_head rcu;
	u64 serial;
	struct tlckpt_view view;
	struct tlckpt_cluster cluster;
	u8 wire[TLCKPT_STAMP_LEN];
};

/* Per-CPU counters, in the order of enum tlckpt_a_stats. */
enum tlckpt_stat {
	STAT_TX_STAMPED,
	STAT_TX_EXEMPT,
	STAT_TX_SEGMENTS,
	STAT_TX_ERRORS,
	STAT_RX_DELIVERED,
	STAT_RX_LATE,
	STAT_RX_HELD,
	STAT_RX_RELEASED,
	STAT_RX_PLAIN,
	STAT_RX_ERRORS,
	STAT_DROP_PLAIN,
	STAT_DROP_FORGED,
	STAT_DROP_OWN,
	STAT_DROP_GHOST,
	STAT_DROP_JUMP,
	STAT_DROP_FULL,
	STAT_DROP_OWNERLESS,
	TLCKPT_NR_STATS,
};

struct tlckpt_stats {
	u64 count[TLCKPT_NR_STATS];
};

#define stat_inc(stats, which) this_cpu_inc((stats)->count[which])
#define stat_add(stats, which, n) this_cpu_add((stats)->count[which], n)

/**
 * struct tlckpt_held - a frame's own part of the protocol, in skb->cb while held
 * @frame: as judged
 */
struct tlckpt_held {
	struct tlckpt_frame frame;
};

static inline struct tlckpt_held *tlckpt_held(struct sk_buff *skb)
{
	BUILD_BUG_ON(sizeof(struct tlckpt_held) > sizeof_field(struct sk_buff, cb));
	return (struct tlckpt_held *)skb->cb;
}

enum tlckpt_queue_state {
	QUEUE_OPEN,  /* nothing held: frames pass without the lock */
	QUEUE_HOLD,  /* head waits */
	QUEUE_DRAIN, /* the work delivers; new frames queue behind */
};

/**
 * struct tlckpt_queue - frames of some senders held at one device, FIFO
 * @frames: under tlckpt_net.lock
 * @state:  enum tlckpt_queue_state; written under the lock
 * @cpu:    where its last frame came, and where its work runs: a released frame
 *          must not be overtaken on its way on
 * @work:   delivers what is due
 * @hold:   it belongs to
 *
 * A sender's frames are all in one, whichever CPU they come to: its order is kept.
 */
struct tlckpt_queue {
	struct sk_buff_head frames;
	int state;
	int cpu;
	struct work_struct work;
	struct tlckpt_hold *hold;
};

#define TLCKPT_QUEUE_BITS 4

/**
 * struct tlckpt_hold - all hold queues of one device
 * @list:    in tlckpt_net.holds; under tlckpt_net.lock
 * @tn:      the node
 * @dev:     the device, for traces
 * @stats:   of the port or link
 * @deliver: lets a released frame go on; BH off, consumes it
 * @busy:    queues that are not open; written under tlckpt_net.lock
 * @queues:  by sender
 */
struct tlckpt_hold {
	struct list_head list;
	struct tlckpt_net *tn;
	struct net_device *dev;
	struct tlckpt_stats __percpu *stats;
	void (*deliver)(struct tlckpt_hold *hold, struct sk_buff *skb);
	int busy;
	struct tlckpt_queue queues[1 << TLCKPT_QUEUE_BITS];
};

/**
 * struct tlckpt_port - an interface that leads to a guest
 * @list:    in tlckpt_net.ports; RTNL
 * @dev:     referenced
 * @tracker: of that reference
 * @ops:     its egress hook
 * @hold:    closed intake (R4)
 * @stats:   counters
 * @automatic: netback's, came by itself
 */
struct tlckpt_port {
	struct list_head list;
	struct net_device *dev;
	netdevice_tracker tracker;
	struct nf_hook_ops ops;
	struct tlckpt_hold hold;
	struct tlckpt_stats __percpu *stats;
	bool automatic;
};

/**
 * struct tlckpt_carrier_ops - how a stamp travels
 * @name:     for users
 * @overhead: octets that a stamped frame needs beyond the link's payload
 * @attach:   checks and prepares a new link; errors with extack. May be NULL.
 * @detach:   undoes @attach; no hook runs any more. May be NULL.
 * @stamp:    gives @skb the node's stamp and returns the hook's verdict; the frame
 *            is not shared
 * @peek:     where the stamp is; NULL: none; ERR_PTR(-EINVAL): malformed
 * @strip:    removes the stamp; NULL if the frame was freed
 */
struct tlckpt_carrier_ops {
	const char *name;
	unsigned int overhead;
	int (*attach)(struct tlckpt_link *link, struct netlink_ext_ack *extack);
	void (*detach)(struct tlckpt_link *link);
	unsigned int (*stamp)(struct tlckpt_link *link, struct sk_buff *skb,
			      const struct tlckpt_pub *pub);
	const u8 *(*peek)(struct sk_buff *skb);
	struct sk_buff *(*strip)(struct sk_buff *skb);
};

extern const struct tlckpt_carrier_ops tlckpt_shim_ops;
extern const struct tlckpt_carrier_ops tlckpt_geneve_ops;

/**
 * struct tlckpt_link_config - what LINK_ADD says
 * @carrier: enum tlckpt_carrier
 * @family:  of @remote: AF_UNSPEC, AF_INET, AF_INET6
 * @remote4: other end of a geneve link without OVS
 * @remote6: the same over IPv6
 * @vni:     the same
 */
struct tlckpt_link_config {
	u8 carrier;
	u8 family;
	__be32 remote4;
	struct in6_addr remote6;
	u32 vni;
};

/**
 * struct tlckpt_link - an interface that leads to other nodes
 * @list:    in tlckpt_net.links; RTNL
 * @tn:      the node
 * @dev:     referenced
 * @tracker: of that reference
 * @ops:     its ingress and egress hooks
 * @carrier: how stamps travel here
 * @config:  as added
 * @hold:    frames from after this node's newest capture (R5)
 * @stats:   counters
 * @headroom: what was added to dev->needed_headroom
 * @known:   TLCKPT_NR_KNOWN stamps, per CPU
 * @cached:  geneve: metadata with the current stamp, per CPU
 */
struct tlckpt_link {
	struct list_head list;
	struct tlckpt_net *tn;
	struct net_device *dev;
	netdevice_tracker tracker;
	struct nf_hook_ops ops[2];
	const struct tlckpt_carrier_ops *carrier;
	struct tlckpt_link_config config;
	struct tlckpt_hold hold;
	struct tlckpt_stats __percpu *stats;
	unsigned short headroom;
	struct tlckpt_known __percpu *known;
	struct tlckpt_metadata __percpu *cached;
};

/**
 * struct tlckpt_known - a stamp that a CPU has verified and judged
 * @serial:  of the published state it did that by; by another one it means nothing
 * @wire:    the stamp
 * @verdict: on frames with it
 * @at_once: they are delivered, and not logged
 * @frame:   what it says; @bytes is the last frame's
 * @peer:    its sender, which stays as long as the link; NULL: no memory
 *
 * Senders' stamps and this node's state change with checkpoints only: nearly every
 * frame has a stamp that is known (R16: verified once).
 */
struct tlckpt_known {
	u64 serial;
	u8 wire[TLCKPT_STAMP_LEN];
	u8 verdict;
	bool at_once;
	struct tlckpt_frame frame;
	struct tlckpt_peer *peer;
};

/* The senders' ids are dealt among them. */
#define TLCKPT_NR_KNOWN 8

/**
 * struct tlckpt_peer_cpu - what one CPU knows of a peer
 * @stamp:       its last new one
 * @stats:       counters
 */
struct tlckpt_peer_cpu {
	struct tlckpt_stamp stamp;
	struct tlckpt_stats stats;
};

/**
 * struct tlckpt_peer - a node that was heard
 * @rcu:    for freeing
 * @node:   its id
 * @forced: checkpoints that its frames asked for; under tlckpt_net.lock
 * @cpu:    per CPU part; written by that CPU with BH off
 */
struct tlckpt_peer {
	struct rcu_head rcu;
	u16 node;
	u64 forced;
	struct tlckpt_peer_cpu __percpu *cpu;
};

/**
 * struct tlckpt_log_entry - one frame of the channel log (R12)
 * @list:    in tlckpt_net.log, oldest first
 * @skb:     the frame, a clone, data at its link-layer header
 * @range:   for the indexes in (from, to]
 * @frame:   its stamp
 * @ifindex: where it was
 */
struct tlckpt_log_entry {
	struct list_head list;
	struct sk_buff *skb;
	struct tlckpt_range range;
	struct tlckpt_frame frame;
	int ifindex;
};

/**
 * struct tlckpt_net - one network namespace, one node
 * @net:        the namespace
 * @mutex:      serialises user space; taken before @lock
 * @lock:       @proto, @holds with their queues, @log; BH-safe
 * @proto:      protocol state, meaningful while @pub is set
 * @pub:        published part, NULL: this namespace is no node
 * @serial:     of the last one; under @lock
 * @cluster:    key and id; under @mutex
 * @links:      RTNL
 * @ports:      RTNL
 * @exempt:     link-layer addresses as keys (R16); RCU
 * @nr_exempt:  entries in @exempt; RTNL
 * @peers:      by node id; RCU, filled from softirq
 * @holds:      all devices that can hold
 * @log:        channel log
 * @log_bytes:  in @log now
 * @log_frames: in @log now
 * @log_max:    bound of @log_bytes
 * @log_lost:   frames that the bound kept out
 * @owner:      netlink port of the daemon, 0 none; under @mutex
 * @grace_ms:   after the owner's end (R8)
 * @grace:      that timer
 * @full_event: when EV_FULL was last sent, jiffies
 */
struct tlckpt_net {
	struct net *net;
	struct mutex mutex;
	spinlock_t lock;
	struct tlckpt_proto proto;
	struct tlckpt_pub __rcu *pub;
	u64 serial;
	struct tlckpt_cluster cluster;
	struct list_head links;
	struct list_head ports;
	struct xarray exempt;
	unsigned int nr_exempt;
	struct xarray peers;
	struct list_head holds;
	struct list_head log;
	u64 log_bytes;
	u32 log_frames;
	u64 log_max;
	u64 log_lost;
	u32 owner;
	u32 grace_ms;
	struct delayed_work grace;
	unsigned long full_event;
};

extern unsigned int tlckpt_net_id;
struct tlckpt_net *tlckpt_net(const struct net *net);

/* engine.c: the only caller of the core */
int tlckpt_engine_step(struct tlckpt_net *tn, const struct tlckpt_event *ev,
		       struct tlckpt_update *u);
int tlckpt_engine_start(struct tlckpt_net *tn, const struct tlckpt_config *config, u32 incarnation,
			u64 sn);
int tlckpt_engine_configure(struct tlckpt_net *tn, const struct tlckpt_config *config);
void tlckpt_engine_stop(struct tlckpt_net *tn);
void tlckpt_engine_init(struct tlckpt_net *tn);
enum tlckpt_verdict tlckpt_engine_frame(struct tlckpt_net *tn, struct tlckpt_hold *hold,
					struct sk_buff *skb, struct tlckpt_frame *frame);
void tlckpt_engine_discard(struct tlckpt_net *tn, u32 frames, u64 bytes);

/* hold.c */
void tlckpt_hold_init(struct tlckpt_hold *hold, struct tlckpt_net *tn, struct net_device *dev,
		      struct tlckpt_stats __percpu *stats,
		      void (*deliver)(struct tlckpt_hold *, struct sk_buff *));
void tlckpt_hold_destroy(struct tlckpt_hold *hold);
bool tlckpt_hold_behind(const struct tlckpt_hold *hold, const struct sk_buff *skb);
void tlckpt_hold_enqueue(struct tlckpt_hold *hold, struct sk_buff *skb);
void tlckpt_hold_release_all(struct tlckpt_net *tn);
void tlckpt_hold_log_all(struct tlckpt_net *tn);
void tlckpt_hold_purge_undone(struct tlckpt_net *tn, u64 k);
u32 tlckpt_hold_count(const struct tlckpt_hold *hold);

/* chanlog.c; all under tlckpt_net.lock */
void tlckpt_log_add(struct tlckpt_net *tn, const struct net_device *dev, struct sk_buff *skb,
		    struct tlckpt_frame *frame, const struct tlckpt_range *range);
void tlckpt_log_forget(struct tlckpt_net *tn, u64 sn);

/* peer.c */
struct tlckpt_peer *tlckpt_peer_get(struct tlckpt_net *tn, u16 node, bool create);
void tlckpt_peers_free(struct tlckpt_net *tn);

/* known.c */
void tlckpt_known_judge(struct tlckpt_known *known, const struct tlckpt_view *view);
struct tlckpt_known *tlckpt_known_learn(struct tlckpt_known *known, struct tlckpt_net *tn,
					const struct tlckpt_pub *pub, const u8 *wire);

/* port.c; RTNL */
int tlckpt_port_add(struct tlckpt_net *tn, struct net_device *dev, bool automatic,
		    struct netlink_ext_ack *extack);
void tlckpt_port_del(struct tlckpt_net *tn, struct tlckpt_port *port);
struct tlckpt_port *tlckpt_port_find(struct tlckpt_net *tn, int ifindex);
bool tlckpt_port_is_vif(const struct net_device *dev);

/* link.c; RTNL */
int tlckpt_link_add(struct tlckpt_net *tn, struct net_device *dev,
		    const struct tlckpt_link_config *config, struct netlink_ext_ack *extack);
void tlckpt_link_del(struct tlckpt_net *tn, struct tlckpt_link *link);
struct tlckpt_link *tlckpt_link_find(struct tlckpt_net *tn, int ifindex);
unsigned int tlckpt_link_guest_mtu(const struct tlckpt_link *link);
int tlckpt_link_check_mtu(const struct net_device *dev);
void tlckpt_xmit_again(struct sk_buff *skb);
void tlckpt_receive_again(struct tlckpt_hold *hold, struct sk_buff *skb);

/* shim_gro.c */
void tlckpt_shim_offload_add(void);
void tlckpt_shim_offload_remove(void);

/* netlink.c */
int tlckpt_netlink_init(void);
void tlckpt_netlink_exit(void);
void tlckpt_event_request(struct tlckpt_net *tn, const struct tlckpt_update *u);
void tlckpt_event_simple(struct tlckpt_net *tn, u8 cmd);

/* stats.c */
int tlckpt_stats_put(struct sk_buff *msg, int nest, const struct tlckpt_stats *sum);
void tlckpt_stats_sum(const struct tlckpt_stats __percpu *stats, struct tlckpt_stats *sum);

/**
 * tlckpt_hold_busy() - are frames of this one's sender held before it
 * @hold: hold queues
 * @skb:  frame
 *
 * BH off. Without tn->lock the answer may be old by the time it is used: a
 * caller that delivers on it has judged on a view that delivers.
 */
static inline bool tlckpt_hold_busy(const struct tlckpt_hold *hold, const struct sk_buff *skb)
{
	return unlikely(READ_ONCE(hold->busy)) && tlckpt_hold_behind(hold, skb);
}

/* An xarray key for a link-layer address: its upper 6 octets fit an index. */
static inline unsigned long tlckpt_exempt_key(const u8 *address)
{
	return ether_addr_to_u64(address);
}

#endif /* _TLCKPT_PRIV_H */
