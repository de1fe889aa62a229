// SPDX-License-Identifier: GPL-2.0-only
/* Policies and operations, after Documentation/netlink/specs/tlckpt.yaml. */
#include <linux/if_ether.h>
#include <linux/in6.h>
#include <tlckpt/proto.h>
#include <tlckpt/stamp.h>

#include "netlink_gen.h"

/* The policy's own bounds are 16 bits wide. Not const in 6.1. */
static struct netlink_range_validation vni_range = { .max = 0xffffff };
static struct netlink_range_validation positive_u32 = { .min = 1, .max = U32_MAX };
static struct netlink_range_validation positive_u64 = { .min = 1, .max = U64_MAX };

const struct nla_policy tlckpt_node_policy[TLCKPT_A_NODE_MAX + 1] = {
	[TLCKPT_A_NODE_ID] = NLA_POLICY_MIN(NLA_U16, 1),
	[TLCKPT_A_NODE_CLUSTER] = { .type = NLA_U32 },
	[TLCKPT_A_NODE_KEY] = NLA_POLICY_EXACT_LEN(TLCKPT_KEY_LEN),
	[TLCKPT_A_NODE_MODE] = NLA_POLICY_MAX(NLA_U8, TLCKPT_MODE_MS),
	[TLCKPT_A_NODE_POLICY] = NLA_POLICY_MAX(NLA_U8, TLCKPT_POLICY_PASS),
	[TLCKPT_A_NODE_STRICT] = NLA_POLICY_MAX(NLA_U8, 1),
	[TLCKPT_A_NODE_JUMP] = NLA_POLICY_FULL_RANGE(NLA_U64, &positive_u64),
	[TLCKPT_A_NODE_MAX_FRAMES] = NLA_POLICY_FULL_RANGE(NLA_U32, &positive_u32),
	[TLCKPT_A_NODE_MAX_BYTES] = NLA_POLICY_FULL_RANGE(NLA_U64, &positive_u64),
	[TLCKPT_A_NODE_GRACE_MS] = { .type = NLA_U32 },
	[TLCKPT_A_NODE_LOG_BYTES] = { .type = NLA_U64 },
	[TLCKPT_A_NODE_INCARNATION] = { .type = NLA_U32 },
	[TLCKPT_A_NODE_SN] = { .type = NLA_U64 },
};

const struct nla_policy tlckpt_port_policy[TLCKPT_A_PORT_MAX + 1] = {
	[TLCKPT_A_PORT_IFINDEX] = NLA_POLICY_MIN(NLA_U32, 1),
};

const struct nla_policy tlckpt_link_policy[TLCKPT_A_LINK_MAX + 1] = {
	[TLCKPT_A_LINK_IFINDEX] = NLA_POLICY_MIN(NLA_U32, 1),
	[TLCKPT_A_LINK_CARRIER] = NLA_POLICY_MAX(NLA_U8, TLCKPT_CARRIER_GENEVE),
	[TLCKPT_A_LINK_REMOTE4] = { .type = NLA_U32 },
	[TLCKPT_A_LINK_REMOTE6] = NLA_POLICY_EXACT_LEN(sizeof(struct in6_addr)),
	[TLCKPT_A_LINK_VNI] = NLA_POLICY_FULL_RANGE(NLA_U32, &vni_range),
};

const struct nla_policy tlckpt_step_policy[TLCKPT_A_STEP_MAX + 1] = {
	[TLCKPT_A_STEP_SN] = { .type = NLA_U64 },
	[TLCKPT_A_STEP_K] = { .type = NLA_U64 },
	[TLCKPT_A_STEP_MEMBER] = { .type = NLA_U64 },
	[TLCKPT_A_STEP_RAISE] = { .type = NLA_U64 },
	[TLCKPT_A_STEP_INCARNATION] = { .type = NLA_U32 },
	[TLCKPT_A_STEP_PREVIOUS] = { .type = NLA_U32 },
};

const struct nla_policy tlckpt_log_policy[TLCKPT_A_LOG_MAX + 1] = {
	[TLCKPT_A_LOG_SN] = { .type = NLA_U64 },
	[TLCKPT_A_LOG_IFINDEX] = NLA_POLICY_MIN(NLA_U32, 1),
	[TLCKPT_A_LOG_FRAME] = NLA_POLICY_MIN_LEN(ETH_HLEN),
};

const struct nla_policy tlckpt_policy[TLCKPT_A_MAX + 1] = {
	[TLCKPT_A_NODE] = NLA_POLICY_NESTED(tlckpt_node_policy),
	[TLCKPT_A_PORT] = NLA_POLICY_NESTED(tlckpt_port_policy),
	[TLCKPT_A_LINK] = NLA_POLICY_NESTED(tlckpt_link_policy),
	[TLCKPT_A_EXEMPT] = NLA_POLICY_EXACT_LEN(ETH_ALEN),
	[TLCKPT_A_STEP] = NLA_POLICY_NESTED(tlckpt_step_policy),
	[TLCKPT_A_LOG] = NLA_POLICY_NESTED(tlckpt_log_policy),
};

#define DO(which, handler) \
	{ .cmd = TLCKPT_CMD_##which, .flags = GENL_UNS_ADMIN_PERM, .doit = handler }
#define DUMP(which, handler, ...) \
	{ .cmd = TLCKPT_CMD_##which, .flags = GENL_UNS_ADMIN_PERM, .dumpit = handler, __VA_ARGS__ }

const struct genl_ops tlckpt_ops[TLCKPT_NR_OPS] = {
	DO(NODE_SET, tlckpt_nl_node_set),
	DO(NODE_GET, tlckpt_nl_node_get),
	DO(NODE_DEL, tlckpt_nl_node_del),
	DO(PORT_ADD, tlckpt_nl_port_add),
	DO(PORT_DEL, tlckpt_nl_port_del),
	DUMP(PORT_GET, tlckpt_nl_port_dump),
	DO(LINK_ADD, tlckpt_nl_link_add),
	DO(LINK_DEL, tlckpt_nl_link_del),
	DUMP(LINK_GET, tlckpt_nl_link_dump),
	DO(EXEMPT_ADD, tlckpt_nl_exempt_add),
	DO(EXEMPT_DEL, tlckpt_nl_exempt_del),
	DUMP(EXEMPT_GET, tlckpt_nl_exempt_dump),
	DUMP(PEER_GET, tlckpt_nl_peer_dump),
	DO(OWN, tlckpt_nl_own),
	DO(TICK, tlckpt_nl_step),
	DO(REQUEST, tlckpt_nl_step),
	DO(CLOSE, tlckpt_nl_step),
	DO(SUSPENDED, tlckpt_nl_step),
	DO(CUT, tlckpt_nl_step),
	DO(CAPTURED, tlckpt_nl_step),
	DO(DURABLE, tlckpt_nl_step),
	DO(ABORT, tlckpt_nl_step),
	DO(FREEZE, tlckpt_nl_step),
	DO(ROLLBACK, tlckpt_nl_step),
	DO(THAW, tlckpt_nl_step),
	DUMP(LOG_GET, tlckpt_nl_log_dump, .start = tlckpt_nl_log_start),
	DO(LOG_DEL, tlckpt_nl_log_del),
	DO(INJECT, tlckpt_nl_inject),
};
