# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash
# The whole job on several hosts, told while it goes on: guests that talk across hosts,
# checkpoints that follow each other by packets alone, the loss of a host, recovery.
# Host N is nN, the shell variables of one are NAME with N: PERIOD1, of basic checkpoints, ms;
# MODE1, ms or bcs. GUESTS: on each host, g1 g2 on n1, g3 g4 on n2, ... ARGS: more of their
# kernel command lines. TOML: lines for the daemons' configuration, read in double quotes there.
GUESTS=${GUESTS:-1} GUEST_MIB=${GUEST_MIB:-128}
# What was in transit at the line is to be remembered when all is judged.
options="pages=2000 dirty=200 udp=20 tcp=20 history=2000"

tell() { printf '\n-- %s\n' "$*"; }
# show N COMMAND: what a user would type there, and sees
show() {
	printf '\nn%s# %s\n' "$1" "$2"
	on "$1" "$2"
}
guests_of() { seq -s ' ' -f 'g%g' $((($1 - 1) * GUESTS + 1)) $(($1 * GUESTS)); } # NODE
disks_of() { :; } # NODE: a line of its guests' configuration
hosts=$(seq -s ' ' "$RIG_NODES")
everybody=$(seq -s ' ' -f 'g%g' $((RIG_NODES * GUESTS)))
declare -A host_of
for host in $hosts; do
	for guest in $(guests_of "$host"); do host_of[$guest]=$host; done
done
# find_guests: where they run now, of the hosts that live
find_guests() {
	local guest host
	for guest in $everybody; do
		host_of[$guest]=
		for host in $hosts; do
			! on "$host" "guest_exists $guest" || host_of[$guest]=$host
		done
		[ "${host_of[$guest]}" ] || return 1
	done
}

status_is() { on "$1" "tlckptctl -j status | jq -e '$2'" >/dev/null; }
listed() { on "$1" "tlckptctl -j list | jq '[.checkpoints[]$2] | length'"; }
has() { [ "$(listed "$1" "$2")" -ge "$3" ]; } # NODE CONDITION NUMBER
talks() { on "${host_of[$1]}" "workload_is $1 '[.links[].tcp_up] | all'"; }
all_talk() {
	local guest
	for guest in $everybody; do must "$guest talks to the others by TCP" poll "${1:-60}" talks "$guest"; done
}
# ask GUEST REQUEST: of its workload; one line of JSON
ask() { on "${host_of[$1]}" "workload_query $1 $2"; }
unharmed() { # FILE
	jq -e '([.links[].tcp_breaks] | all(. == 0)) and .memory.verdict == "ok" and .corrupt == 0' "$1" >/dev/null
}

start_guests() {
	local n guest orders
	tell "$RIG_NODES Xen hosts under emulation: all is slow but real. Each starts $GUESTS guest(s)," \
		"which change a checksummed working set and talk to all others by TCP and UDP."
	for n in $hosts; do
		orders=
		for guest in $(guests_of "$n"); do
			orders+="guest_create $guest pv $GUEST_MIB \"\$(workload_args $guest '$everybody' '$options') ${ARGS:-}\" '$(disks_of "$n")' && guest_wait_up $guest && "
		done
		order "$n" "$orders true"
	done
	for n in $hosts; do must "n$n's guests run" answer "$n" 240; done
	all_talk 90
}

begin_daemon() { # NODE [SETTINGS]
	local period=PERIOD$1 mode=MODE$1
	order "$1" "PERIOD=${!period} MODE=${!mode:-ms} LEASE=$((10 * RIG_PATIENCE)) ${2:-} node_config \"${TOML:-}\" && daemon_start"
}
joined() { status_is "$1" '.cluster.joined and (.cluster.frozen | not)'; }
primed() { # NODE
	status_is "$1" "([.guests[] | .is_protected and .primed] | length == $GUESTS and all)"
}
start_daemons() { # [SETTINGS]
	local n
	tell "tlckptd starts on all; it finds the guests, joins the cluster in etcd, captures each guest in full."
	for n in $hosts; do begin_daemon "$n" "${1:-}"; done
	for n in $hosts; do must "n$n's daemon starts" answer "$n"; done
	for n in $hosts; do
		must "n$n is in the cluster" poll 60 joined "$n"
	done
	for n in $hosts; do must "n$n's guests are captured in full" poll 180 primed "$n"; done
	show 1 'tlckptctl status'
}

# Each forced checkpoint is explained by the frame that asked for it.
forced_are_traced() { # NODE
	on "$1" 'tlckptctl -j list | jq -r ".checkpoints[] | select(.kind == \"forced\") | .sn" | while read -r sn; do
		grep -qE "checkpoint $sn is forced by a frame from n[0-9]+: its sn $sn > [0-9]+" daemon.log || { echo "$sn unexplained"; exit 1; }
	done'
}

