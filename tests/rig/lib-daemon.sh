# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash
# The daemon and its store, for scenarios; sourced by lib.sh.
STORE=/mnt/store
CONFIG=/tmp/scenario/tlckptd.conf
DAEMON_PID_FILE=/tmp/scenario/daemon.pid

# store_mount [store|small]: an empty file system of 8 GiB or 96 MiB at $STORE
store_mount() {
	local disk=/dev/vdb
	[ "${1:-store}" = store ] || disk=/dev/vdc
	mkdir -p "$STORE"
	mke2fs -q -F -t ext4 -m 0 -E discard "$disk" && mount "$disk" "$STORE"
}

# daemon_config [TOML_LINES]: lines before the first [section] come first;
# $KEEP: how many checkpoints are kept (0: all)
daemon_config() {
	cat >"$CONFIG" <<-EOF
		state_directory = "/tmp/scenario/state"
		log_level = "debug"
		$*
		[store]
		directory = "$STORE/tlckpt"
		keep = ${KEEP:-0}
	EOF
}

daemon_running() { [ -e "$DAEMON_PID_FILE" ] && kill -0 "$(cat "$DAEMON_PID_FILE")" 2>/dev/null; }
daemon_answers() { tlckptctl status >/dev/null 2>&1; }

# daemon_start: with $CONFIG; succeeds once it answers
daemon_start() {
	local pid
	# The arena is touched and locked at the start: Dom0 has 1 GiB, and is slow.
	[ -e "$CONFIG" ] || daemon_config $'[checkpoint]\nstaging_mib = 64'
	tlckptd -c "$CONFIG" >>daemon.log 2>&1 &
	pid=$!
	echo "$pid" >"$DAEMON_PID_FILE"
	poll 60 daemon_answers_or_died
	daemon_answers || { daemon_trouble; false; }
}
# What it said last, and what it is doing if it hangs.
daemon_trouble() {
	tail -n 5 daemon.log
	! daemon_running || head -4 /proc/"$(cat "$DAEMON_PID_FILE")"/task/*/stack
}
daemon_answers_or_died() { daemon_answers || ! daemon_running; }

# daemon_signal SIGNAL: and waits until it is gone
daemon_signal() {
	local pid
	pid=$(cat "$DAEMON_PID_FILE") || return
	kill -"$1" "$pid" 2>/dev/null
	poll 30 daemon_gone
	rm -f "$DAEMON_PID_FILE"
}
daemon_gone() { ! daemon_running; }
daemon_stop() { [ ! -e "$DAEMON_PID_FILE" ] || daemon_signal TERM; }
daemon_kill() { daemon_signal KILL; }


# checkpoint: one node checkpoint, durable; its report is left in checkpoint.json
checkpoint() { tlckptctl -j checkpoint --wait >checkpoint.json; }
