/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The protocol of Documentation/protocol.rst, Rules R1..R15, as a model for
 * spin: every interleaving of nodes that send, take checkpoints, die and go
 * back. What is modelled, left out and bounded: Documentation/model.rst.
 *
 * Every step of a process is one atomic event of the protocol; what several
 * nodes do between two events of one is all that interleaves.
 */
c_decl {
\#include <stdlib.h>
static unsigned char bound(const char *name, int otherwise)
{
	const char *value = getenv(name);

	return (unsigned char)(value ? atoi(value) : otherwise);
}
}

#include "mutants.pml"
#include "state.pml"
#include "frame.pml"
#include "line.pml"
#include "node.pml"
#include "recover.pml"

byte stopped;	/* with settle: no fault, no new frame, no basic checkpoint any more */

#define able(i)		(may_act(i) && (i) < nodes && n[i].up && !stopped)
#define may_send(i)	(able(i) && sent_frames < frames && \
			 (n[i].phase != CUT || pulling) && n[i].phase != STUCK)
#define may_name(i, d)	((d) < nodes && \
			 (d) <= (named > (i) + 1 -> named : (i) + 1))

#define may_go_back(i)	(may_act(i) && (i) < nodes && !n[i].failed && \
			 (n[i].incarnation < record || n[i].up && early_k && \
			  n[i].incarnation == record) && \
			 !(M(PRESENT_ON_SN) && n[i].up && n[i].captured < n[i].sn))

inline send_to(i, d)
{
	name(i);
	name(d);
	send(i, d);
	forget_settled_frames()
}

inline start_attempt(i, l)
{
	name(i);
	close_intake(i, l)
}

proctype node(byte me)
{
	do
	/* Guests. In phase CUT netback still pulls from their rings. */
	:: d_step { may_send(me) && me != 0 && may_name(me, 0) -> send_to(me, 0); skip }
	:: d_step { may_send(me) && me != 1 && may_name(me, 1) -> send_to(me, 1); skip }
	:: d_step { may_send(me) && me != 2 && may_name(me, 2) -> send_to(me, 2); skip }
	:: d_step { may_send(me) && n[me].phase == CLOSED -> send_to(me, me); skip }

	/* Rule R2, either mode: a basic checkpoint takes some higher index. */
	:: d_step { able(me) && n[me].phase == RUN && !must_retry(me) && n[me].sn < sn_max ->
		start_attempt(me, n[me].sn + 1); skip }
	:: d_step { able(me) && n[me].phase == RUN && !must_retry(me) && n[me].sn + 1 < sn_max ->
		start_attempt(me, n[me].sn + 2); skip }
	/* Rules R3 and R7. */
	:: d_step { n[me].up && n[me].phase == RUN && must_retry(me) ->
		close_intake(me, n[me].sn); skip }
	:: d_step { n[me].up && n[me].phase == RUN && !must_retry(me) && n[me].want > n[me].sn ->
		close_intake(me, n[me].want); skip }

	/* Rule R4. */
	:: d_step { n[me].phase == CLOSED -> cut(me); skip }
	:: d_step { n[me].phase == CUT ||
		    M(CAPTURE_LATE) && n[me].phase == RESUMED -> capture(me); skip }
	:: d_step { M(RAISE_LATE) && n[me].phase == RESUMED ->
		n[me].captured = n[me].target; open_intake(me); skip }
	:: d_step { (n[me].phase == CLOSED || n[me].phase == CUT) && fails && !stopped -> fail(me); skip }

	/* Behind the running guests, in any order. */
	:: d_step { CK(me, 1).state == CAPTURED -> persist(me, 1); skip }
	:: d_step { CK(me, 2).state == CAPTURED -> persist(me, 2); skip }
	:: d_step { CK(me, 3).state == CAPTURED -> persist(me, 3); skip }
	:: d_step { CK(me, 2).state == CAPTURED && give_ups && !stopped -> give_up(me, 2); skip }
	:: d_step { CK(me, 3).state == CAPTURED && give_ups && !stopped -> give_up(me, 3); skip }

	:: d_step { able(me) && crashes -> name(me); crashes--; die(me); forget_settled_frames(); skip }
	:: d_step { may_go_back(me) -> name(me); go_back(me); skip }
	od
}

/* The network: it delays, reorders, and loses. */
proctype wire(byte w)
{
	do
	:: d_step { fr[w].state == NET && n[fr[w].to].up ->
		arrive(w, fr[w].to); forget_settled_frames(); skip }
	:: d_step { fr[w].state == NET && losses && !stopped ->
		losses--; lose(w); forget_settled_frames(); skip }
	od
}

/* Rule R15: any node may lead; it looks, and what it decides comes later. */
proctype leader(byte l)
{
	do
	:: d_step { l < leaders && (l == 0 || lead[0].busy) && !lead[l].busy && a_node_failed ->
		look(l); skip }
	:: d_step { lead[l].busy -> decide(l); skip }
	:: d_step { lead[l].busy && leader_crashes && !stopped ->
		leader_crashes--; step_down(l); skip }
	od
}

#define steady(i)	(!n[i].up || n[i].incarnation == record)
#define quiet(i)	(i >= nodes || n[i].up && n[i].phase == RUN && \
			 n[i].captured == n[i].sn && n[i].incarnation == record)

/*
 * In every state in which nobody has still to go back, each line that could be
 * chosen is checked. With settle instead: from some moment on nothing comes
 * from outside, and when nothing can happen any more all must be well. As every
 * run is finite (checked for itself, see run), that is liveness.
 */
proctype watch()
{
	do
	:: d_step { !settle && steady(0) && steady(1) && steady(2) -> check_lines(); skip }
	:: d_step { settle && !stopped -> stopped = 1 }
	:: settle && timeout -> break
	od;
	skip;
	d_step {
		all_run = quiet(0) && quiet(1) && quiet(2);
		must(all_run, ALL_RUN);
		nothing_held = 1;
		for (g : 0 .. FRAMES - 1) {
			nothing_held = nothing_held && fr[g].state != HELD && fr[g].state != NET
		}
		must(nothing_held, NOTHING_HELD)
	}
}

init
{
	d_step {
		c_code {
			nodes = bound("NODES", 3);
			sn_max = bound("SN_MAX", 3);
			frames = bound("FRAMES", 2);
			queue_max = bound("QUEUE_MAX", 5);
			mutant = bound("MUTANT", 0);
			only = bound("ONLY", 0);
			settle = bound("SETTLE", 0);
			closing = bound("CLOSING", 0);
			pulling = bound("PULLING", 0);
			lagging = bound("LAGGING", 0);
			leaders = bound("LEADERS", 1);
			may_give_up = bound("GIVE_UPS", 0);
			now.give_ups = may_give_up;
			now.fails = bound("FAILS", 0);
			now.crashes = bound("CRASHES", 0);
			now.losses = bound("LOSSES", 0);
			now.leader_crashes = bound("LEADER_CRASHES", 0);
		};
		for (a : 0 .. nodes - 1) {
			n[a].up = 1;
			n[a].sn = 1;
			n[a].captured = 1;
			CK(a, 1).state = DURABLE
		}
	}
	atomic {
		for (a : 0 .. NODES - 1) {
			run node(a)
		}
		for (a : 0 .. FRAMES - 1) {
			run wire(a)
		}
		run leader(0);
		run leader(1);
		run watch()
	}
}
