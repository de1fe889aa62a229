/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Tables of the netlink family, after Documentation/netlink/specs/tlckpt.yaml; a
 * test compares the two. One handler per command.
 */
#ifndef _TLCKPT_NETLINK_GEN_H
#define _TLCKPT_NETLINK_GEN_H

#include <net/genetlink.h>
#include <linux/tlckpt.h>

extern const struct nla_policy tlckpt_policy[TLCKPT_A_MAX + 1];
extern const struct nla_policy tlckpt_node_policy[TLCKPT_A_NODE_MAX + 1];
extern const struct nla_policy tlckpt_port_policy[TLCKPT_A_PORT_MAX + 1];
extern const struct nla_policy tlckpt_link_policy[TLCKPT_A_LINK_MAX + 1];
extern const struct nla_policy tlckpt_step_policy[TLCKPT_A_STEP_MAX + 1];
extern const struct nla_policy tlckpt_log_policy[TLCKPT_A_LOG_MAX + 1];

extern struct genl_family tlckpt_family;

#define TLCKPT_NR_OPS 28
extern const struct genl_ops tlckpt_ops[TLCKPT_NR_OPS];

/* netlink.c: for the handlers */
int tlckpt_nl_nest(struct genl_info *info, int which, int max, const struct nla_policy *policy,
		   struct nlattr **tb);
int tlckpt_nl_refuse(struct genl_info *info, int err, const char *text);

int tlckpt_nl_node_set(struct sk_buff *skb, struct genl_info *info);
int tlckpt_nl_node_get(struct sk_buff *skb, struct genl_info *info);
int tlckpt_nl_node_del(struct sk_buff *skb, struct genl_info *info);
int tlckpt_nl_port_add(struct sk_buff *skb, struct genl_info *info);
int tlckpt_nl_port_del(struct sk_buff *skb, struct genl_info *info);
int tlckpt_nl_port_dump(struct sk_buff *skb, struct netlink_callback *cb);
int tlckpt_nl_link_add(struct sk_buff *skb, struct genl_info *info);
int tlckpt_nl_link_del(struct sk_buff *skb, struct genl_info *info);
int tlckpt_nl_link_dump(struct sk_buff *skb, struct netlink_callback *cb);
int tlckpt_nl_exempt_add(struct sk_buff *skb, struct genl_info *info);
int tlckpt_nl_exempt_del(struct sk_buff *skb, struct genl_info *info);
int tlckpt_nl_exempt_dump(struct sk_buff *skb, struct netlink_callback *cb);
int tlckpt_nl_peer_dump(struct sk_buff *skb, struct netlink_callback *cb);
int tlckpt_nl_own(struct sk_buff *skb, struct genl_info *info);
int tlckpt_nl_step(struct sk_buff *skb, struct genl_info *info);
int tlckpt_nl_log_start(struct netlink_callback *cb);
int tlckpt_nl_log_dump(struct sk_buff *skb, struct netlink_callback *cb);
int tlckpt_nl_log_del(struct sk_buff *skb, struct genl_info *info);
int tlckpt_nl_inject(struct sk_buff *skb, struct genl_info *info);

#endif /* _TLCKPT_NETLINK_GEN_H */
