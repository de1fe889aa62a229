# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash
# The workload of the guests, for scenarios; sourced by lib.sh. Guest gN is
# member 1.N, Dom0 itself can be member 1.0.

# workload_args GUEST PEERS OPTIONS: its part of a guest's kernel command line;
# PEERS and OPTIONS are words: "g1 g2 dom0", "pages=2000 dirty=500"
workload_args() {
	local word
	# What it does all the time shall leave an emulated processor for the rest.
	set -- "$1" "$2" "tick=10000 verify=64 ${3:-}"
	printf 'wl.id=1.%s wl.peer=%s' "${1#g}" "$(workload_peers "$2")"
	for word in $3; do printf ' wl.%s' "$word"; done
}
workload_peers() {
	local peer list=
	for peer in $1; do
		if [ "$peer" = dom0 ]; then list+=,1.0@10.0.0.1; else list+=",1.${peer#g}@$(guest_ip "$peer")"; fi
	done
	echo "${list#,}"
}

# Dom0's own member: workload_start_dom0 PEERS OPTIONS
workload_start_dom0() {
	local word arguments=(--id 1.0 --peer "$(workload_peers "$1")" --tick=20000 --verify=16)
	for word in ${2:-}; do arguments+=("--$word"); done
	tlckpt-workload run "${arguments[@]}" >>workload-dom0.log 2>&1 &
	WORKLOAD_PID=$!
}
workload_stop_dom0() {
	kill "$WORKLOAD_PID"
	wait "$WORKLOAD_PID" 2>/dev/null
}

# workload_query GUEST|dom0 [REQUEST]: one line of JSON
workload_query() {
	local address=10.0.0.1
	[ "$1" = dom0 ] || address=$(guest_ip "$1")
	tlckpt-workload query "$address" "${2:-state}" --wait "${3:-20}"
}
# workload_is GUEST JQ_CONDITION: true of its state now
workload_is() { workload_query "$1" | jq -e "$2" >/dev/null; }
workload_wait() { poll "${3:-40}" workload_is "$1" "$2"; }
