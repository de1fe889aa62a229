/* SPDX-License-Identifier: GPL-2.0-only WITH Linux-syscall-note */
/*
 * Generic netlink family "tlckpt": how user space drives tlckpt.ko.
 *
 * The source is Documentation/netlink/specs/tlckpt.yaml; a test compares it with
 * this header and with the module's tables. Attributes and commands are only ever
 * appended. Everything needs CAP_NET_ADMIN in the network namespace that the
 * socket lives in; every namespace has its own node. A refused request has an
 * errno and an extack text that says why. Numbers are host order, addresses
 * network order.
 *
 * Settings
 *   NODE_SET   makes this namespace a node (the first time NODE_ID and KEY are
 *              needed) or changes its settings. A new node is frozen until THAW.
 *   NODE_GET   one NODE nest: settings, indexes, phase, hold queue, counters.
 *   NODE_DEL   forgets the node; links and held frames go.
 *   PORT_ADD, PORT_DEL, PORT_GET   ports: interfaces that lead to guests of this
 *              node. netback's vifs come and go by themselves (PORT_AUTO); others
 *              are named here.
 *   LINK_ADD, LINK_DEL, LINK_GET   links: interfaces that lead to other nodes.
 *   EXEMPT_ADD, EXEMPT_DEL, EXEMPT_GET   Dom0's own link-layer addresses: frames
 *              from them leave unstamped, frames for them are never held.
 *   PEER_GET   dump of the nodes that were heard, with counters.
 *
 * The steps of a node checkpoint (Rule R4), each refused when not due:
 *   OWN        this socket is the daemon. Closed without a word: Rule R8. EBUSY:
 *              another socket is.
 *   TICK       the basic period ended (R2).   REQUEST  the administrator asks.
 *   CLOSE, SUSPENDED, CUT, CAPTURED (SN), DURABLE (SN), ABORT
 *   CUT and CAPTURED answer with a STEP nest: SN and, for CAPTURED, PREV (R9).
 *   When CLOSE has answered, no frame reaches a guest any more.
 * A recovery (R11, R15):
 *   FREEZE, ROLLBACK (STEP nest: K, MEMBER, RAISE, INCARNATION, PREVIOUS), THAW
 *
 * The channel log (com, R12)
 *   LOG_GET    dump of the logged frames; with SN only those for that index.
 *   LOG_DEL    forgets frames logged for indexes up to SN only.
 *   INJECT     gives a logged frame (FRAME, IFINDEX) to the guests again.
 *
 * Multicast group "events"
 *   EV_REQUEST a checkpoint is wanted: STEP nest with TARGET, REASON and, if
 *              forced, PEER and SN of the frame. One per rise of the target.
 *              Events can be lost (ENOBUFS): then ask NODE_GET.
 *   EV_RECORD  a frame of a newer incarnation was seen: read the recovery record.
 *   EV_OWNER   the daemon came or went.
 *   EV_FULL    the hold queue is full, frames are being dropped. At most one per
 *              second.
 */
#ifndef _UAPI_LINUX_TLCKPT_H
#define _UAPI_LINUX_TLCKPT_H

#define TLCKPT_GENL_NAME "tlckpt"
#define TLCKPT_GENL_VERSION 1
#define TLCKPT_MCGRP_EVENTS "events"

enum tlckpt_cmd {
	TLCKPT_CMD_NODE_SET = 1,
	TLCKPT_CMD_NODE_GET,
	TLCKPT_CMD_NODE_DEL,
	TLCKPT_CMD_PORT_ADD,
	TLCKPT_CMD_PORT_DEL,
	TLCKPT_CMD_PORT_GET,
	TLCKPT_CMD_LINK_ADD,
	TLCKPT_CMD_LINK_DEL,
	TLCKPT_CMD_LINK_GET,
	TLCKPT_CMD_EXEMPT_ADD,
	TLCKPT_CMD_EXEMPT_DEL,
	TLCKPT_CMD_EXEMPT_GET,
	TLCKPT_CMD_PEER_GET,
	TLCKPT_CMD_OWN,
	TLCKPT_CMD_TICK,
	TLCKPT_CMD_REQUEST,
	TLCKPT_CMD_CLOSE,
	TLCKPT_CMD_SUSPENDED,
	TLCKPT_CMD_CUT,
	TLCKPT_CMD_CAPTURED,
	TLCKPT_CMD_DURABLE,
	TLCKPT_CMD_ABORT,
	TLCKPT_CMD_FREEZE,
	TLCKPT_CMD_ROLLBACK,
	TLCKPT_CMD_THAW,
	TLCKPT_CMD_LOG_GET,
	TLCKPT_CMD_LOG_DEL,
	TLCKPT_CMD_INJECT,
	TLCKPT_CMD_EV_REQUEST,
	TLCKPT_CMD_EV_RECORD,
	TLCKPT_CMD_EV_OWNER,
	TLCKPT_CMD_EV_FULL,

	/* private: */
	__TLCKPT_CMD_MAX,
	TLCKPT_CMD_MAX = __TLCKPT_CMD_MAX - 1,
};

