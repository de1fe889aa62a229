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

# each NAME TEST COMMAND...: A's tool, with each allocation of its requests failing in
# turn; then TEST says that it is done
each() {
	name=$1 test=$2
	shift 2
	N A env LD_PRELOAD=/test/failnth.so "$TOOL" "$@" >/tmp/failing 2>&1
	failed_of "$name" "$test"
}
failed_of() { # NAME TEST
	count=$(sed -n 's/^failnth: //p' /tmp/failing)
	check "$1: done, after $count allocations failed" done_after "$count" "$2"
}
done_after() {
	cat /tmp/failing
	[ "${1:-0}" -ge 1 ] && eval "$2"
}
is() { [ "$(value A "$1" "$2")" = "$3" ]; } # OBJECT NAME NUMBER
in_phase() { A node | grep -q "phase $1 "; }

env LD_PRELOAD=/test/failnth.so insmod "$KO" >/tmp/failing 2>&1
failed_of "insmod" "grep -q '^tlckpt ' /proc/modules"
topology
nodes
A node delete
each "node set" "is node sn 0" node set id 1 key-file "${key:?}"
each "node set again" "is node max-frames 5000" node set max-frames 5000 key-file "$key"
A port delete dev vif1.0
each "port add" "A port | grep -q vif1.0" port add dev vif1.0
each "link add" "A link | grep -q lA" link add dev lA
N A ip link add gA type geneve external
N A ip link set gA mtu 1550 up
each "link add, geneve" "A link | grep -q gA" \
	link add dev gA carrier geneve remote 192.0.2.1 vni 5
each "link delete" "! A link | grep -q gA" link delete dev gA
each "exempt add" "A exempt | grep -q 3e:00:00:77" exempt add 00:16:3e:00:00:77
each "thaw" "is node frozen 0" step thaw
B link add dev lB
B step thaw
check "the link works" N a1 ping -c1 -W2 10.0.0.11
each "own, and its end" "is node owner 0" step own
each "tick" "in_phase idle" step tick
each "show of the node" true node show
spawn A "$TOOL" monitor own >/dev/null
owner=$!
eventually "a daemon owns A" shown A node owner -gt 0
each "request" "in_phase requested" step request
each "close" "in_phase closed" step close
each "suspended" "in_phase suspended" step suspended
each "cut" "in_phase cut" step cut
each "captured" "in_phase idle" step captured sn "$(value A node sn)"
each "durable" "is node durable $(value A node sn)" step durable sn "$(value A node sn)"
A step request
each "abort" "is node intake-open 1" step abort
for object in port link peer exempt log; do
	each "show of each $object" true "$object" show
done
each "log inject" true log inject dev vif1.0 frame \
	ffffffffffff00163e000002080045000014000000004011000000000000000000000000
each "log delete" "is node log-frames 0" log delete sn 9
A step abort >/dev/null 2>&1
while [ "$(value B node sn)" -lt "$(value A node sn)" ]; do checkpoint B >/dev/null; done
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
kill $sender $receiver $bulk $! 2>/dev/null
wait $sender $receiver $bulk $!
for kind in failslab fail_page_alloc; do echo 0 >$debug/$kind/probability; done
for n in A B; do N $n "$TOOL" step abort; done >/dev/null 2>&1
for _ in 1 2 3 4 5 6 7 8 9; do
	[ "$(value A node sn)" -gt "$(value B node sn)" ] && behind=B || behind=A
	checkpoint "$behind" >/dev/null
	[ "$(value A node sn)" = "$(value B node sn)" ] && break
done
eventually "nothing is held" shown B node held-frames -eq 0
check "the link works" N a1 ping -c2 -W2 10.0.0.11
kill "$owner"
finish
