#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
# Ten forced checkpoints of B while datagrams run from a1 to b1: order kept, none
# twice, none seen by the guest before B's capture covers it, the bound honoured.
. ./lib.sh

topology
nodes
links
N b1 /test/udpseq recv 5000 15 >/tmp/received &
receiver=$!
tracing=/sys/kernel/tracing
echo 0 >$tracing/trace
echo 16384 >$tracing/buffer_size_kb
echo 1 >$tracing/events/tlckpt/enable
N a1 /test/udpseq send 10.0.0.11 5000 1000000 400 3000 &
sender=$!
for i in 1 2 3 4 5 6 7 8 9 10; do
	checkpoint A >/dev/null
	# What b1 gets now is held: B is behind until it follows.
	eventually "B is asked for $i" shown B node target -eq $i
	check "B follows to $i" [ "$(checkpoint B)" = $i ]
done
kill $sender
wait $sender
wait $receiver
echo 0 >$tracing/events/tlckpt/enable
echo "# $(cat /tmp/received)"
check "order kept, none twice, none damaged" \
	grep -q "reordered 0 duplicate 0 damaged 0" /tmp/received
check "frames were held" [ "$(value B link rx-held)" -ge 10 ]
eventually "nothing is left" shown B node held-frames -eq 0
check "what was held was released" \
	[ "$(value B link rx-held)" = "$(value B link rx-released)" ]
check "node 1 forced ten" [ "$(value B peer forced)" = 10 ]
# The trace is the witness for R5: every frame that lB delivered was covered by
# the capture that stood when it was delivered.
cat >/tmp/witness.awk <<'AWK'
/tlckpt_step: netns=/ && /captured=/ && / captured / {
	match($0, /captured=[0-9]+/); captured = substr($0, RSTART + 9, RLENGTH - 9) + 0 }
/tlckpt_(inspect|release): dev=lB/ && /verdict=deliver/ {
	match($0, /sn=[0-9]+/); sn = substr($0, RSTART + 3, RLENGTH - 3) + 0
	seen++
	if (sn > captured) { early++; print "early: " $0 " captured " captured } }
END { print seen + 0, "delivered", early + 0, "early"; exit !(seen && !early) }
AWK
netns=$(readlink /proc/self/ns/net)
check "no frame from after the capture reached the guest" \
	awk -v netns="$netns" -f /tmp/witness.awk $tracing/trace

# Rule R8: bounded, the newest is dropped and counted.
B node set max-frames 20
checkpoint A >/dev/null
N a1 /test/udpseq send 10.0.0.11 5001 200 100 0
eventually "held up to the bound" shown B node held-frames -eq 20
eventually "the rest is counted" shown B link drop-full -ge 150
checkpoint B >/dev/null
eventually "and goes on after the capture" shown B node held-frames -eq 0

# Rule R8: the daemon goes while frames are held.
B node set grace-ms 500
B monitor own >/tmp/monitor &
daemon=$!
eventually "the daemon is there" shown B node owner -gt 0
checkpoint A >/dev/null
N a1 ping -c1 -W1 10.0.0.11 >/dev/null
eventually "held for the daemon" shown B node held-frames -ge 1
eventually "the daemon was asked" grep -q "ev-request.*reason forced" /tmp/monitor
kill -9 $daemon
eventually "after the grace time nothing is held" shown B node held-frames -eq 0
eventually "and the drop is counted" shown B link drop-ownerless -ge 1
finish
