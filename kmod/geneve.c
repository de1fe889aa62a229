// SPDX-License-Identifier: GPL-2.0-only
/*
 * Carrier B: the stamp as an option of Geneve (RFC 8926) on a device that takes
 * its tunnel from the frame's metadata ("external"). Segmentation, GRO and every
 * tool on the wire stay native. Where OVS or tc gave the frame metadata, the
 * option is appended; else the link's own remote is used, and the metadata is
 * kept per CPU as long as the stamp stays the same.
 */
#include <linux/if_link.h>
#include <linux/percpu.h>
#include <net/dst_cache.h>
#include <net/dst_metadata.h>
#include <net/geneve.h>
#include <net/rtnetlink.h>
#include <tlckpt/carrier.h>

#include "compat.h"
#include "tlckpt_priv.h"
#include "trace.h"

struct stamp_option {
	struct geneve_opt header;
	u8 stamp[TLCKPT_STAMP_LEN];
} __packed;

static_assert(sizeof(struct stamp_option) == TLCKPT_OPTION_LEN);

/**
 * struct tlckpt_metadata - a CPU's metadata of a link with a remote of its own
 * @md:     with the stamp of
 * @serial: this published state
 */
struct tlckpt_metadata {
	struct metadata_dst *md;
	u64 serial;
};

static void option_fill(struct ip_tunnel_info *info, unsigned int before,
			const struct tlckpt_pub *pub)
{
	struct stamp_option *option = (void *)((u8 *)ip_tunnel_info_opts(info) + before);

	memset(&option->header, 0, sizeof(option->header));
	option->header.opt_class = htons(TLCKPT_OPTION_CLASS);
	option->header.type = TLCKPT_OPTION_TYPE;
	option->header.length = TLCKPT_STAMP_LEN / 4;
	memcpy(option->stamp, pub->wire, TLCKPT_STAMP_LEN);
	info->options_len = before + sizeof(*option);
	compat_tunnel_key_set(&info->key, true);
}

/* Metadata of a link with a remote of its own, for the current stamp. */
static struct metadata_dst *metadata_of_link(const struct tlckpt_link *link,
					     const struct tlckpt_pub *pub)
{
	const struct tlckpt_link_config *config = &link->config;
	struct metadata_dst *md;
	struct ip_tunnel_info *info;

	md = metadata_dst_alloc(sizeof(struct stamp_option), METADATA_IP_TUNNEL,
				GFP_ATOMIC | __GFP_NOWARN);
	if (!md)
		return NULL;
	info = &md->u.tun_info;
	memset(info, 0, sizeof(*info));
	info->mode = IP_TUNNEL_INFO_TX;
	if (config->family == AF_INET6) {
		info->mode |= IP_TUNNEL_INFO_IPV6;
		info->key.u.ipv6.dst = config->remote6;
	} else {
		info->key.u.ipv4.dst = config->remote4;
	}
	info->key.ttl = 64;
	info->key.tun_id = cpu_to_be64(config->vni);
#ifdef CONFIG_DST_CACHE
	/* Optional: the route to the remote is then looked up once. Freed with @md. */
	dst_cache_init(&info->dst_cache, GFP_ATOMIC | __GFP_NOWARN);
#endif
	option_fill(info, 0, pub);
	return md;
}

/* This CPU's metadata with the current stamp, a reference for the frame. BH off. */
static struct metadata_dst *metadata_cached(struct tlckpt_link *link, const struct tlckpt_pub *pub)
{
	struct tlckpt_metadata *cached = this_cpu_ptr(link->cached);
	struct metadata_dst *md;

	if (unlikely(cached->serial != pub->serial)) {
		md = metadata_of_link(link, pub);
		if (!md)
			return NULL;
		if (cached->md)
			dst_release(&cached->md->dst);
		cached->md = md;
		cached->serial = pub->serial;
	}
	dst_hold(&cached->md->dst);
	return cached->md;
}

