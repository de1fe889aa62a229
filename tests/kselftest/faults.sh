#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
# Allocations that fail, one after the other, in all that is asked of the module, and
# at random in its data path. Afterwards everything works; what leaked, kmemleak tells
# at the end of the run.
. ./lib.sh

debug=/sys/kernel/debug
[ -e $debug/failslab ] || skip_all "needs CONFIG_FAILSLAB"
for kind in failslab fail_page_alloc; do
	echo 0 >$debug/$kind/verbose
	echo N >$debug/$kind/ignore-gfp-wait
done
echo 0 >$debug/fail_page_alloc/min-order

failing() { # NTH NAMESPACE COMMAND...
	nth=$1 where=$2
	shift 2
	N "$where" env FAIL_NTH="$nth" LD_PRELOAD=/test/failnth.so "$@" >/tmp/failing 2>&1
}
was_reached() { grep -q "^failnth: failed" /tmp/failing; }
# each NAME BEFORE COMMAND...: A's tool, again and again after BEFORE, until no allocation
# is left to fail: then it works
each() {
	name=$1 before=$2
	shift 2
	nth=0
	while [ "$nth" -lt 200 ]; do
		nth=$((nth + 1))
		eval "$before" >/dev/null 2>&1
		failing "$nth" A "$TOOL" "$@"
		status=$?
		was_reached || break
	done
	check "$name: works, after each of $((nth - 1)) allocations failed" worked
}
worked() {
	cat /tmp/failing
	[ "$status" = 0 ] && [ "$nth" -gt 1 ]
}
ready() { # for a cut
	A step abort
	steps A request + close + suspended
}
cut() {
	[ "$(A -j node | grep -c '"phase":"cut"')" = 1 ] && return
	ready
	A step cut
	captured=$(value A node sn)
}

# Loading: allocations of the kernel's own are among them, every seventh is tried.
nth=1
loads=0
while [ "$nth" -lt 3000 ]; do
	failing "$nth" A insmod "$KO"
	rmmod tlckpt 2>/dev/null
	was_reached || break
	nth=$((nth + 7)) loads=$((loads + 1))
done
check "$loads loads failed, or did without" [ "$loads" -gt 5 ]

topology
nodes
each "node set" "A node delete" node set id 1 key-file "${key:?}"
each "node set of a running node" "" node set max-frames 5000 key-file "$key"
each "port add" "A port delete dev vif1.0" port add dev vif1.0
each "link add" "A link delete dev lA" link add dev lA
N A ip link add gA type geneve external
N A ip link set gA mtu 1550 up
each "link add, geneve" "A link delete dev gA" link add dev gA carrier geneve remote 192.0.2.1 vni 5
each "link delete" "A link add dev gA carrier geneve remote 192.0.2.1 vni 5" link delete dev gA
each "exempt add" "A exempt delete 00:16:3e:00:00:77" exempt add 00:16:3e:00:00:77
each "thaw" "A step freeze" step thaw
B link add dev lB
B step thaw
check "the link works" N a1 ping -c1 -W2 10.0.0.11
each "own, and its end" "" step own
each "tick" "" step tick
each "request" "" step request
each "close" "A step abort; A step request" step close
each "suspended" "A step abort; steps A request + close" step suspended
each "cut" ready step cut
A step abort >/dev/null 2>&1
cut
each "captured" cut step captured sn "$captured"
A step durable sn "$captured"
each "abort" "A step request" step abort
for object in node port link peer exempt log; do
	each "$object show" "" "$object" show
done
each "log inject" "" log inject dev vif1.0 frame \
	ffffffffffff00163e000002080045000014000000004011000000000000000000000000
each "log delete" "" log delete sn 1
while [ "$(value B node sn)" -lt "$(value A node sn)" ]; do checkpoint B >/dev/null; done
A step abort >/dev/null 2>&1
check "the link works" N a1 ping -c1 -W2 10.0.0.11

# The data path can't wait for memory: only such allocations fail, one of eight.
for kind in failslab fail_page_alloc; do
	echo Y >$debug/$kind/ignore-gfp-wait
	echo 8 >$debug/$kind/interval
	echo 100 >$debug/$kind/probability
	echo -1 >$debug/$kind/times
done
spawn b1 /test/flow recv 5000 1000000 300 >/dev/null
receiver=$!
spawn a1 /test/flow send 10.0.0.11 5000 1000000 400 2000
sender=$!
spawn a1 timeout 60 /test/flow bulk 10.0.0.11 6000 1000000 2>/dev/null
bulk=$!
spawn b1 timeout 60 /test/flow serve 6000 1000000 2>/dev/null
for _ in 1 2 3 4 5 6; do
	checkpoint A
	sleep 1
	checkpoint B
	sleep 1
done >/dev/null 2>&1
kill $sender $receiver $bulk $!
for kind in failslab fail_page_alloc; do echo 0 >$debug/$kind/probability; done
wait
for n in A B; do N $n "$TOOL" step abort; done >/dev/null 2>&1
for _ in 1 2 3 4 5 6 7 8 9; do
	[ "$(value A node sn)" -gt "$(value B node sn)" ] && behind=B || behind=A
	checkpoint "$behind" >/dev/null
	[ "$(value A node sn)" = "$(value B node sn)" ] && break
done
eventually "nothing is held" shown B node held-frames -eq 0
check "the link works" N a1 ping -c2 -W2 10.0.0.11
A -s link
B -s link
finish
