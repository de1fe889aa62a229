#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
# Ten forced checkpoints of B while datagrams and a TCP stream run: order kept, none
# twice, none damaged, none seen by the guest before B's capture covers it, the bound
# honoured.
. ./lib.sh

tracing=/sys/kernel/tracing
octets=${OCTETS:-8000000}

topology
nodes max-frames 100000 max-bytes 67108864
links
N B ethtool -K lB gro on >/dev/null
spawn b1 /test/flow recv 5000 1000000 4 >/tmp/received
receiver=$!
spawn b1 /test/flow serve 6000 "$octets" >/tmp/served 2>&1
server=$!
echo 0 >$tracing/trace
echo 16384 >$tracing/buffer_size_kb
echo 'sn>0' >$tracing/events/tlckpt/tlckpt_inspect/filter
for event in inspect release step; do echo 1 >$tracing/events/tlckpt/tlckpt_$event/enable; done
spawn a1 /test/flow send 10.0.0.11 5000 1000000 400 3000
sender=$!
spawn a1 /test/flow bulk 10.0.0.11 6000 "$octets" >/tmp/bulk 2>&1
bulk=$!
sleep 1
for i in 1 2 3 4 5 6 7 8 9 10; do
	checkpoint A >/dev/null
	# What b1 gets now is held: B is behind until it follows.
	eventually "B is asked for $i" shown B node target -eq $i
	check "B follows to $i" [ "$(checkpoint B)" = $i ]
done
kill $sender
wait $sender 2>/dev/null
check "TCP bulk, both ways, intact: the client" wait $bulk
check "TCP bulk, both ways, intact: the server" wait $server
wait $receiver
for event in inspect release step; do echo 0 >$tracing/events/tlckpt/tlckpt_$event/enable; done
echo "# $(cat /tmp/received) $(cat /tmp/bulk /tmp/served)"
check "order kept, none twice, none damaged" \
	grep -q "lost 0 reordered 0 duplicate 0 damaged 0" /tmp/received
check "frames were held" [ "$(value B link rx-held)" -ge 10 ]
eventually "nothing is left" shown B node held-frames -eq 0
check "what was held was released" \
	[ "$(value B link rx-held)" = "$(value B link rx-released)" ]
check "node 1 forced ten" [ "$(value B peer forced)" = 10 ]
# The trace is the witness for R5: every frame that lB delivered was covered by
# the capture that stood when it was delivered.
cat >/tmp/witness.awk <<'AWK'
/tlckpt_step: netns=/ && / captured / {
	match($0, /captured=[0-9]+/); captured = substr($0, RSTART + 9, RLENGTH - 9) + 0 }
/tlckpt_(inspect|release): dev=lB/ && /verdict=deliver/ {
	match($0, /sn=[0-9]+/); sn = substr($0, RSTART + 3, RLENGTH - 3) + 0
	seen++
	if (sn > captured) { early++; print "early: " $0 " captured " captured } }
END { print seen + 0, "delivered", early + 0, "early"; exit !(seen && !early) }
AWK
# Only B's steps: A's namespace has another number.
netns=$(N B readlink /proc/self/ns/net | tr -dc '0-9')
grep -E "tlckpt_(inspect|release): dev=lB|tlckpt_step: netns=$netns " $tracing/trace >/tmp/trace.txt
check "no frame from after the capture reached the guest" awk -f /tmp/witness.awk /tmp/trace.txt
echo "# $(awk -f /tmp/witness.awk /tmp/trace.txt | tail -n 1)"
echo 0 >$tracing/trace

# Rule R8: bounded in frames, the newest is dropped and counted.
B node set max-frames 20
checkpoint A >/dev/null
N a1 /test/flow send 10.0.0.11 5001 200 100 0
eventually "held up to the bound" shown B node held-frames -eq 20
eventually "the rest is counted" shown B link drop-full -ge 150
checkpoint B >/dev/null
eventually "and goes on after the capture" shown B node held-frames -eq 0
# And in bytes.
B node set max-frames 10000 max-bytes 20000
checkpoint A >/dev/null
N a1 /test/flow send 10.0.0.11 5001 200 1000 0
eventually "frames are held" shown B node held-frames -ge 5
check "but no more bytes than the bound" shown B node held-bytes -le 20000
checkpoint B >/dev/null
finish
