# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash
# What scenarios with several nodes use. They run on the machine that runs the
# emulators; on N COMMAND does something in node N's Dom0, where lib.sh and
# lib-node.sh are known. RIG_FOLDER has nodeN/, wire.pcap, shared/ (the store), and the
# pipes wire and hosts for orders.
RIG_START=$SECONDS
say() { printf '[%3d] %s\n' $((SECONDS - RIG_START)) "$*"; }
# shellcheck source=tests/rig/lib-verdicts.sh
. "$RIG/lib-verdicts.sh"

declare -A RIG_ORDER
# order N COMMAND...: begins it there. Subshells give orders, too: the files tell which
# numbers are taken.
order() {
	local node=$1 file
	shift
	RIG_ORDER[$node]=$((${RIG_ORDER[$node]:-0} + 1))
	while [ -e "$RIG_FOLDER/node$node/out/agent/${RIG_ORDER[$node]}.run" ]; do
		RIG_ORDER[$node]=$((RIG_ORDER[$node] + 1))
	done
	file=$RIG_FOLDER/node$node/out/agent/${RIG_ORDER[$node]}
	printf '%s\n' "$*" >"$file.new"
	mv "$file.new" "$file.run"
}
# answer N [SECONDS]: waits for the last order there; its output, its status
answer() {
	local file=$RIG_FOLDER/node$1/out/agent/${RIG_ORDER[$1]} end=$((SECONDS + ${2:-120} * RIG_PATIENCE))
	until [ -e "$file.status" ]; do
		[ $SECONDS -lt $end ] || return 124
		sleep 0.2
	done
	cat "$file.log"
	return "$(cat "$file.status")"
}
# on N COMMAND...: does it in that Dom0 and waits
on() {
	order "$@"
	answer "$1"
}
# on_all COMMAND...: in all nodes at once
on_all() {
	local node status=0
	for ((node = 1; node <= RIG_NODES; node++)); do order $node "$@"; done
	for ((node = 1; node <= RIG_NODES; node++)); do answer $node || status=1; done
	return $status
}

node_signal() { kill "-$2" "$(cat "$RIG_FOLDER/node$1/pid")"; }
# The host is gone, from one instruction to the next.
node_kill() { node_signal "$1" KILL; }
node_freeze() { node_signal "$1" STOP; }
node_thaw() { node_signal "$1" CONT; }
# What nobody has waited for yet is still a process, a zombie.
node_dead() { ! grep -qs '^State:.[^Z]' "/proc/$(cat "$RIG_FOLDER/node$1/pid")/status"; }
# It starts again as after a power failure, with nothing but its image.
node_boot() {
	local out=$RIG_FOLDER/node$1/out
	rm -rf "$out/booted" "$out"/agent/* "$out"/fence/*
	RIG_ORDER[$1]=0
	echo "boot $1" >"$RIG_FOLDER/hosts"
	poll 120 test -e "$out/booted"
}
# etcd and nfs: service stop etcd; service start etcd; service_signal nfs STOP
service() { echo "$1 $2" >"$RIG_FOLDER/hosts"; }
service_signal() { kill "-$2" "$(cat "$RIG_FOLDER/$1.pid")"; }
# wire cut N... | heal | delay MS | drop PERCENT
wire() { echo "$*" >"$RIG_FOLDER/wire"; }
