#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
# The channel log (Rule R12): late frames are logged whole, super-packets and tags too,
# and injected after a rollback each reaches its guest once. A changed key (R16).
. ./lib.sh

topology
nodes
links
for n in A B; do N $n ethtool -K l$n gro on tso off >/dev/null; done
for g in a1 b1; do
	N $g ip link add link eth0 name eth0.10 type vlan id 10
	N $g ip link set eth0.10 up
	N $g ip addr add "10.0.10.$([ $g = a1 ] && echo 1 || echo 11)/24" dev eth0.10
done
# Where A holds what B says, a1 gets no answers: it knows b1.
N a1 ip neigh replace 10.0.0.11 lladdr 00:16:3e:00:00:0b dev eth0 nud permanent
N a1 ip neigh replace 10.0.10.11 lladdr 00:16:3e:00:00:0b dev eth0.10 nud permanent
check "untagged" N a1 ping -c1 -W2 10.0.0.11
check "VLAN" N a1 ping -c1 -W2 10.0.10.11
check "B is ahead" [ "$(checkpoint B)" = 1 ]

logged() { # the frames, one a line, hexadecimal
	B -j log show "$@" | grep -o '"frame":"[0-9a-f]*"' | cut -d'"' -f4
}
inject() { # from standard input
	sed 's/.*/log inject dev lB frame &/' | N B "$TOOL" -b -
}
# A's frames say 0: in transit for 1. Three kinds, with checksums that the sender left
# to the device.
spawn b1 /test/flow recv 5000 20 60 >/tmp/received
receiver=$!
spawn b1 /test/flow recv 5010 10 60 >/tmp/received.vlan
receiver_vlan=$!
sleep 0.5
N a1 /test/flow send 10.0.0.11 5000 10 700 1000
N a1 /test/flow send 10.0.10.11 5010 5 300 1000
eventually "late frames are logged" shown B node log-frames -ge 15
check "and delivered, counted as late" [ "$(value B link rx-late)" -ge 15 ]
check "for index 1 only" [ -z "$(logged sn 2)" ]
udp=$(logged sn 1 | grep 0800450002d8) # length 728
vlan=$(logged sn 1 | grep 8100000a0800450001)
check "ten, whole" [ "$(echo "$udp" | wc -l)" = 10 ]
check "five with their tag" [ "$(echo "$vlan" | wc -l)" = 5 ]

# After a rollback to the line 1: A stays as it is, B goes back to its member.
steps A "freeze + rollback k 1 incarnation 1 previous 0"
steps B "freeze + rollback k 1 member 1 incarnation 1 previous 0"
{ echo "$udp"; echo "$vlan"; } | inject
steps A thaw
steps B thaw
wait $receiver
wait $receiver_vlan
check "each was injected once" \
	grep -q "received 20 lost -10 reordered 9 duplicate 10 damaged 0" /tmp/received
check "and those with a tag" \
	grep -q "received 10 lost -5 reordered 4 duplicate 5 damaged 0" /tmp/received.vlan
check "A follows" [ "$(checkpoint A)" = 1 ]
check "ping in the new incarnation" N a1 ping -c1 -W2 10.0.0.11
B log delete sn 1
check "what is durable is forgotten" [ "$(value B node log-frames)" = 0 ]

# A bulk stream arrives in super-packets: the log has frames as on the wire. A, which
# has no daemon and passes all (R8), stays behind B: its frames are late.
A node set policy pass
spawn A "$TOOL" monitor own >/dev/null
owner=$!
eventually "a daemon owns A" shown A node owner -gt 0
kill $owner
wait $owner
eventually "and is gone" shown A node owner -eq 0
check "B is ahead again" [ "$(checkpoint B)" = 2 ]
spawn b1 /test/flow serve 6000 300000
server=$!
check "a bulk stream, late" N a1 timeout 60 /test/flow bulk 10.0.0.11 6000 300000
kill $server 2>/dev/null
wait $server
longest=$(logged | awk '{ n = length($0) / 2; if (n > longest) longest = n; sum++ }
	END { print longest, (sum > 200) }')
check "its frames are logged as on a wire: longest $longest" [ "$longest" = "1514 1" ]
check "a full log counts what it loses" sh -c "
	ip netns exec B $TOOL node set log-bytes 1
	ip netns exec a1 ping -c1 -W2 10.0.0.11 >/dev/null
	ip netns exec B $TOOL node | grep -q 'log-lost [1-9]'"
refused "injected where no guest is" "at a port or a link" \
	B log inject dev lo frame "$(echo "$udp" | head -n 1)"
refused "longer than the interface takes" "longer than the interface's MTU" \
	B log inject dev lB frame "$(printf '%04000d' 0)"

# Rule R16: another key is another cluster.
forged=$(value B link drop-forged)
echo 0f0e0d0c0b0a09080706050403020100 >/tmp/key2
B node set key-file /tmp/key2
check "another key: nothing arrives" sh -c "! ip netns exec a1 ping -c1 -W1 10.0.0.11"
check "and is counted as forged" [ "$(value B link drop-forged)" -gt "$forged" ]
A node set key-file /tmp/key2
check "the same key again" N a1 ping -c2 -W2 10.0.0.11
finish