# follow_each_other CHECKPOINTS: at least so many of each node, and two of n2 that were forced
follow_each_other() {
	local n
	tell "Each node takes checkpoints on its own period. What its guests send afterwards carries the new" \
		"index; the other node holds such a frame until it has taken one, too."
	for n in $hosts; do must "n$n has $1 checkpoints" poll 300 has "$n" "" "$1"; done
	must "n2 was forced" poll 120 has 2 ' | select(.kind == "forced")' 2
	for n in $hosts; do
		figure "n$n: basic and forced" "$(listed "$n" ' | select(.kind == "basic")'), $(listed "$n" ' | select(.kind == "forced")')" checkpoints
		expect "n$n: every forced checkpoint is traced to its frame" forced_are_traced "$n"
	done
	tell "Why they were forced:"
	show 2 'grep "is forced by" daemon.log | tail -3'
	show 2 'tlckptctl list'
}
all_unharmed() {
	local guest
	for guest in $everybody; do
		ask "$guest" verify >"$guest.json"
		expect "$guest: no TCP connection broke, no memory is damaged" unharmed "$guest.json"
	done
}

# What the space-time diagram is drawn from: the run that the loss ended.
save_history() { # NODE
	on "$1" 'causes=$(sed -n "s/.*checkpoint \([0-9]*\) is forced by a frame from \(n[0-9]*\):.*/{\"sn\":\1,\"peer\":\"\2\"}/p" daemon.log | jq -sc .)
		tlckptctl -j list | jq -c --arg node n'"$1"' --argjson causes "$causes" "{node: \$node, checkpoints: [.checkpoints[] | select(.incarnation == 0)], causes: \$causes}"' >"n$1.json"
}
draw() {
	local line n
	for n in $hosts; do save_history "$n"; done
	line=$(on 1 'sed -n "s/.*recovery [0-9]*: line \([0-9]*\),.*/\1/p" daemon.log | tail -1')
	"$RIG/space-time" --line "$line" --svg space-time.svg n?.json
}

# when_seen FILE LINE REGEX: waits for it in what stands there from that line on
when_seen() {
	timeout $((120 * RIG_PATIENCE)) grep -qEm1 "$3" < <(exec tail --pid=$$ -f -n "+$2" "$1")
}
# when_logged NODE REGEX: its daemon says something new, at that instant it is killed
when_logged() {
	local log=$RIG_FOLDER/node$1/out/daemon.log
	when_seen "$log" $(($(wc -l <"$log") + 1)) "$2" && node_kill "$1"
}
recovered() { # NODE INCARNATION
	status_is "$1" ".cluster.incarnation >= $2 and .cluster.recovery == \"none\" and (.cluster.frozen | not)"
}
# lose NODE: the first loss of a run; all others take part in the recovery
lose() {
	local start guest n
	tell "What would be done if n$1 were lost now:"
	must "the plan for the loss of n$1" show 1 "tlckptctl plan n$1"
	save_history "$1"
	start=$(now_ms)
	node_kill "$1"
	hosts=$(for n in $hosts; do [ "$n" = "$1" ] || printf '%s ' "$n"; done)
	tell "n$1 is dead: its emulator was killed."
	for n in $hosts; do must "n$n has recovered" poll 180 recovered "$n" 1; done
	figure "from the loss to the end of the recovery" $(($(now_ms) - start)) ms
	must "all guests are there" poll 60 find_guests
	for guest in $everybody; do
		must "$guest runs on n${host_of[$guest]}" poll 60 on "${host_of[$guest]}" "guest_pings $guest"
	done
	figure "from the loss to all guests answering" $(($(now_ms) - start)) ms
	for n in $hosts; do
		figure "of that, on n$n" "$(on "$n" 'sed -n "s/.*this node runs again after //p" daemon.log | tail -1')" ""
		show "$n" 'grep -E "recovery|replayed" daemon.log'
	done
	all_talk
	sleep 5
}

# collect NAME: all guests' histories, GUEST.NAME.json
collect() {
	local guest
	for guest in $everybody; do ask "$guest" history >"$guest.$1.json"; done
}
# consistent NAME [OPTIONS]: the checker's verdict on what was collected
consistent() {
	local guest files=()
	for guest in $everybody; do files+=("$guest.$1.json"); done
	"$RIG/../workload/tlckpt-workload-check" --goes-on "${@:2}" "${files[@]}"
}

judge() {
	local n
	tell "The checker compares what each guest did, sent and received."
	all_unharmed
	collect after
	printf '\n$ tlckpt-workload-check --goes-on%s\n' "$(printf ' %s.after.json' $everybody)"
	expect "the application is consistent" consistent after
	tell "What happened: nodes as lines, checkpoints as boxes, forcing frames as arrows, the line through it."
	expect "the diagram is drawn" draw
	show 1 'tlckptctl status'
	for n in $hosts; do must "n$n's guests are checkpointed on" on "$n" 'tlckptctl checkpoint --wait'; done
	show 1 'tlckptctl list --last 4'
}
