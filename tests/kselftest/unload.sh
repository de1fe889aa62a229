#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
# Loading and unloading, interfaces and namespaces that go, under traffic and with
# held frames: nothing stuck, nothing leaked. What leaks per turn shows in the slab
# counts, anything at the end of a debug kernel's run in kmemleak.
. ./lib.sh
rounds=${ROUNDS:-6}

# Objects in use, and how many a slab has: of kmalloc and of frames, with no frame under way.
# Per-CPU slabs count as in use: shrunk first, but each processor has a new one soon.
objects() {
	kill -STOP $sender
	sleep 2
	for cache in /sys/kernel/slab/kmalloc-* /sys/kernel/slab/skbuff*; do
		echo 1 >$cache/shrink
	done 2>/dev/null
	awk '/^(kmalloc-[0-9k]+|skbuff_[a-z_]*) / { print $1, $2, $5 }' /proc/slabinfo
	kill -CONT $sender
}
grown() { # BEFORE AFTER: what grew by five objects per turn, and more than slabs explain
	awk -v turns="$rounds" -v cpus="$(grep -c ^processor /proc/cpuinfo)" 'NR == FNR { before[$1] = $2; next }
		$2 - before[$1] >= turns * 5 + 200 + cpus * $3 { print $1, before[$1], $2 }' "$1" "$2"
}

topology
spawn b1 /test/flow recv 5000 1000000 600 >/dev/null
receiver=$!
spawn a1 /test/flow send 10.0.0.11 5000 1000000 200 2000
sender=$!
failures=0
turn() { # B holds when the module goes
	nodes && links && checkpoint A >/dev/null && sleep 0.1 && rmmod tlckpt ||
		failures=$((failures + 1))
}
turn
objects >/tmp/before
for _ in $(seq "$rounds"); do turn; done
objects >/tmp/after
check "$rounds loads and unloads under traffic, with held frames" [ $failures = 0 ]
# KASAN keeps for a while what was freed; kmemleak tells then, at the end of the run.
[ -e /sys/kernel/debug/kmemleak ] ||
	check "no kind of object grew with the turns" [ -z "$(grown /tmp/before /tmp/after)" ]
[ "${failed:-0}" = 0 ] || grown /tmp/before /tmp/after | sed 's/^/# | /'
check "the traffic goes on" N a1 ping -c1 -W2 10.0.0.11

# A port goes, and comes, while the intake is closed and frames for it are held.
nodes
links
steps A request + close
N a2 ping -c2 -i0.2 -W1 10.0.0.1 >/dev/null
check "the closed intake holds for vif1.0" shown A port held -ge 1
N A ip link del vif1.0
check "a port goes with them" [ "$(A port | grep -c vif)" = 1 ]
# Broadcasts may have come to the other port.
count_is_right() {
	[ "$(value A node held-frames)" = $(($(value A port held) + $(value A link held))) ]
}
eventually "its frames do not count as held" count_is_right
kill $sender
wait $sender 2>/dev/null
A step abort
guest A a1 vif1.0 10.0.0.1 00:16:3e:00:00:01
N A ip link set vif1.0 master br0
A port add dev vif1.0
check "it comes again" N a1 ping -c2 -W2 10.0.0.11
spawn a1 /test/flow send 10.0.0.11 5000 1000000 200 2000
sender=$!

# A link goes under traffic, with held frames, and comes again.
checkpoint A >/dev/null
eventually "B holds" shown B node held-frames -ge 1
B link delete dev lB
check "a link goes with held frames" shown B node held-frames -eq 0
B link add dev lB
eventually "B holds again" shown B node held-frames -ge 1
N B ip link del lB
check "its interface goes" [ "$(value B node held-frames)$(B link)" = 0 ]
kill $sender $receiver
wait $sender $receiver 2>/dev/null
teardown

# A namespace goes with held frames; a node is deleted with held frames.
topology
nodes
links
N a1 ping -c1 -W2 10.0.0.11 >/dev/null
checkpoint A >/dev/null
N a1 ping -c1 -W1 10.0.0.11 >/dev/null
eventually "frames are held" shown B node held-frames -ge 1
steps A request + close
N a2 ping -c1 -W1 10.0.0.1 >/dev/null
check "at a port, too" shown A port held -ge 1
check "a node is deleted with them" A node delete
eventually "nothing is held" shown A port held -eq 0
check "its guests are reachable" N a1 ping -c1 -W2 10.0.0.2
ip netns del B
eventually "a namespace goes with held frames, and the module can go" rmmod tlckpt
finish
