# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash
# The main job, for one type of guest: ten node checkpoints of two working and
# talking guests, their loss, and their return at the fourth and at the ninth;
# then a chain of checkpoints of the restored ones.
PEERS="dom0 g1 g2"

main_job() {
	start_everything "$1"
	ten_checkpoints
	lose_and_restore 4 by_daemon
	lose_and_restore 9 by_hand
	new_chain
	must "the whole store verifies" tlckptctl verify
}

start_everything() {
	local guest start
	must "a store" store_mount
	start=$(now_ms)
	for guest in g1 g2; do
		must "$guest is created" guest_create "$guest" "$1" 128 \
			"$(workload_args "$guest" "$PEERS" "pages=4000 dirty=300 gap=200")"
	done
	workload_start_dom0 "$PEERS" "dirty=20 gap=200"
	for guest in $PEERS; do
		must "$guest talks to all by TCP" workload_wait "$guest" '[.links[].tcp_up] | all'
	done
	figure "two guests created and talking" $(($(now_ms) - start)) ms
	must "the daemon starts" daemon_start
}

ten_checkpoints() {
	local i guest monitors
	monitors=$(pgrep -fc '^xl create')
	for i in {1..10}; do
		must "checkpoint $i" checkpoint
		case $i in 4 | 9) for guest in g1 g2; do workload_query $guest history >"$guest.$i.json"; done ;; esac
		sleep 1
	done
	[ "$(pgrep -fc '^xl create')" = "$monitors" ]
	expect "xl's monitors live on" [ $? = 0 ]
	for guest in $PEERS; do
		workload_query "$guest" verify >"$guest.before.json"
		expect "$guest: no TCP connection broke" jq -e '[.links[].tcp_breaks] | all(. == 0)' "$guest.before.json"
		expect "$guest: no memory or message is damaged" \
			jq -e '.memory.verdict == "ok" and .memory.digest_matches and .corrupt == 0' "$guest.before.json"
	done
	checkpoint_figures
}

checkpoint_figures() {
	tlckptctl -j list >list.json
	figure "stopped, median of increments" \
		"$(jq '[.checkpoints[1:][].times.stopped_ns / 1e6] | sort | .[length / 2 | floor]' list.json)" ms
	figure "time to durable, median of increments" \
		"$(jq '[.checkpoints[1:][].durable_ns / 1e6] | sort | .[length / 2 | floor]' list.json)" ms
	figure "pages copied in the pause, median over guests" \
		"$(jq '[.checkpoints[1:][].guests[].paused_pages] | sort | .[length / 2 | floor]' list.json)" pages
	figure "frozen, as g1 sees it, median" \
		"$(jq '[.marks[] | select(.suspended) | .frozen_ms] | sort | .[length / 2 | floor]' g1.before.json)" ms
}

# lose_and_restore SN by_daemon|by_hand: expects g1.SN.json, g2.SN.json
lose_and_restore() {
	local sn=$1 start
	guest_destroy_all
	start=$(now_ms)
	must "both guests are back at $sn ($2)" "restore_$2" "$sn"
	figure "restore of two guests at $sn" $(($(now_ms) - start)) ms
	must "both go on after $sn" both_go_on
	for guest in g1 g2; do workload_query "$guest" history >"$guest.after$sn.json"; done
	expect "both stand on the state of $sn, consistent with each other" \
		tlckpt-workload-check --outside 1.0 --replay --goes-on \
		--expect "g1.$sn.json" --expect "g2.$sn.json" "g1.after$sn.json" "g2.after$sn.json"
}
restore_by_daemon() { tlckptctl restore "$1"; }
restore_by_hand() {
	local guest
	for guest in g1 g2; do
		tlckptctl restore "$1" --guest "$guest" --to "$STORE/$guest.stream" &&
			xl restore -p "$STORE/$guest.stream" || return
		rm "$STORE/$guest.stream"
	done
	xl unpause g1 && xl unpause g2
}
both_go_on() {
	local guest
	for guest in g1 g2; do
		guest_wait_up "$guest" && workload_wait "$guest" '[.links[].tcp_up] | all' || return
	done
	sleep 3
}

new_chain() {
	local i guest
	for i in 11 12 13; do
		must "checkpoint $i, of restored guests" checkpoint
		[ $i != 12 ] || for guest in g1 g2; do workload_query $guest history >"$guest.12.json"; done
		sleep 1
	done
	lose_and_restore 12 by_daemon
}
