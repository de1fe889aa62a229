#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
# {bridge, OVS} x {shim, geneve}: data intact both ways, every frame between the
# nodes stamped (an independent listener on the wire says so), no frame within a
# node, none that reaches a guest.
. ./lib.sh

wire=/tmp/wire.pcap
inside=/tmp/inside.pcap
local=/tmp/local.pcap
octets=${OCTETS:-1000000}

underlay() { # geneve: the nodes' own addresses on the wire
	for n in A B; do
		side=$([ $n = A ] && echo 1 || echo 2)
		N $n ip addr add 192.0.2.$side/24 dev l$n
		N $n ip addr add 2001:db8::$side/64 dev l$n nodad
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
	N $1 ovsdb-server $dir/conf.db --remote=punix:$dir/db.sock --detach --no-chdir \
		--pidfile=$dir/db.pid --unixctl=$dir/db.ctl --log-file=$dir/db.log
	N $1 ovs-vswitchd unix:$dir/db.sock --detach --no-chdir --pidfile=$dir/vs.pid \
		--unixctl=$dir/vs.ctl --log-file=$dir/vs.log
	# A flow that is forgotten between two frames would reorder those that come next.
	set -- "$@" -- set Open_vSwitch . other_config:max-idle=600000 -- add-br ovs0
	for dev in vif1.0 vif2.0; do
		N $1 ip link show $dev >/dev/null 2>&1 && set -- "$@" -- add-port ovs0 $dev
	done
	if [ "$2" = geneve ]; then
		set -- "$@" -- add-port ovs0 gnv -- set interface gnv type=geneve \
			options:remote_ip=$3 options:key=5
	else
		set -- "$@" -- add-port ovs0 l$1
	fi
	node=$1
	while [ "$1" != -- ]; do shift; done
	N $node ovs-vsctl --db=unix:$dir/db.sock --timeout=30 init "$@"
}
ovs_down() {
	for pid in /run/ovs-?/*.pid; do [ -e $pid ] && kill "$(cat $pid)"; done
	rm -rf /run/ovs-A /run/ovs-B
}
# A slow kernel may not answer in the three seconds after which a neighbour is asked for anew,
# and what is sent to it meanwhile lost: who is known stays known.
neighbours_stay() {
	for n in a1 a2 b1 A B; do
		N $n ip neigh | while read -r address _ dev _ lladdr state; do
			[ -z "$state" ] || N $n ip neigh replace $address dev $dev lladdr $lladdr nud permanent
		done
	done
}
build() { # SWITCH CARRIER
	topology 1600 none
	nodes
	case $1-$2 in
	bridge-shim)
		bridge_up A lA && bridge_up B lB
		# As with a NIC: segmentation by the stack, GRO at the receiver.
		for n in A B; do N $n ethtool -K l$n gro on tso off; done
		A link add dev lA && B link add dev lB
		;;
	bridge-geneve) # over IPv6
		underlay
		for n in A B; do
			N $n ip link add g$n type geneve external
			N $n ip link set g$n mtu 1550 up
			bridge_up $n g$n
		done
		A link add dev gA carrier geneve remote 2001:db8::2 vni 5
		B link add dev gB carrier geneve remote 2001:db8::1 vni 5
		;;
	ovs-shim)
		ovs_up A shim && ovs_up B shim
		A link add dev lA && B link add dev lB
		;;
	ovs-geneve)
		underlay
		ovs_up A geneve 192.0.2.2 && ovs_up B geneve 192.0.2.1
		for n in A B; do
			N $n ip link set genev_sys_6081 mtu 1550
			N $n "$TOOL" link add dev genev_sys_6081 carrier geneve
		done
		;;
	esac
	A step thaw
	B step thaw
	for g in a1 b1; do
		# veth's NAPI runs where the last sender ran, and would reorder the others.
		N $g sh -c 'echo 1 >/sys/class/net/eth0/queues/rx-0/rps_cpus'
		N $g ip link add link eth0 name eth0.10 type vlan id 10
		N $g ip link set eth0.10 up
		N $g ip addr add "10.0.10.$([ $g = a1 ] && echo 1 || echo 11)/24" dev eth0.10
		N $g ip route add 224.0.0.0/4 dev eth0
	done
}
listen() {
	spawn A tcpdump -Z root -i lA -U -s 200 -w $wire 2>/dev/null
	listeners=$!
	spawn b1 tcpdump -Z root -i eth0 -U -s 100 -w $inside 2>/dev/null
	listeners="$listeners $!"
	spawn a2 tcpdump -Z root -i eth0 -U -s 100 -w $local 'ip host 10.0.0.2' 2>/dev/null
	listeners="$listeners $!"
	for file in $wire $inside $local; do
		for _ in $(seq 50); do [ -s $file ] && break || sleep 0.1; done
	done
}
listen_no_more() {
	sleep 0.5
	kill $listeners
	wait $listeners 2>/dev/null
}
pcap() { tcpdump -Z root -nr "$@" 2>/dev/null; }
# What is on the wire without a stamp, and with one. The wire of geneve has the nodes'
# own frames, too; no guest's address stands outside a tunnel.
unstamped() {
	if [ $1 = shim ]; then
		pcap $wire 'not ether[0:4] = 0x0180c200 and not ether proto 0x88b5 and
			not (vlan and ether proto 0x88b5)'
	else
		pcap $wire -v 'udp port 6081' | grep 'Geneve' | grep -v 'class Unknown (0xff00) type 0x53'
		pcap $wire 'ether[6:4] = 0x00163e00 or ether[0:4] = 0x00163e00'
	fi | wc -l
}
stamped() {
	if [ $1 = shim ]; then
		# Each begins with its time; octets of what tcpdump does not know follow.
		pcap $wire 'ether proto 0x88b5 or (vlan and ether proto 0x88b5)' | grep '^[0-9]'
	else
		pcap $wire -v 'udp port 6081' | grep 'class Unknown (0xff00) type 0x53'
	fi | wc -l
}
# A flow's two ends, for `verdicts`: NAME RECEIVER_NAMESPACE "ARGUMENTS" SENDER "ARGUMENTS"
flow() {
	spawn $2 /test/flow $3 >"/tmp/flow.$1" 2>&1
	receivers="$receivers $1:$!"
	senders="$senders
N $4 /test/flow $5 >'/tmp/flow.$1.sender' 2>&1 &"
}
arrived() { # NAME PID: the receiver has all; if not, what it says, and its IP layer
	wait $2
	status=$?
	[ $status = 0 ] && return
	cat /tmp/flow.$1 /tmp/flow.$1.sender
	# The first frames of a flow go through OVS's daemon, and those behind may overtake
	# them: no order is promised there; nor by veth's NAPI, which polls on one CPU and then
	# on another, when polls last long. The bridge and hold.sh judge it.
	[ $switch$FLOW_SLOW != bridge ] && [ $status = 3 ] && return
	for g in a1 b1; do N $g grep -E '^(Ip|Udp): ' /proc/net/snmp; N $g ip -s link show eth0; done
	# Who dropped it: the module's counters, the devices'.
	for n in A B; do N $n "$TOOL" -s link && N $n ip -s link; done
	return 1
}
datagrams() {
	flow UDP-small b1 'recv 5001 200 9' a1 'send 10.0.0.11 5001 200 60 300'
	flow UDP-small-back a1 'recv 5001 200 9' b1 'send 10.0.0.1 5001 200 60 300'
	flow UDP-large,fragments b1 'recv 5002 40 9' a1 'send 10.0.0.11 5002 40 5000 2000'
	flow UDP-large-back a1 'recv 5002 40 9' b1 'send 10.0.0.1 5002 40 5000 2000'
	flow IPv6-UDP b1 'recv 5003 40 9' a1 'send fd00::11 5003 40 1200 1000'
	flow IPv6-UDP-fragments-back a1 'recv 5003 40 9' b1 'send fd00::1 5003 40 3000 1000'
	flow multicast b1 'recv 5004 40 9 239.1.1.1' a1 'send 239.1.1.1 5004 40 500 1000'
	flow VLAN-UDP b1 'recv 5005 40 9' a1 'send 10.0.10.11 5005 40 1472 1000'
	flow within-the-node a2 'recv 5001 40 9' a1 'send 10.0.0.2 5001 40 500 1000'
}
streams() {
	flow TCP-bulk b1 "serve 6001 $octets" a1 "bulk 10.0.0.11 6001 $octets"
	flow IPv6-TCP-bulk a1 "serve 6002 $octets" b1 "bulk fd00::1 6002 $octets"
	flow VLAN-TCP-bulk b1 "serve 6003 $octets" a1 "bulk 10.0.10.11 6003 $octets"
}
run_flows() { # WHAT
	sleep 1
	eval "$senders"
	for receiver in $receivers; do
		check "$1: ${receiver%:*}" arrived ${receiver%:*} ${receiver#*:}
	done
	receivers='' senders=''
}
flows() { # all at once, both ways
	datagrams
	# A device's ring of 256 frames is full soon where streams are faster than polls.
	[ -z "$FLOW_SLOW" ] || run_flows "$1"
	streams
	run_flows "$1"
}

for switch in ${SWITCHES:-bridge ovs}; do
	for carrier in shim geneve; do
		what="$switch $carrier"
		build $switch $carrier >/tmp/build.out 2>&1
		for _ in $(seq 10); do N a1 ping -c1 -W1 10.0.0.11 >/dev/null && break; done
		# Neighbours are known then, and OVS has its flows: for fragments, too.
		for size in 56 4000; do
			for to in 10.0.0.11 fd00::11 10.0.10.11 10.0.0.2; do
				N a1 ping -c2 -i0.2 -W2 -s $size $to >/dev/null
			done
		done
		neighbours_stay
		listen
		flows "$what"
		listen_no_more
		check "$what: every frame between nodes is stamped" [ "$(unstamped $carrier)" = 0 ]
		check "$what: $(stamped $carrier) of them" [ "$(stamped $carrier)" -ge 500 ]
		check "$what: no stamp reached the guest" \
			[ "$(pcap $inside 'ether proto 0x88b5 or udp port 6081' | wc -l)" = 0 ]
		check "$what: what the guest got is there" [ "$(pcap $inside 'ether dst 00:16:3e:00:00:0b' | wc -l)" -ge 300 ]
		check "$what: frames within the node have none" \
			[ "$(pcap $local 'ether proto 0x0800' | wc -l) $(pcap $local 'ether proto 0x88b5' | wc -l)" \
			= "$(pcap $local | wc -l) 0" ]
		check "$what: and are not on the wire" \
			[ "$(pcap $wire 'ether dst 00:16:3e:00:00:02 and ether src 00:16:3e:00:00:01' | wc -l)" = 0 ]
		[ "${failed:-0}" = 0 ] || { sed 's/^/# /' /tmp/build.out; tail -n 5 /run/ovs-A/*.log 2>/dev/null; A -s link; B -s link; }
		[ $switch = ovs ] && ovs_down
		teardown
	done
done
finish
