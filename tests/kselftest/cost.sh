#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
# Instructions per frame, from a guest's socket on A to one on B: sender's and
# receiver's half together, for a machine that counts (QEMU -icount: one instruction
# is one nanosecond, whatever the host does). A line "cost CONFIGURATION KIND NUMBER"
# each; tests/kernel/cost makes the table of them.
. ./lib.sh

frames=${FRAMES:-20000}
octets=${OCTETS:-60000000}

udp() { # PAYLOAD
	N a1 /test/flow cost udp 10.0.0.99 9 "$frames" "$1" | awk -v n="$frames" '{ print $1 / n }'
}
tcp() {
	spawn b1 /test/flow sink 6000
	sink=$!
	N a1 /test/flow cost tcp 10.0.0.11 6000 $((octets / 60000)) 60000
	wait $sink
}
measure() {
	N a1 ping -c2 -i0.2 -W2 10.0.0.11 >/dev/null || not_ok "$1: no way through"
	# The second of two: caches of routes, neighbours and code are warm.
	for kind in udp-60 udp-1400 tcp; do
		for _ in 1 2; do
			case $kind in
			udp-60) cost=$(udp 18) ;;
			udp-1400) cost=$(udp 1358) ;;
			tcp) cost=$(tcp) ;;
			esac
		done
		echo "cost $1 $kind $cost"
		check "$1: $kind is measured" [ "${cost:-0}" != 0 ]
	done
}
on_bridge() { # DEVICE_OF_A DEVICE_OF_B
	N A ip link set "$1" master br0
	N B ip link set "$2" master br0
}
p2p_up() { # Geneve with a fixed remote
	for n in A B; do
		N $n ip link add p$n type geneve id 7 remote "$(other $n)" dstport 6082
		N $n ip link set p$n mtu 1500 up
	done
}
external_up() { # Geneve that takes its remote from each frame's metadata
	for n in A B; do
		N $n ip link add g$n type geneve external
		N $n ip link set g$n mtu 1550 up
	done
}
metadata() { # add|del: given where the guest's frames come in, by tc
	for n in A B; do
		N $n tc qdisc "$1" dev vif1.0 clsact
		[ "$1" = add ] || continue
		N $n tc filter add dev vif1.0 ingress matchall action tunnel_key set id 5 \
			src_ip "$(own $n)" dst_ip "$(other $n)" nocsum
	done
}
own() { [ "$1" = A ] && echo 192.0.2.1 || echo 192.0.2.2; }
other() { [ "$1" = A ] && echo 192.0.2.2 || echo 192.0.2.1; }

topology
ip link add uA netns A type veth peer name uB netns B
for n in A B; do
	N $n ip link set u$n mtu 1700 up
	N $n ip addr add "$(own $n)/24" dev u$n
	# As a NIC: segmentation by the stack, GRO at the receiver.
	for dev in l$n u$n; do N $n ethtool -K $dev gro on tso off; done
	N $n ethtool -K vif1.0 gro on
done >/dev/null
for g in a1 b1; do N $g ethtool -K eth0 gro on; done
# Datagrams to an address that b1 does not have: they end where it drops them.
N a1 ip neigh add 10.0.0.99 lladdr 00:16:3e:00:00:0b dev eth0 nud permanent

# The bridge asks its ports for the room in front that a vxlan port wants: guests' frames
# have as much then as netback gives them, and none is copied for want of it.
for n in A B; do
	N $n ip link add x$n type vxlan id 9 dstport 4790
	N $n ip link set x$n master br0
done

measure plain
load
measure loaded-no-link
nodes
measure node-no-link
links
measure shim
for event in /sys/kernel/tracing/events/tlckpt/*/enable; do echo 1 >"$event"; done
measure shim-traced
for event in /sys/kernel/tracing/events/tlckpt/*/enable; do echo 0 >"$event"; done
A link delete dev lA
B link delete dev lB
N A ip link set lA nomaster
N B ip link set lB nomaster
p2p_up
on_bridge pA pB
measure geneve-fixed
N A ip link del pA
N B ip link del pB
external_up
on_bridge gA gB
metadata add
measure geneve-external
metadata del
for n in A B; do
	N $n "$TOOL" link add dev g$n carrier geneve remote "$(other $n)" vni 5
done
measure geneve-stamped
for event in /sys/kernel/tracing/events/tlckpt/*/enable; do echo 1 >"$event"; done
measure geneve-stamped-traced
# What memory and slabs have become meanwhile costs a stream as much as the module does.
for n in A B; do N $n ip link del g$n; done
on_bridge lA lB
rmmod tlckpt
measure plain-again
finish
