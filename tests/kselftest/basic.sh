#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
# Ports, links and steps; what is refused, and with which words.
. ./lib.sh

topology 1500
load
check "ping without a node" N a1 ping -c1 -W2 10.0.0.11
refused "a link needs a node" "set the node first" A link add dev lA
refused "a node needs a key" "needs its id" A node set id 1
nodes
refused "MTU without room for the stamp" "no room for the stamp" A link add dev lA
N A ip link set lA mtu 1600
N B ip link set lB mtu 1600
refused "a port is no link" "is a port" A link add dev vif1.0
refused "geneve needs an external device" "type geneve external" A link add dev lA carrier geneve
refused "remote without geneve" "carrier geneve only" A link add dev lA remote 192.0.2.1
A link add dev lA
B link add dev lB
refused "twice" "is a link already" A link add dev lA
refused "the MTU of a link stays" "Message too long" N A ip link set lA mtu 1500
refused "and leaves no room for longer frames" "Message too long" N A ip link set vif1.0 mtu 1573
check "as the kernel's log says" sh -c "dmesg | grep -q 'MTU of 1573 need 1601'"
check "room is what the link shows" [ "$(value A link mtu)" = 1572 ]
check "and may be used" N A ip link set vif1.0 mtu 1572
check "and given back" N A ip link set vif1.0 mtu 1500
check "a new node is frozen" [ "$(A -j node | grep -c '"frozen":1')" = 1 ]
A step thaw
B step thaw
check "ping stamped" N a1 ping -c2 -W2 10.0.0.11
check "frames were stamped" [ "$(value A link tx-stamped)" -ge 2 ]
check "frames were delivered" [ "$(value B link rx-delivered)" -ge 2 ]
# Frames within the node never get near the link: an independent listener says so.
# It writes each frame as it comes: what is still in its buffer when it ends is lost.
spawn A tcpdump -Z root --immediate-mode -U -i lA -w /tmp/wire.pcap 2>/dev/null
listener=$!
eventually "who listens to the link" test -s /tmp/wire.pcap
check "ping within the node" N a1 ping -c2 -W2 10.0.0.2
check "ping to the other" N a1 ping -c2 -W2 10.0.0.11
on_wire() { tcpdump -Z root -nr /tmp/wire.pcap "ether src 00:16:3e:00:00:01 and $1" 2>/dev/null | wc -l; }
both_on_wire() { test "$(on_wire 'ether dst 00:16:3e:00:00:0b')" -ge 2; }
eventually "hears the latter" both_on_wire
kill $listener
wait $listener
check "the former not" [ "$(on_wire 'ether dst 00:16:3e:00:00:02')" = 0 ]

refused "a cut is not due" "." A step cut
refused "captured is not due" "." A step captured sn 1
check "a checkpoint" [ "$(checkpoint A)" = 1 ]
refused "durable twice" "." A step durable sn 1
N a1 ping -c1 -W1 10.0.0.11 >/dev/null
eventually "B holds what is from after its capture" shown B node held-frames -ge 1
check "and wants a checkpoint" [ "$(value B node target)" = 1 ]
check "because of node 1" [ "$(value B node cause-peer)" = 1 ]
check "B follows" [ "$(checkpoint B)" = 1 ]
eventually "B holds nothing" shown B node held-frames -eq 0
check "ping after both" N a1 ping -c2 -W2 10.0.0.11
refused "sn of a running node" "by its steps only" A node set sn 7
refused "another id" "delete it first" A node set id 9
check "delete the node" A node delete
refused "no node" "is no node" A node
N B ip link del lB
check "a deleted interface is a link no more" [ -z "$(B link)" ]
finish
