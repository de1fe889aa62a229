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
	mount -i -t nfs4 -o "addr=10.0.2.2,clientaddr=10.0.2.15,port=$(cat /rig/nfs),vers=4.2,sec=sys,hard,timeo=100" \
		10.0.2.2:/tlckpt $STORE
}

# node_config [TOML_LINES]: what follows is added to the section [cluster]
node_config() {
	local fence=${FENCE-/rig/power-off}
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
		endpoints = ["${ETCD:-https://10.0.2.2:$(cat /rig/etcd)}"]
		ca_file = "${CA:-/rig/etcd-client/ca.pem}"
		cert_file = "${CERTIFICATE:-/rig/etcd-client}/cert.pem"
		key_file = "${CERTIFICATE:-/rig/etcd-client}/key.pem"
		user = "tlckpt"
		password_file = "${PASSWORD:-/rig/etcd-client/password}"
		[cluster]
		node_id = ${NODE_ID:-$NODE}
		key_file = "/tmp/scenario/key"
		links = ["eth0"]
		lease_s = ${LEASE:-10}
		mode = "${MODE:-ms}"
		$([ ! "$fence" ] || echo "fence = '$fence'")
		$*
	TOML
}
