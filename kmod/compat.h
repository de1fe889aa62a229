/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What differs between the supported kernels (6.1, 6.12), in one place: feature
 * tests, and version checks only where no test can work.
 */
#ifndef _TLCKPT_COMPAT_H
#define _TLCKPT_COMPAT_H

#include <linux/version.h>
#include <net/genetlink.h>
#include <net/ip_tunnels.h>

/* d457a0e329b0 (6.6) moved skb_gso_segment() and friends. */
#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 6, 0)
#include <net/gso.h>
#else
#include <linux/netdevice.h>
#endif

/* 5832c4a77d69 (6.10): tun_flags is a bitmap. */
static inline void compat_tunnel_key_set(struct ip_tunnel_key *key, bool options)
{
#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 10, 0)
	__set_bit(IP_TUNNEL_KEY_BIT, key->tun_flags);
	if (options)
		__set_bit(IP_TUNNEL_GENEVE_OPT_BIT, key->tun_flags);
#else
	key->tun_flags |= TUNNEL_KEY | (options ? TUNNEL_GENEVE_OPT : 0);
#endif
}

static inline bool compat_tunnel_has_options(const struct ip_tunnel_key *key)
{
#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 10, 0)
	return test_bit(IP_TUNNEL_GENEVE_OPT_BIT, key->tun_flags);
#else
	return key->tun_flags & TUNNEL_GENEVE_OPT;
#endif
}

/* 2c92ca849fcc (6.10): __assign_str() takes the source from __string(). */
#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 10, 0)
#define compat_assign_str(field, source) __assign_str(field)
#else
#define compat_assign_str(field, source) __assign_str(field, source)
#endif

/* 7288dd2fd488 (6.6): a dump's request is a struct genl_info. */
static inline struct nlattr **compat_dump_attrs(struct netlink_callback *cb)
{
#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 6, 0)
	return genl_dumpit_info(cb)->info.attrs;
#else
	return genl_dumpit_info(cb)->attrs;
#endif
}

/* A multicast group only for CAP_NET_ADMIN: 6.7, and in stable kernels since. */
#ifdef GENL_MCAST_CAP_NET_ADMIN
#define COMPAT_MCAST_FLAGS GENL_MCAST_CAP_NET_ADMIN
#else
#define COMPAT_MCAST_FLAGS 0
#endif

#endif /* _TLCKPT_COMPAT_H */