/* A copy of the frame's metadata with the option behind the others. */
static struct metadata_dst *metadata_appended(const struct ip_tunnel_info *from,
					      const struct tlckpt_pub *pub)
{
	unsigned int before = compat_tunnel_has_options(&from->key) ? from->options_len : 0;
	struct metadata_dst *md;

	md = metadata_dst_alloc(before + sizeof(struct stamp_option), METADATA_IP_TUNNEL,
				GFP_ATOMIC | __GFP_NOWARN);
	if (!md)
		return NULL;
	memcpy(&md->u.tun_info, from, sizeof(*from));
#ifdef CONFIG_DST_CACHE
	md->u.tun_info.dst_cache.cache = NULL;
#endif
	memcpy(ip_tunnel_info_opts(&md->u.tun_info), from + 1, before);
	option_fill(&md->u.tun_info, before, pub);
	return md;
}

static unsigned int geneve_stamp(struct tlckpt_link *link, struct sk_buff *skb,
				 const struct tlckpt_pub *pub)
{
	const struct ip_tunnel_info *info = skb_tunnel_info(skb);
	struct metadata_dst *md;

	if (info && info->mode & IP_TUNNEL_INFO_TX)
		md = metadata_appended(info, pub);
	else if (link->config.family != AF_UNSPEC)
		md = metadata_cached(link, pub);
	else
		md = NULL;
	if (!md) {
		stat_inc(link->stats, STAT_TX_ERRORS);
		return NF_DROP;
	}
	skb_dst_drop(skb);
	skb_dst_set(skb, &md->dst);
	stat_inc(link->stats, STAT_TX_STAMPED);
	trace_tlckpt_stamp(link->dev, pub->view.captured, skb->len,
			   skb_is_gso(skb) ? skb_shinfo(skb)->gso_segs : 1);
	return NF_ACCEPT;
}

static const u8 *geneve_peek(struct sk_buff *skb)
{
	const struct ip_tunnel_info *info = skb_tunnel_info(skb);
	const u8 *wire = NULL;

	if (!info || info->mode & IP_TUNNEL_INFO_TX || !info->options_len)
		return NULL;
	if (tlckpt_option_find((const u8 *)(info + 1), info->options_len, &wire) < 0)
		return ERR_PTR(-EINVAL);
	return wire;
}

/* The metadata is this frame's own; without options sn stays out of OVS flow keys. */
static struct sk_buff *geneve_strip(struct sk_buff *skb)
{
	skb_tunnel_info(skb)->options_len = 0;
	return skb;
}

/* Asks the device itself, as `ip -d link` does: only external ones read metadata. */
static bool is_external(const struct net_device *dev)
{
	const struct nlattr *attr;
	struct sk_buff *msg;
	bool external = false;

	msg = alloc_skb(NLMSG_GOODSIZE, GFP_KERNEL);
	if (!msg)
		return false;
	if (!dev->rtnl_link_ops->fill_info(msg, dev)) {
		attr = nla_find((struct nlattr *)msg->data, msg->len,
				IFLA_GENEVE_COLLECT_METADATA);
		external = attr;
	}
	kfree_skb(msg);
	return external;
}

static int geneve_attach(struct tlckpt_link *link, struct netlink_ext_ack *extack)
{
	const struct rtnl_link_ops *ops = link->dev->rtnl_link_ops;

	if (!ops || strcmp(ops->kind, "geneve") || !ops->fill_info || !is_external(link->dev)) {
		NL_SET_ERR_MSG(extack,
			       "the carrier geneve needs a device made by: ip link add NAME type geneve external");
		return -EINVAL;
	}
	link->cached = alloc_percpu(struct tlckpt_metadata);
	return link->cached ? 0 : -ENOMEM;
}

static void geneve_detach(struct tlckpt_link *link)
{
	struct metadata_dst *md;
	int cpu;

	for_each_possible_cpu(cpu) {
		md = per_cpu_ptr(link->cached, cpu)->md;
		if (md)
			dst_release(&md->dst);
	}
	free_percpu(link->cached);
}

const struct tlckpt_carrier_ops tlckpt_geneve_ops = {
	.name = "geneve",
	.overhead = sizeof(struct stamp_option),
	.attach = geneve_attach,
	.detach = geneve_detach,
	.stamp = geneve_stamp,
	.peek = geneve_peek,
	.strip = geneve_strip,
};
