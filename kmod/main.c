// SPDX-License-Identifier: GPL-2.0-only
/*
 * tlckpt.ko, the communication module of tlckpt: stamps the frames that leave for
 * other nodes of the cluster, judges those that arrive, and holds what must wait
 * for a checkpoint. Documentation/architecture.rst; rules: Documentation/protocol.rst.
 */
#include <linux/module.h>
#include <linux/netdevice.h>
#include <linux/rtnetlink.h>
#include <net/net_namespace.h>
#include <net/netns/generic.h>

#include "tlckpt_priv.h"

#if !IS_ENABLED(CONFIG_NETFILTER_INGRESS) || !IS_ENABLED(CONFIG_NETFILTER_EGRESS) || \
	!IS_ENABLED(CONFIG_NET_CLS_ACT)
#error "tlckpt needs CONFIG_NETFILTER_INGRESS, CONFIG_NETFILTER_EGRESS and CONFIG_NET_CLS_ACT"
#endif

unsigned int tlckpt_net_id;

struct tlckpt_net *tlckpt_net(const struct net *net)
{
	return net_generic(net, tlckpt_net_id);
}

static int __net_init tlckpt_net_init(struct net *net)
{
	struct tlckpt_net *tn = tlckpt_net(net);

	tn->net = net;
	tlckpt_engine_init(tn);
	return 0;
}

/* The namespace's devices went before: ports and links with them. */
static void __net_exit tlckpt_net_exit(struct net *net)
{
	struct tlckpt_net *tn = tlckpt_net(net);
	struct tlckpt_link *link, *next_link;
	struct tlckpt_port *port, *next_port;

	rtnl_lock();
	list_for_each_entry_safe(link, next_link, &tn->links, list)
		tlckpt_link_del(tn, link);
	list_for_each_entry_safe(port, next_port, &tn->ports, list)
		tlckpt_port_del(tn, port);
	tlckpt_engine_stop(tn);
	rtnl_unlock();
	cancel_delayed_work_sync(&tn->grace);
	tlckpt_peers_free(tn);
	xa_destroy(&tn->peers);
	xa_destroy(&tn->exempt);
}

static struct pernet_operations tlckpt_pernet = {
	.init = tlckpt_net_init,
	.exit = tlckpt_net_exit,
	.id = &tlckpt_net_id,
	.size = sizeof(struct tlckpt_net),
};

static void device_gone(struct tlckpt_net *tn, struct net_device *dev)
{
	struct tlckpt_link *link = tlckpt_link_find(tn, dev->ifindex);
	struct tlckpt_port *port = tlckpt_port_find(tn, dev->ifindex);

	if (link)
		tlckpt_link_del(tn, link);
	if (port)
		tlckpt_port_del(tn, port);
}

static int device_event(struct notifier_block *nb, unsigned long event, void *ptr)
{
	struct net_device *dev = netdev_notifier_info_to_dev(ptr);
	struct tlckpt_net *tn = tlckpt_net(dev_net(dev));

	switch (event) {
	case NETDEV_REGISTER:
		if (tlckpt_port_is_vif(dev) && tlckpt_port_add(tn, dev, true, NULL))
			netdev_warn(dev, "tlckpt: can't watch this guest interface\n");
		break;
	case NETDEV_UNREGISTER:
		device_gone(tn, dev);
		break;
	case NETDEV_CHANGEMTU:
		/* An error makes the core set the old one again. */
		return notifier_from_errno(tlckpt_link_check_mtu(dev));
	}
	return NOTIFY_DONE;
}

static struct notifier_block device_notifier = {
	.notifier_call = device_event,
};

static int __init tlckpt_init(void)
{
	int err;

	err = register_pernet_subsys(&tlckpt_pernet);
	if (err)
		return err;
	/* Tells of the devices that are there already, too. */
	err = register_netdevice_notifier(&device_notifier);
	if (err)
		goto pernet;
	err = tlckpt_netlink_init();
	if (err)
		goto notifier;
	tlckpt_shim_offload_add();
	return 0;

notifier:
	unregister_netdevice_notifier(&device_notifier);
pernet:
	unregister_pernet_subsys(&tlckpt_pernet);
	return err;
}

static void __exit tlckpt_exit(void)
{
	tlckpt_shim_offload_remove();
	tlckpt_netlink_exit();
	/* Tells of every device as gone: links and ports are freed. */
	unregister_netdevice_notifier(&device_notifier);
	unregister_pernet_subsys(&tlckpt_pernet);
	/* Frees by RCU of ours that are still due. */
	rcu_barrier();
}

module_init(tlckpt_init);
module_exit(tlckpt_exit);
MODULE_LICENSE("GPL");
MODULE_DESCRIPTION("Two-level checkpoints: stamp, inspect, hold and release frames between nodes");
MODULE_AUTHOR("The tlckpt authors");
MODULE_VERSION("0.1");
MODULE_ALIAS_GENL_FAMILY(TLCKPT_GENL_NAME);
