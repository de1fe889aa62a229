# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash
# Verdicts, for scenarios inside and outside of Dom0: lines in $RIG_OUT/tap.
RIG_FAILED=0

verdict() {
	say "$1 - $2"
	echo "$1 - $RIG_SCENARIO: $2" >>"$RIG_OUT/tap"
}
ok() { verdict ok "$1"; }
not_ok() {
	RIG_FAILED=1
	verdict 'not ok' "$1"
}
skip() { verdict ok "$1 # SKIP $2"; }
# expect "what must hold" COMMAND...: one verdict by the command's status
expect() {
	local what=$1
	shift
	if "$@"; then ok "$what"; else not_ok "$what"; fi
}
# must "what" COMMAND...: as expect, and the scenario ends if it does not hold
must() {
	expect "$@"
	[ "$RIG_FAILED" = 0 ] || scenario_end
}
# figure NAME VALUE UNIT: a measured number, shown beside the verdicts
figure() {
	say "figure $1 = $2 $3"
	echo "# $RIG_SCENARIO: $1 = $2 $3" >>"$RIG_OUT/tap"
}
scenario_end() { exit 0; }

# poll SECONDS COMMAND...: repeats the command until it succeeds
poll() {
	local end=$((SECONDS + $1 * RIG_PATIENCE))
	shift
	until "$@"; do
		[ "$SECONDS" -lt "$end" ] || return 1
		sleep 1
	done
}
now_ms() { echo $((${EPOCHREALTIME/./} / 1000)); }