/* Top level: one nest per noun. */
enum tlckpt_a {
	TLCKPT_A_UNSPEC,
	TLCKPT_A_NODE,	 /* nest, TLCKPT_A_NODE_* */
	TLCKPT_A_PORT,	 /* nest, TLCKPT_A_PORT_* */
	TLCKPT_A_LINK,	 /* nest, TLCKPT_A_LINK_* */
	TLCKPT_A_EXEMPT, /* binary, 6: a link-layer address */
	TLCKPT_A_PEER,	 /* nest, TLCKPT_A_PEER_* */
	TLCKPT_A_STEP,	 /* nest, TLCKPT_A_STEP_* */
	TLCKPT_A_LOG,	 /* nest, TLCKPT_A_LOG_* */

	/* private: */
	__TLCKPT_A_MAX,
	TLCKPT_A_MAX = __TLCKPT_A_MAX - 1,
};

enum tlckpt_a_node {
	TLCKPT_A_NODE_UNSPEC,
	TLCKPT_A_NODE_PAD,
	TLCKPT_A_NODE_ID,	   /* u16, 1.. */
	TLCKPT_A_NODE_CLUSTER,	   /* u32 */
	TLCKPT_A_NODE_KEY,	   /* binary, 16; never read back */
	TLCKPT_A_NODE_MODE,	   /* u8, enum tlckpt_mode: 0 bcs, 1 ms */
	TLCKPT_A_NODE_POLICY,	   /* u8, enum tlckpt_policy: 0 hold, 1 pass */
	TLCKPT_A_NODE_STRICT,	   /* u8, 0 or 1 */
	TLCKPT_A_NODE_JUMP,	   /* u64 */
	TLCKPT_A_NODE_MAX_FRAMES,  /* u32 */
	TLCKPT_A_NODE_MAX_BYTES,   /* u64 */
	TLCKPT_A_NODE_GRACE_MS,	   /* u32 */
	TLCKPT_A_NODE_LOG_BYTES,   /* u64, bound of the channel log */
	TLCKPT_A_NODE_INCARNATION, /* u32; NODE_SET: only of a new node */
	TLCKPT_A_NODE_SN,	   /* u64; NODE_SET: only of a new node */
	TLCKPT_A_NODE_CAPTURED,	   /* u64, only read from here on */
	TLCKPT_A_NODE_DURABLE,	   /* u64 */
	TLCKPT_A_NODE_TARGET,	   /* u64 */
	TLCKPT_A_NODE_PHASE,	   /* u8, enum tlckpt_phase */
	TLCKPT_A_NODE_REASON,	   /* u8, enum tlckpt_reason */
	TLCKPT_A_NODE_CAUSE_PEER,  /* u16 */
	TLCKPT_A_NODE_CAUSE_SN,	   /* u64 */
	TLCKPT_A_NODE_OWNER,	   /* u32, netlink port of the daemon, 0 none */
	TLCKPT_A_NODE_FROZEN,	   /* u8 */
	TLCKPT_A_NODE_INTAKE_OPEN, /* u8 */
	TLCKPT_A_NODE_HELD_FRAMES, /* u32 */
	TLCKPT_A_NODE_HELD_BYTES,  /* u64 */
	TLCKPT_A_NODE_LOG_FRAMES,  /* u32 */
	TLCKPT_A_NODE_LOG_USED,	   /* u64, bytes */
	TLCKPT_A_NODE_LOG_LOST,	   /* u64, frames that the bound kept out */

	/* private: */
	__TLCKPT_A_NODE_MAX,
	TLCKPT_A_NODE_MAX = __TLCKPT_A_NODE_MAX - 1,
};

/* Counters of a port, a link or a peer: one u64 each, zero ones left out. */
enum tlckpt_a_stats {
	TLCKPT_A_STATS_UNSPEC,
	TLCKPT_A_STATS_PAD,
	TLCKPT_A_STATS_TX_STAMPED, /* frames (super-packets count once) */
	TLCKPT_A_STATS_TX_EXEMPT,
	TLCKPT_A_STATS_TX_SEGMENTS, /* frames that super-packets were cut into */
	TLCKPT_A_STATS_TX_ERRORS,   /* no memory, too long for the link */
	TLCKPT_A_STATS_RX_DELIVERED,
	TLCKPT_A_STATS_RX_LATE, /* of these, logged (R12) */
	TLCKPT_A_STATS_RX_HELD,
	TLCKPT_A_STATS_RX_RELEASED,
	TLCKPT_A_STATS_RX_PLAIN,   /* delivered without a stamp: exempt or lenient */
	TLCKPT_A_STATS_RX_ERRORS,  /* no memory */
	TLCKPT_A_STATS_DROP_PLAIN, /* from here on: dropped, why (R5, R8, R11, R16) */
	TLCKPT_A_STATS_DROP_FORGED,
	TLCKPT_A_STATS_DROP_OWN,
	TLCKPT_A_STATS_DROP_GHOST,
	TLCKPT_A_STATS_DROP_JUMP,
	TLCKPT_A_STATS_DROP_FULL,
	TLCKPT_A_STATS_DROP_OWNERLESS,

