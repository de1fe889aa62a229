# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=dash disable=SC2034
# Two nodes A and B in namespaces of one kernel, guests a1, a2 on A and b1 on B,
# joined by the link lA <-> lB:
#
#   a1 --vif1.0-- br0 --lA ===== lB-- br0 --vif1.0-- b1
#   a2 --vif2.0--/ (A)              (B)
#
# Verdicts are TAP lines; `finish` ends a script as kselftest wants: 0, 1 or 4.
TOOL=${TOOL:-/test/tlckptctl}
KO=${KO:-/test/tlckpt.ko}
key=/tmp/key
failed=0

ok() { echo "ok - $*"; }
not_ok() {
	echo "not ok - $*"
	failed=1
}
# verdict NAME STATUS: of a command whose words are in /tmp/check.out
verdict() {
	if [ "$2" = 0 ]; then
		ok "$1"
	else
		not_ok "$1"
		sed 's/^/# /' /tmp/check.out
	fi
}
# check NAME COMMAND...: the verdict is the command's
check() {
	name=$1
	shift
	"$@" >/tmp/check.out 2>&1
	verdict "$name" $?
}
# eventually NAME COMMAND...: the same, tried until it succeeds, for 20 s at least
eventually() {
	name=$1
	shift
	for _ in $(seq 100); do
		"$@" >/tmp/check.out 2>&1
		result=$?
		[ $result = 0 ] && break
		sleep 0.2
	done
	verdict "$name" $result
}
# shown NODE OBJECT NAME OPERATOR NUMBER: compares a number of `show`
shown() { test "$(value "$1" "$2" "$3")" "$4" "$5"; }
# refused NAME TEXT COMMAND...: the command fails and says TEXT
refused() {
	name=$1 text=$2
	shift 2
	if "$@" >/tmp/check.out 2>&1; then
		not_ok "$name: not refused"
	elif grep -q "$text" /tmp/check.out; then
		ok "$name"
	else
		not_ok "$name: another reason: $(cat /tmp/check.out)"
	fi
}
skip_all() {
	echo "ok - $0 # SKIP $*"
	exit 4
}
finish() {
	teardown
	exit "$failed"
}

# A kernel that checks everything loses what comes faster than it can.
[ ! -e /sys/kernel/debug/kmemleak ] || export FLOW_SLOW=10

N() { ip netns exec "$@"; }
# spawn NAMESPACE COMMAND...: in the background; $! is the command itself, which N ... &
# would only be the parent of
spawn() { ip netns exec "$@" & }
A() { N A "$TOOL" "$@"; }
B() { N B "$TOOL" "$@"; }
# value NODE OBJECT NAME: a number of `show`, summed over lines; counters too
value() {
	N "$1" "$TOOL" -s "$2" show | awk -v name="$3" \
		'{ for (i = 1; i < NF; i++) if ($i == name) sum += $(i + 1) } END { print sum + 0 }'
}
guest() { # NODE GUEST VIF ADDRESS LLADDR
	ip link add "$3" netns "$1" type veth peer name eth0 netns "$2"
	N "$2" ip link set eth0 address "$5" up
	N "$2" ip addr add "$4/24" dev eth0
	N "$2" ip addr add "fd00::${4##*.}/64" dev eth0 nodad
	N "$1" ip link set "$3" up
}
# topology [LINK_MTU [bridge|none]]
topology() {
	for n in A B a1 a2 b1; do
		ip netns add $n
		N $n ip link set lo up
		N $n sh -c 'echo 0 >/proc/sys/net/ipv6/conf/default/accept_dad'
	done
	ip link add lA netns A numtxqueues 2 numrxqueues 2 type veth \
		peer name lB netns B numtxqueues 2 numrxqueues 2
	guest A a1 vif1.0 10.0.0.1 00:16:3e:00:00:01
	guest A a2 vif2.0 10.0.0.2 00:16:3e:00:00:02
	guest B b1 vif1.0 10.0.0.11 00:16:3e:00:00:0b
	for n in A B; do
		N $n ip link set l$n mtu "${1:-1600}" up
		[ "${2:-bridge}" = bridge ] || continue
		N $n ip link add br0 type bridge mcast_snooping 0
		N $n ip link set br0 up
		for dev in l$n vif1.0 vif2.0; do
			N $n ip link set $dev master br0 2>/dev/null
		done
	done
}
# nodes [SETTING...]: module loaded, both namespaces are nodes, links stamped
load() { grep -q '^tlckpt ' /proc/modules || insmod "$KO"; }
nodes() {
	load
	echo 000102030405060708090a0b0c0d0e0f >$key
	A node set id 1 key-file $key "$@"
	B node set id 2 key-file $key "$@"
	A port add dev vif1.0
	A port add dev vif2.0
	B port add dev vif1.0
}
links() { # [LINK ARGUMENTS]
	A link add dev lA "$@"
	B link add dev lB "$@"
	A step thaw
	B step thaw
}
teardown() {
	for n in A B a1 a2 b1; do ip netns del $n 2>/dev/null; done
	grep -q '^tlckpt ' /proc/modules && rmmod tlckpt
	return 0
}
# steps NODE WORDS...: several steps by one call of the tool, "+" between them
steps() {
	node=$1
	shift
	echo "$*" | tr '+' '\n' | sed 's/^ */step /' | N "$node" "$TOOL" -b -
}
# checkpoint NODE: all steps of one; prints its sn
checkpoint() {
	sn=$(steps "$1" request + close + suspended + cut | awk '{ print $2 }')
	steps "$1" "captured sn $sn + durable sn $sn" >/dev/null && echo "$sn"
}
