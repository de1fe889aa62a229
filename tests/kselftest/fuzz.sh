#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
# Malformed frames and netlink requests; COUNT of each (the campaign has more). They
# force nothing, leak nothing, and the node works as before.
. ./lib.sh
count=${COUNT:-4000}
seed=${SEED:-1}

topology
nodes
links
for n in A B; do
	ip -n $n link add d$n type dummy # something that is no link and no port
done
# Geneve, between addresses that are no part of the bridges.
ip link add uA netns A type veth peer name uB netns B
for n in A B; do
	N $n ip link set u$n mtu 1700 up
	N $n ip addr add "192.0.2.$([ $n = A ] && echo 1 || echo 2)/24" dev u$n
done
N B ip link add gB type geneve external
N B ip link set gB mtu 1550 up
B link add dev gB carrier geneve remote 192.0.2.1 vni 5
N a1 ping -c1 -W2 10.0.0.11 >/dev/null
check "both at 3" [ "$(for _ in 1 2 3; do checkpoint A; checkpoint B; done | tail -n 1)" = 3 ]
# A's half of the link is nobody's now: what is sent there arrives as it is.
A node delete

objects() { awk '/^skbuff_[a-z_]* / { sum += $2 } END { print sum }' /proc/slabinfo; }
# B's index, what it wants, and what its peers have made it want
wants() { echo "$(value B node sn) $(value B node target) $(value B peer forced)"; }
unmoved() { [ "$(wants)" = "$wanted" ]; }
wanted=$(wants)
before=$(objects)
forged=$(value B link drop-forged)
for tso in on off; do
	N A ethtool -K lA tso $tso >/dev/null
	N B ethtool -K lB gro $tso >/dev/null
	sent=$(N A /test/fuzz frames lA $((count / 2)) $seed 3)
	check "$sent frames, tso $tso" [ "${sent:-0}" -ge $((count / 4)) ]
	eventually "nothing is forced" unmoved
done
sent=$(N A /test/fuzz geneve 192.0.2.2 "$count" "$seed" 3)
check "$sent Geneve packets" [ "${sent:-0}" -ge $((count / 2)) ]
eventually "nothing is forced" unmoved
check "forged ones are counted" [ "$(value B link drop-forged)" -ge $((forged + count / 4)) ]
check "valid replays are delivered or late" [ "$(value B link rx-delivered)" -ge $((count / 20)) ]
A node set id 1 key-file "${key:?}" sn 3
links 2>/dev/null
check "the link works" N a1 ping -c2 -W2 10.0.0.11

sent=$(N B /test/fuzz netlink "$count" "$seed")
check "$sent netlink requests" [ "${sent:-0}" -ge $((count / 2)) ]
B node delete >/dev/null 2>&1
B link add dev lB >/dev/null 2>&1
B node set id 2 key-file "${key:?}" sn 3
check "a node and a link after them" sh -c "
	ip netns exec B $TOOL port show | grep -q vif1.0 || ip netns exec B $TOOL port add dev vif1.0
	ip netns exec B $TOOL link add dev lB && ip netns exec B $TOOL step thaw"
check "the link works" N a1 ping -c3 -W2 10.0.0.11
B node delete
sleep 1
after=$(objects)
# KASAN keeps for a while what was freed; kmemleak tells then, at the end of the run.
[ -e /sys/kernel/debug/kmemleak ] ||
	check "no frames are left: $before, then $after" [ "$after" -le $((before + 500)) ]
finish
