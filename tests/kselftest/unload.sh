#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
# Loading and unloading, interfaces and namespaces that go, under traffic and with
# held frames: nothing stuck, nothing leaked (kmemleak at the end of a debug
# kernel's run).
. ./lib.sh
rounds=${ROUNDS:-20}

topology
N b1 /test/udpseq recv 5000 60 >/dev/null &
receiver=$!
N a1 /test/udpseq send 10.0.0.11 5000 1000000 200 2000 &
sender=$!
failures=0
for _ in $(seq "$rounds"); do
	nodes && links || failures=$((failures + 1))
	checkpoint A >/dev/null # B holds from here on
	rmmod tlckpt || failures=$((failures + 1))
done
check "$rounds loads and unloads under traffic, with held frames" [ $failures = 0 ]
check "the traffic goes on" N a1 ping -c1 -W2 10.0.0.11

nodes
links
checkpoint A >/dev/null
sleep 0.2
held=$(value B node held-frames)
N B ip link del lB
check "a link goes with $held held frames" [ "$(value B node held-frames)" = 0 ]
kill $sender $receiver
wait $sender $receiver
teardown

topology
nodes
links
checkpoint A >/dev/null
N a1 ping -c1 -W1 10.0.0.11 >/dev/null
eventually "frames are held" shown B node held-frames -ge 1
ip netns del B
eventually "a namespace goes with held frames, and the module can go" rmmod tlckpt
finish
