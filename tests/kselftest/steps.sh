#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
# The daemon's side: steps that are not due are refused in words, the owner that goes
# at each step (Rule R8), events, JSON, tracepoints.
. ./lib.sh

topology
nodes
spawn A "$TOOL" monitor >/tmp/events
monitor=$!
A link add dev lA
B link add dev lB

# --- what is not due is refused, and changes nothing
refused "tick of a frozen node" "a recovery is under way" A step tick
refused "request of a frozen node" "a recovery is under way" A step request
refused "freeze twice" "a recovery is under way" A step freeze
refused "rollback to nothing" "no checkpoint on that line" A step rollback k 0 incarnation 1
refused "rollback without incarnation" "needs k and the new incarnation" A step rollback k 1
A step thaw
B step thaw
refused "thaw twice" "no recovery is under way" A step thaw
refused "rollback of a running node" "no recovery is under way" A step rollback k 1 incarnation 1
refused "close without a request" "no checkpoint is requested" A step close
refused "suspended without a request" "no checkpoint is requested" A step suspended
refused "abort of nothing" "no checkpoint is under way" A step abort
refused "durable before captured" "this index is not captured" A step durable sn 1
refused "captured without its sn" "lacks what it is about" A step captured
A step request
refused "cut before suspended" "the guests are not suspended" A step cut
steps A close + suspended
refused "close twice" "no checkpoint is requested" A step close
steps A cut >/dev/null
refused "cut twice" "the guests are not suspended" A step cut
refused "captured of another index" "not the index of the cut" A step captured sn 2
refused "durable before its capture" "this index is not captured" A step durable sn 1
steps A "captured sn 1 + durable sn 1" >/dev/null
refused "durable twice" "or a newer one, is durable" A step durable sn 1
check "sn is 1 and durable" [ "$(value A node sn) $(value A node durable)" = "1 1" ]

# --- an attempt that fails (R7): the intake opens, sn stays raised after the cut
steps A request + close
check "the intake is closed" shown A node intake-open -eq 0
N a1 ping -c1 -W1 10.0.0.2 >/dev/null
check "and holds what goes to the guests" shown A port held -ge 1
A step abort
check "and open after the abort" shown A node intake-open -eq 1
eventually "what it held goes on" shown A port held -eq 0
check "sn is still 1" shown A node sn -eq 1
steps A close + suspended + cut + abort >/dev/null
check "after the cut sn stays raised, captured behind" \
	[ "$(value A node sn) $(value A node captured)" = "2 1" ]
check "the next attempt takes the same index" \
	[ "$(steps A close + suspended + cut | awk '{ print $2 }')" = 2 ]
steps A "captured sn 2 + durable sn 2" >/dev/null

# --- the daemon killed at each step (R8)
own() {
	spawn A "$TOOL" monitor own >/tmp/own
	owner=$!
	eventually "a daemon owns the node" shown A node owner -gt 0
}
left_alone() { shown A node owner -eq 0 && A node | grep -q 'phase idle '; }
A node set grace-ms 300
for last in nothing request close suspended cut captured; do
	own
	refused "one owner only" "another daemon owns" A step own
	next=$(($(value A node sn) + 1))
	for step in request close suspended cut "captured sn $next"; do
		[ $last = nothing ] || steps A "$step" >/dev/null
		[ "${step%% *}" = $last ] && break
	done
	kill -9 $owner
	wait $owner 2>/dev/null
	eventually "killed after $last: no owner, idle" left_alone
	check "killed after $last: the guests are reachable" N a1 ping -c1 -W2 10.0.0.2
	own
	checkpoint A >/dev/null
	check "killed after $last: the next daemon's checkpoint" \
		[ "$(value A node durable)" = "$(value A node sn)" ]
	kill -9 $owner
	wait $owner 2>/dev/null
done
own
while [ "$(value B node sn)" -lt "$(value A node sn)" ]; do checkpoint B >/dev/null; done

# --- frames held when the owner goes: dropped after the grace time, or passed
N a1 ping -c1 -W2 10.0.0.11 >/dev/null
spawn B "$TOOL" monitor own >/tmp/owner-of-B
daemon=$!
B node set grace-ms 500
eventually "a daemon owns B" shown B node owner -gt 0
checkpoint A >/dev/null
N a1 ping -c1 -W1 10.0.0.11 >/dev/null
eventually "held for the daemon" shown B node held-frames -ge 1
eventually "the daemon was asked, and told why" grep -q "ev-request.*forced" /tmp/owner-of-B
kill -9 $daemon
wait $daemon 2>/dev/null
eventually "after the grace time nothing is held" shown B node held-frames -eq 0
eventually "and the drop is counted" shown B link drop-ownerless -ge 1
spawn B "$TOOL" monitor own >/tmp/owner-of-B
daemon=$!
eventually "the next daemon" shown B node owner -gt 0
checkpoint B >/dev/null
B node set policy pass
kill -9 $daemon
wait $daemon 2>/dev/null
eventually "gone again" shown B node owner -eq 0
checkpoint A >/dev/null
check "policy pass: delivered without a capture" N a1 ping -c1 -W2 10.0.0.11
spawn B "$TOOL" monitor own >/tmp/owner-of-B
daemon=$!
eventually "its index is protected by the next one" \
	shown B node target -gt "$(value A node sn)"
checkpoint B >/dev/null
checkpoint A >/dev/null
N a1 ping -c1 -W2 10.0.0.11 >/dev/null

# --- what people and programs see
for object in node port link peer; do
	echo "# json $(A -j -s $object show)"
	echo "# json $(B -j -s -p $object show | tr -d '\n')"
done
check "counters by -s" sh -c "ip netns exec B $TOOL -s link | grep -q rx-delivered"
check "and not without" sh -c "! ip netns exec B $TOOL link | grep -q rx-delivered"
kill $monitor
wait $monitor 2>/dev/null
check "events: requests" grep -q "ev-request.*manual" /tmp/events
check "events: owner" grep -q "ev-owner" /tmp/events
kill $owner $daemon
wait $owner $daemon 2>/dev/null
finish
