# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash
# What a Dom0 of several does; sourced by the agent behind lib.sh.
STORE=/mnt/shared
NODE=$(sed 's/^node//' /proc/sys/kernel/hostname)

# The wire becomes a port of the guests' bridge; the module, the shared store.
node_begin() {
	modprobe virtio_net
	poll 20 test -e /sys/class/net/eth1
	ip link set eth0 mtu 1600 up
	ip link set eth0 master xenbr0
	# Else it is the largest that its ports can: vifs take it, and leave no room for the stamp.
	ip link set xenbr0 mtu 1500
	ip addr flush dev xenbr0
	ip addr add "10.0.0.$NODE/24" dev xenbr0
	ip link set eth1 up
	ip addr add 10.0.2.15/24 dev eth1
	insmod /rig/tlckpt.ko
	mkdir -p $STORE
	mount -t 9p -o trans=virtio,version=9p2000.L,msize=524288,cache=none shared $STORE
}

# node_config [TOML_LINES]: what follows is added to the section [cluster]
node_config() {
	echo "${KEY:-000102030405060708090a0b0c0d0e0f}" >key
	cat >"$CONFIG" <<-TOML
		node = "n$NODE"
		state_directory = "/tmp/scenario/state"
		log_level = "debug"
		[store]
		directory = "$STORE/tlckpt"
		keep = 0
		[checkpoint]
		staging_mib = 64
		period_ms = ${PERIOD:-0}
		[etcd]
		endpoints = ["$(cat /rig/etcd)"]
		[cluster]
		node_id = $NODE
		key_file = "/tmp/scenario/key"
		links = ["eth0"]
		lease_s = ${LEASE:-10}
		$*
	TOML
}
