// SPDX-License-Identifier: GPL-2.0-only
/* Netlink requests about interfaces, addresses and logged frames. */
#include <linux/etherdevice.h>
#include <linux/if_vlan.h>
#include <linux/rtnetlink.h>

#include "netlink_gen.h"
#include "tlckpt_priv.h"

/*
 * What a request about one interface has in common: parses the nest @which to @tb,
 * takes RTNL, finds the device that @ifindex names. An ERR_PTR, without RTNL, and
 * the reason is told.
 */
static struct net_device *lock_device(struct genl_info *info, int which, int max,
				      const struct nla_policy *policy, struct nlattr **tb,
				      int ifindex)
{
	int err = tlckpt_nl_nest(info, which, max, policy, tb);
	struct net_device *dev;

	if (err)
		return ERR_PTR(err);
	if (!tb[ifindex])
		return ERR_PTR(tlckpt_nl_refuse(info, -EINVAL, "an interface index is needed"));
	rtnl_lock();
	dev = __dev_get_by_index(genl_info_net(info), nla_get_u32(tb[ifindex]));
	if (dev)
		return dev;
	rtnl_unlock();
	NL_SET_BAD_ATTR(info->extack, tb[ifindex]);
	return ERR_PTR(tlckpt_nl_refuse(info, -ENODEV, "no such interface in this namespace"));
}

static struct net_device *lock_port(struct genl_info *info)
{
	struct nlattr *tb[TLCKPT_A_PORT_MAX + 1];

	return lock_device(info, TLCKPT_A_PORT, TLCKPT_A_PORT_MAX, tlckpt_port_policy, tb,
			   TLCKPT_A_PORT_IFINDEX);
}

static struct net_device *lock_link(struct genl_info *info, struct nlattr **tb)
{
	return lock_device(info, TLCKPT_A_LINK, TLCKPT_A_LINK_MAX, tlckpt_link_policy, tb,
			   TLCKPT_A_LINK_IFINDEX);
}

int tlckpt_nl_port_add(struct sk_buff *skb, struct genl_info *info)
{
	struct net_device *dev = lock_port(info);
	int err;

	if (IS_ERR(dev))
		return PTR_ERR(dev);
	err = tlckpt_port_add(tlckpt_net(dev_net(dev)), dev, false, info->extack);
	rtnl_unlock();
	return err;
}

int tlckpt_nl_port_del(struct sk_buff *skb, struct genl_info *info)
{
	struct net_device *dev = lock_port(info);
	struct tlckpt_net *tn;
	struct tlckpt_port *port;
	int err = 0;

	if (IS_ERR(dev))
		return PTR_ERR(dev);
	tn = tlckpt_net(dev_net(dev));
	port = tlckpt_port_find(tn, dev->ifindex);
	if (!port)
		err = tlckpt_nl_refuse(info, -ENOENT, "the interface is not a port");
	else if (port->automatic)
		err = tlckpt_nl_refuse(info, -EBUSY,
				       "a guest's own vif is a port as long as it is there");
	else
		tlckpt_port_del(tn, port);
	rtnl_unlock();
	return err;
}

static int link_config(struct tlckpt_link_config *config, struct nlattr **tb,
		       struct genl_info *info)
{
	memset(config, 0, sizeof(*config));
	if (tb[TLCKPT_A_LINK_CARRIER])
		config->carrier = nla_get_u8(tb[TLCKPT_A_LINK_CARRIER]);
	if (tb[TLCKPT_A_LINK_REMOTE4] && tb[TLCKPT_A_LINK_REMOTE6])
		return tlckpt_nl_refuse(info, -EINVAL, "one remote, IPv4 or IPv6");
	if (tb[TLCKPT_A_LINK_REMOTE4]) {
		config->family = AF_INET;
		config->remote4 = nla_get_be32(tb[TLCKPT_A_LINK_REMOTE4]);
	} else if (tb[TLCKPT_A_LINK_REMOTE6]) {
		config->family = AF_INET6;
		config->remote6 = nla_get_in6_addr(tb[TLCKPT_A_LINK_REMOTE6]);
	}
	if (tb[TLCKPT_A_LINK_VNI])
		config->vni = nla_get_u32(tb[TLCKPT_A_LINK_VNI]);
	if (config->carrier == TLCKPT_CARRIER_SHIM && (config->family || config->vni))
		return tlckpt_nl_refuse(info, -EINVAL,
					"a remote and a vni are for the carrier geneve only");
	return 0;
}

int tlckpt_nl_link_add(struct sk_buff *skb, struct genl_info *info)
{
	struct nlattr *tb[TLCKPT_A_LINK_MAX + 1];
	struct net_device *dev = lock_link(info, tb);
	struct tlckpt_link_config config;
	int err;

	if (IS_ERR(dev))
		return PTR_ERR(dev);
	err = link_config(&config, tb, info);
	if (!err)
		err = tlckpt_link_add(tlckpt_net(dev_net(dev)), dev, &config, info->extack);
	rtnl_unlock();
	return err;
}

