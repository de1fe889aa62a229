# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash
# The whole job on two hosts, told while it goes on: guests that talk across hosts,
# checkpoints that follow each other by packets alone, the loss of a host, recovery.
# GUESTS: on each host. PERIOD1, PERIOD2: of basic checkpoints, ms.
GUESTS=${GUESTS:-1}
options="pages=2000 dirty=200 udp=20 tcp=20"

tell() { printf '\n-- %s\n' "$*"; }
# show N COMMAND: what a user would type there, and sees
show() {
	printf '\nn%s# %s\n' "$1" "$2"
	on "$1" "$2"
}
guests_of() { seq -s ' ' -f 'g%g' $((($1 - 1) * GUESTS + 1)) $(($1 * GUESTS)); } # NODE
host_of() { echo $(((${1#g} - 1) / GUESTS + 1)); }
everybody="$(guests_of 1) $(guests_of 2)"

status_is() { on "$1" "tlckptctl -j status | jq -e '$2'" >/dev/null; }
listed() { on "$1" "tlckptctl -j list | jq '[.checkpoints[]$2] | length'"; }
has() { [ "$(listed "$1" "$2")" -ge "$3" ]; } # NODE CONDITION NUMBER
talks() { on "$1" "workload_is $2 '[.links[].tcp_up] | all'"; }
unharmed() { # FILE
	jq -e '([.links[].tcp_breaks] | all(. == 0)) and .memory.verdict == "ok" and .corrupt == 0' "$1" >/dev/null
}

start_guests() {
	local n guest orders
	tell "Two Xen hosts, n1 and n2, under emulation: all is slow but real. Each starts $GUESTS guest(s)," \
		"which change a checksummed working set and talk to all others by TCP and UDP."
	for n in 1 2; do
		orders=
		for guest in $(guests_of $n); do
			orders+="guest_create $guest pv 128 \"\$(workload_args $guest '$everybody' '$options')\" && guest_wait_up $guest && "
		done
		order $n "$orders true"
	done
	for n in 1 2; do must "n$n's guests run" answer $n 240; done
	for guest in $everybody; do must "$guest talks to the others by TCP" poll 90 talks "$(host_of "$guest")" "$guest"; done
}

start_daemons() {
	local n
	tell "tlckptd starts on both; it finds the guests, joins the cluster in etcd, captures each guest in full."
	for n in 1 2; do
		local period=PERIOD$n
		order $n "PERIOD=${!period} LEASE=$((10 * RIG_PATIENCE)) node_config && daemon_start"
	done
	for n in 1 2; do must "n$n's daemon starts" answer $n; done
	for n in 1 2; do
		must "n$n is in the cluster" poll 60 status_is $n '.cluster.joined and (.cluster.frozen | not)'
	done
	for n in 1 2; do
		must "n$n's guests are captured in full" poll 120 status_is $n \
			"([.guests[] | .is_protected and .primed] | length == $GUESTS and all)"
	done
	show 1 'tlckptctl status'
}

# Each forced checkpoint is explained by the frame that asked for it.
forced_are_traced() { # NODE
	on "$1" 'tlckptctl -j list | jq -r ".checkpoints[] | select(.kind == \"forced\") | .sn" | while read -r sn; do
		grep -qE "checkpoint $sn is forced by a frame from n[0-9]+: its sn $sn > [0-9]+" daemon.log || { echo "$sn unexplained"; exit 1; }
	done'
}

# follow_each_other CHECKPOINTS: at least so many of each node, and two that were forced
follow_each_other() {
	local n guest
	tell "Each node takes checkpoints on its own period. What its guests send afterwards carries the new" \
		"index; the other node holds such a frame until it has taken one, too."
	for n in 1 2; do must "n$n has $1 checkpoints" poll 300 has $n "" "$1"; done
	must "n2 was forced" poll 120 has 2 ' | select(.kind == "forced")' 2
	for n in 1 2; do
		figure "n$n: basic and forced" "$(listed $n ' | select(.kind == "basic")'), $(listed $n ' | select(.kind == "forced")')" checkpoints
		expect "n$n: every forced checkpoint is traced to its frame" forced_are_traced $n
	done
	tell "Why they were forced:"
	show 2 'grep "is forced by" daemon.log | tail -3'
	show 2 'tlckptctl list'
	for guest in $everybody; do
		on "$(host_of "$guest")" "workload_query $guest verify" >"$guest.before.json"
		expect "$guest: no TCP connection broke, no memory is damaged" unharmed "$guest.before.json"
	done
}

# What the space-time diagram is drawn from: the run that the loss ended.
save_history() { # NODE
	on "$1" 'causes=$(sed -n "s/.*checkpoint \([0-9]*\) is forced by a frame from \(n[0-9]*\):.*/{\"sn\":\1,\"peer\":\"\2\"}/p" daemon.log | jq -sc .)
		tlckptctl -j list | jq -c --arg node n'"$1"' --argjson causes "$causes" "{node: \$node, checkpoints: [.checkpoints[] | select(.incarnation == 0)], causes: \$causes}"' >"n$1.json"
}
draw() {
	local line
	save_history 1
	line=$(on 1 'sed -n "s/.*recovery [0-9]*: line \([0-9]*\),.*/\1/p" daemon.log | tail -1')
	"$RIG/space-time" --line "$line" --svg space-time.svg n1.json n2.json
}

lose_n2() {
	local start guest
	tell "What would be done if n2 were lost now:"
	must "the plan for the loss of n2" show 1 'tlckptctl plan n2'
	save_history 2
	start=$(now_ms)
	node_kill 2
	tell "n2 is dead: its emulator was killed."
	must "n1 has recovered" poll 180 status_is 1 '.cluster.incarnation > 0 and .cluster.recovery == "none" and (.cluster.frozen | not)'
	figure "from the loss to the end of the recovery" $(($(now_ms) - start)) ms
	for guest in $everybody; do must "$guest runs on n1" poll 60 on 1 "guest_pings $guest"; done
	figure "from the loss to all guests answering" $(($(now_ms) - start)) ms
	show 1 'grep -E "recovery|replayed" daemon.log'
	for guest in $everybody; do must "$guest talks to the others by TCP" poll 60 talks 1 "$guest"; done
	sleep 5
}

judge() {
	local guest
	tell "The checker compares what each guest did, sent and received."
	for guest in $everybody; do
		on 1 "workload_query $guest history | tee $guest.after.json" >"$guest.after.json"
		expect "$guest: no TCP connection broke, no memory is damaged" unharmed "$guest.after.json"
	done
	expect "the application is consistent" show 1 "tlckpt-workload-check --goes-on $(printf '%s.after.json ' $everybody)"
	tell "What happened: nodes as lines, checkpoints as boxes, forcing frames as arrows, the line through it."
	expect "the diagram is drawn" draw
	show 1 'tlckptctl status'
	must "and all are checkpointed on" on 1 'tlckptctl checkpoint --wait'
	show 1 'tlckptctl list --last 4'
}