	/* private: */
	__TLCKPT_A_STATS_MAX,
	TLCKPT_A_STATS_MAX = __TLCKPT_A_STATS_MAX - 1,
};

enum tlckpt_a_port {
	TLCKPT_A_PORT_UNSPEC,
	TLCKPT_A_PORT_IFINDEX, /* u32 */
	TLCKPT_A_PORT_IFNAME,  /* string, only read */
	TLCKPT_A_PORT_AUTO,    /* u8, only read: netback's own */
	TLCKPT_A_PORT_HELD,    /* u32, frames now, only read */
	TLCKPT_A_PORT_STATS,   /* nest, TLCKPT_A_STATS_*, only read */

	/* private: */
	__TLCKPT_A_PORT_MAX,
	TLCKPT_A_PORT_MAX = __TLCKPT_A_PORT_MAX - 1,
};

enum tlckpt_carrier {
	TLCKPT_CARRIER_SHIM = 0,
	TLCKPT_CARRIER_GENEVE = 1,
};

enum tlckpt_a_link {
	TLCKPT_A_LINK_UNSPEC,
	TLCKPT_A_LINK_IFINDEX, /* u32 */
	TLCKPT_A_LINK_IFNAME,  /* string, only read */
	TLCKPT_A_LINK_CARRIER, /* u8, enum tlckpt_carrier; left out: shim */
	TLCKPT_A_LINK_REMOTE4, /* u32 be: geneve without OVS, the other end */
	TLCKPT_A_LINK_REMOTE6, /* binary, 16: the same over IPv6 */
	TLCKPT_A_LINK_VNI,     /* u32, 24 bits: with a remote */
	TLCKPT_A_LINK_MTU,     /* u32, only read: what guests may use behind this link */
	TLCKPT_A_LINK_HELD,    /* u32, frames now, only read */
	TLCKPT_A_LINK_STATS,   /* nest, TLCKPT_A_STATS_*, only read */

	/* private: */
	__TLCKPT_A_LINK_MAX,
	TLCKPT_A_LINK_MAX = __TLCKPT_A_LINK_MAX - 1,
};

enum tlckpt_a_peer {
	TLCKPT_A_PEER_UNSPEC,
	TLCKPT_A_PEER_PAD,
	TLCKPT_A_PEER_NODE,	   /* u16 */
	TLCKPT_A_PEER_SN,	   /* u64, of its last good stamp */
	TLCKPT_A_PEER_INCARNATION, /* u32, of its last good stamp */
	TLCKPT_A_PEER_FORCED,	   /* u64, checkpoints that its frames asked for */
	TLCKPT_A_PEER_STATS,	   /* nest, TLCKPT_A_STATS_* */

	/* private: */
	__TLCKPT_A_PEER_MAX,
	TLCKPT_A_PEER_MAX = __TLCKPT_A_PEER_MAX - 1,
};

enum tlckpt_a_step {
	TLCKPT_A_STEP_UNSPEC,
	TLCKPT_A_STEP_PAD,
	TLCKPT_A_STEP_SN,	   /* u64 */
	TLCKPT_A_STEP_PREV,	   /* u64 */
	TLCKPT_A_STEP_TARGET,	   /* u64 */
	TLCKPT_A_STEP_REASON,	   /* u8, enum tlckpt_reason */
	TLCKPT_A_STEP_PEER,	   /* u16 */
	TLCKPT_A_STEP_K,	   /* u64 */
	TLCKPT_A_STEP_MEMBER,	   /* u64 */
	TLCKPT_A_STEP_RAISE,	   /* u64 */
	TLCKPT_A_STEP_INCARNATION, /* u32 */
	TLCKPT_A_STEP_PREVIOUS,	   /* u32, incarnation that ended */
	TLCKPT_A_STEP_INTAKE_OPEN, /* flag, CUT: the intake was not closed */

	/* private: */
	__TLCKPT_A_STEP_MAX,
	TLCKPT_A_STEP_MAX = __TLCKPT_A_STEP_MAX - 1,
};

enum tlckpt_a_log {
	TLCKPT_A_LOG_UNSPEC,
	TLCKPT_A_LOG_PAD,
	TLCKPT_A_LOG_SN,	  /* u64: LOG_GET, LOG_DEL: which index */
	TLCKPT_A_LOG_FROM,	  /* u64: logged for the indexes in (from, to] */
	TLCKPT_A_LOG_TO,	  /* u64 */
	TLCKPT_A_LOG_FRAME_SN,	  /* u64, of its stamp; left out: from this node */
	TLCKPT_A_LOG_INCARNATION, /* u32, of its stamp */
	TLCKPT_A_LOG_PEER,	  /* u16, of its stamp */
	TLCKPT_A_LOG_IFINDEX,	  /* u32: where it was, and where INJECT puts it */
	TLCKPT_A_LOG_FRAME,	  /* binary: the frame from its link-layer header on */

	/* private: */
	__TLCKPT_A_LOG_MAX,
	TLCKPT_A_LOG_MAX = __TLCKPT_A_LOG_MAX - 1,
};

#endif /* _UAPI_LINUX_TLCKPT_H */
