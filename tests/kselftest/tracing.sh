#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
# Every tracepoint, recorded and printed by both of the usual tools: their parser has to
# understand the print formats. "traffic" is what they record.
. ./lib.sh

if [ "${1:-}" = traffic ]; then
	A step captured sn 999            # refused
	checkpoint A                      # B has not taken it:
	N b1 ping -c1 -W1 10.0.0.1        # late at A, logged; the answer forces B, held
	checkpoint B                      # releases it
	N a1 ping -c2 -i0.2 -W2 10.0.0.11 # goes through
	exit 0
fi

printed() { # TRACEPOINT PATTERN
	check "$tool: tlckpt_$1" grep -Eq "tlckpt_$1: +$2\$" /tmp/report
}
number='[0-9]+'
frame="peer=1 incarnation=0 sn=$number bytes=$number"
indexes="sn=$number captured=$number durable=$number target=$number held=$number"

topology
nodes
links
N a1 ping -c1 -W2 10.0.0.11 >/dev/null
for tool in trace-cmd perf; do
	case $tool in
	trace-cmd)
		trace-cmd record -q -e tlckpt -o /tmp/record sh tracing.sh traffic >/tmp/said 2>&1
		trace-cmd report -i /tmp/record >/tmp/report 2>>/tmp/said
		;;
	perf)
		perf record -q -a -e 'tlckpt:*' -o /tmp/record sh tracing.sh traffic >/tmp/said 2>&1
		perf script -i /tmp/record >/tmp/report 2>>/tmp/said
		;;
	esac
	printed stamp "dev=lA sn=$number len=98 segments=1"
	printed inspect "dev=lB $frame verdict=deliver"
	printed inspect "dev=lB $frame verdict=hold"
	printed request "netns=$number target=$number reason=forced peer=1 frame_sn=$number"
	printed release "dev=lB $frame verdict=deliver"
	printed log "dev=lA peer=2 sn=$number for=\($number,$number\]"
	printed step "netns=$number captured $indexes err=0"
	printed step "netns=$number captured $indexes err=-$number"
	check "$tool: nothing that it cannot print" sh -c "! grep -Ei 'fail|unknown|bad op|\[[A-Z ]*ERROR' /tmp/report /tmp/said"
	sed -n 's/^/# /; 1,12p' /tmp/said
	grep tlckpt_ /tmp/report | sed -n 's/^/# /; 1,25p'
done
finish