int tlckpt_nl_link_del(struct sk_buff *skb, struct genl_info *info)
{
	struct nlattr *tb[TLCKPT_A_LINK_MAX + 1];
	struct net_device *dev = lock_link(info, tb);
	struct tlckpt_net *tn;
	struct tlckpt_link *link;
	int err = 0;

	if (IS_ERR(dev))
		return PTR_ERR(dev);
	tn = tlckpt_net(dev_net(dev));
	link = tlckpt_link_find(tn, dev->ifindex);
	if (link)
		tlckpt_link_del(tn, link);
	else
		err = tlckpt_nl_refuse(info, -ENOENT, "the interface is not a link");
	rtnl_unlock();
	return err;
}

int tlckpt_nl_exempt_add(struct sk_buff *skb, struct genl_info *info)
{
	struct tlckpt_net *tn = tlckpt_net(genl_info_net(info));
	const u8 *address;
	int err;

	if (GENL_REQ_ATTR_CHECK(info, TLCKPT_A_EXEMPT))
		return tlckpt_nl_refuse(info, -EINVAL, "an address is needed");
	address = nla_data(info->attrs[TLCKPT_A_EXEMPT]);
	if (!is_valid_ether_addr(address))
		return tlckpt_nl_refuse(info, -EINVAL, "not a unicast address");
	rtnl_lock();
	err = xa_insert_bh(&tn->exempt, tlckpt_exempt_key(address), xa_mk_value(1), GFP_KERNEL);
	if (!err)
		WRITE_ONCE(tn->nr_exempt, tn->nr_exempt + 1);
	rtnl_unlock();
	return err == -EBUSY ? tlckpt_nl_refuse(info, -EEXIST, "the address is exempt already")
			     : err;
}

int tlckpt_nl_exempt_del(struct sk_buff *skb, struct genl_info *info)
{
	struct tlckpt_net *tn = tlckpt_net(genl_info_net(info));
	int err = 0;

	if (GENL_REQ_ATTR_CHECK(info, TLCKPT_A_EXEMPT))
		return tlckpt_nl_refuse(info, -EINVAL, "an address is needed");
	rtnl_lock();
	if (xa_erase_bh(&tn->exempt, tlckpt_exempt_key(nla_data(info->attrs[TLCKPT_A_EXEMPT]))))
		WRITE_ONCE(tn->nr_exempt, tn->nr_exempt - 1);
	else
		err = tlckpt_nl_refuse(info, -ENOENT, "the address is not exempt");
	rtnl_unlock();
	return err;
}

/* ---- channel log ---- */

int tlckpt_nl_log_del(struct sk_buff *skb, struct genl_info *info)
{
	struct tlckpt_net *tn = tlckpt_net(genl_info_net(info));
	struct nlattr *tb[TLCKPT_A_LOG_MAX + 1];
	int err = tlckpt_nl_nest(info, TLCKPT_A_LOG, TLCKPT_A_LOG_MAX, tlckpt_log_policy, tb);

	if (err)
		return err;
	if (!tb[TLCKPT_A_LOG_SN])
		return tlckpt_nl_refuse(info, -EINVAL, "up to which sn");
	spin_lock_bh(&tn->lock);
	tlckpt_log_forget(tn, nla_get_u64(tb[TLCKPT_A_LOG_SN]));
	spin_unlock_bh(&tn->lock);
	return 0;
}

/* Gives one frame to the guests: through a link's receive path, or out of a port. */
static int inject(struct net_device *dev, const struct nlattr *frame, struct genl_info *info)
{
	struct tlckpt_net *tn = tlckpt_net(dev_net(dev));
	struct tlckpt_port *port = tlckpt_port_find(tn, dev->ifindex);
	struct tlckpt_link *link = tlckpt_link_find(tn, dev->ifindex);
	struct sk_buff *skb;

	if (!port && !link)
		return tlckpt_nl_refuse(info, -EINVAL, "frames are injected at a port or a link");
	if (nla_len(frame) > dev->mtu + VLAN_ETH_HLEN)
		return tlckpt_nl_refuse(info, -EMSGSIZE,
					"the frame is longer than the interface's MTU");
	skb = netdev_alloc_skb_ip_align(dev, nla_len(frame) + LL_RESERVED_SPACE(dev));
	if (!skb)
		return -ENOMEM;
	skb_reserve(skb, LL_RESERVED_SPACE(dev));
	skb_put_data(skb, nla_data(frame), nla_len(frame));
	local_bh_disable();
	if (port) {
		skb->protocol = ((struct ethhdr *)skb->data)->h_proto;
		skb_reset_mac_header(skb);
		skb_set_network_header(skb, ETH_HLEN);
		tlckpt_xmit_again(skb);
	} else {
		skb->protocol = eth_type_trans(skb, dev);
		tlckpt_receive_again(&link->hold, skb);
	}
	local_bh_enable();
	return 0;
}

int tlckpt_nl_inject(struct sk_buff *skb, struct genl_info *info)
{
	struct nlattr *tb[TLCKPT_A_LOG_MAX + 1];
	struct net_device *dev = lock_device(info, TLCKPT_A_LOG, TLCKPT_A_LOG_MAX,
					     tlckpt_log_policy, tb, TLCKPT_A_LOG_IFINDEX);
	int err;

	if (IS_ERR(dev))
		return PTR_ERR(dev);
	err = tb[TLCKPT_A_LOG_FRAME] ? inject(dev, tb[TLCKPT_A_LOG_FRAME], info)
				     : tlckpt_nl_refuse(info, -EINVAL, "no frame");
	rtnl_unlock();
	return err;
}
