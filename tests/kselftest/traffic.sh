#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
# {bridge, OVS} x {shim, geneve}: data intact both ways, every frame between the
# nodes stamped (an independent listener on the wire says so), none that reaches a
# guest.
. ./lib.sh

wire=/tmp/wire.pcap
inside=/tmp/inside.pcap

underlay() { # geneve: the nodes' own addresses on the wire, and the tunnels
	for n in A B; do
		side=$([ $n = A ] && echo 1 || echo 2)
		N $n ip addr add 192.0.2.$side/24 dev l$n
		N $n ip link set l$n mtu 1700 up
	done
}
bridge_up() { # NODE LINK
	N $1 ip link add br0 type bridge mcast_snooping 0
	N $1 ip link set br0 up
	for dev in $2 vif1.0 vif2.0; do N $1 ip link set $dev master br0 2>/dev/null; done
}
ovs_up() { # NODE CARRIER PEER_ADDRESS: in a namespace, with state of its own
	dir=/run/ovs-$1
	mkdir -p $dir
	export OVS_RUNDIR=$dir OVS_DBDIR=$dir OVS_LOGDIR=$dir
	ovsdb-tool create $dir/conf.db /usr/share/openvswitch/vswitch.ovsschema
	N $1 ovsdb-server $dir/conf.db --remote=punix:$dir/db.sock --detach --pidfile=$dir/db.pid \
		--unixctl=$dir/db.ctl 2>/dev/null
	N $1 ovs-vswitchd unix:$dir/db.sock --detach --pidfile=$dir/vs.pid --unixctl=$dir/vs.ctl \
		2>/dev/null
	vsctl="N $1 ovs-vsctl --db=unix:$dir/db.sock"
	$vsctl --no-wait init
	$vsctl add-br ovs0
	for dev in vif1.0 vif2.0; do
		N $1 ip link show $dev >/dev/null 2>&1 && $vsctl add-port ovs0 $dev
	done
	if [ "$2" = geneve ]; then
		$vsctl add-port ovs0 gnv -- set interface gnv type=geneve options:remote_ip=$3 options:key=5
	else
		$vsctl add-port ovs0 l$1
	fi
}
ovs_down() {
	for n in A B; do
		for pid in /run/ovs-$n/vs.pid /run/ovs-$n/db.pid; do
			[ -e $pid ] && kill "$(cat $pid)"
		done
	done
	sleep 1
	rm -rf /run/ovs-A /run/ovs-B
}
build() { # SWITCH CARRIER
	topology 1600 none
	nodes
	[ $2 = geneve ] && underlay
	case $1-$2 in
	bridge-shim)
		bridge_up A lA && bridge_up B lB
		links
		;;
	bridge-geneve)
		for n in A B; do
			N $n ip link add g$n type geneve external
			N $n ip link set g$n mtu 1550 up
			bridge_up $n g$n
		done
		A link add dev gA carrier geneve remote 192.0.2.2 vni 5
		B link add dev gB carrier geneve remote 192.0.2.1 vni 5
		;;
	ovs-shim)
		ovs_up A shim && ovs_up B shim
		links
		;;
	ovs-geneve)
		ovs_up A geneve 192.0.2.2 && ovs_up B geneve 192.0.2.1
		for n in A B; do
			N $n ip link set genev_sys_6081 mtu 1550
			N $n "$TOOL" link add dev genev_sys_6081 carrier geneve
		done
		;;
	esac
	A step thaw
	B step thaw
}
listen() {
	N A tcpdump -Z root -i lA -s 200 -w $wire 2>/dev/null &
	on_wire=$!
	N b1 tcpdump -Z root -i eth0 -s 100 -w $inside 2>/dev/null &
	in_guest=$!
	sleep 1
}
listen_no_more() {
	sleep 1
	kill $on_wire $in_guest
	wait $on_wire $in_guest
}
# Frames of the guests on the wire that carry no stamp; and that carry one.
unstamped() {
	if [ $1 = shim ]; then
		tcpdump -Z root -nr $wire \
			'ether[6:4] = 0x00163e00 and not ether proto 0x88b5 and not (vlan and ether proto 0x88b5)'
	else
		tcpdump -Z root -nvr $wire 'udp port 6081' | grep 'Geneve' | grep -v 'ff00'
	fi 2>/dev/null | wc -l
}
stamped() {
	if [ $1 = shim ]; then
		tcpdump -Z root -nr $wire 'ether proto 0x88b5 or (vlan and ether proto 0x88b5)'
	else
		tcpdump -Z root -nvr $wire 'udp port 6081' | grep 'ff00'
	fi 2>/dev/null | wc -l
}
tcp_bulk() { # SERVER_NAMESPACE ADDRESS CLIENT_NAMESPACE
	N $1 iperf3 -s -1 -D --pidfile /tmp/iperf.pid >/dev/null
	sleep 1
	timeout 30 ip netns exec $3 iperf3 -c $2 -n 4M -i 0 >/tmp/iperf.out 2>&1
}
sequence() { # SIZE COUNT
	N b1 /test/udpseq recv 5000 2 >/tmp/received &
	receiver=$!
	N a1 /test/udpseq send 10.0.0.11 5000 $2 $1 300
	wait $receiver
	grep -q "^received $2 lost 0 reordered 0 duplicate 0 damaged 0" /tmp/received ||
		{ cat /tmp/received; false; }
}

for switch in bridge ovs; do
	for carrier in shim geneve; do
		what="$switch $carrier"
		build $switch $carrier >/tmp/build.out 2>&1
		check "$what: ping" N a1 ping -c3 -i0.3 -W3 10.0.0.11
		listen
		check "$what: UDP small" sequence 60 300
		check "$what: UDP large, fragments" sequence 5000 100
		check "$what: TCP bulk" tcp_bulk b1 10.0.0.11 a1
		check "$what: TCP bulk back" tcp_bulk a1 10.0.0.1 b1
		check "$what: IPv6" N a1 ping -6 -c2 -i0.3 -W3 fd00::11
		check "$what: IPv6 TCP" tcp_bulk b1 fd00::11 a1
		N b1 sh -c 'echo 0 >/proc/sys/net/ipv4/icmp_echo_ignore_broadcasts'
		check "$what: multicast" N a1 ping -c2 -i0.3 -W3 -I eth0 224.0.0.1
		for g in a1 b1; do
			N $g ip link add link eth0 name eth0.10 type vlan id 10
			N $g ip link set eth0.10 mtu 1400 up
			N $g ip addr add "10.0.10.$([ $g = a1 ] && echo 1 || echo 11)/24" dev eth0.10
		done
		check "$what: VLAN" N a1 ping -c2 -i0.3 -W3 10.0.10.11
		listen_no_more
		check "$what: every frame between nodes is stamped" [ "$(unstamped $carrier)" = 0 ]
		check "$what: and there are many" [ "$(stamped $carrier)" -ge 400 ]
		check "$what: no stamp reached the guest" \
			[ "$(tcpdump -Z root -nr $inside 'ether proto 0x88b5' 2>/dev/null | wc -l)" = 0 ]
		[ $switch = ovs ] && ovs_down
		teardown
	done
done
finish
