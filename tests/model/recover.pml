/* SPDX-License-Identifier: GPL-2.0-only */
/* Failure and going back: Rules R10, R11, R14, R15. */

/* Rule R9: checkpoints of node i that a rollback to line k undoes are no members any more. */
inline undo(i, l)
{
	for (x : 1 .. INDEXES) {
		if
		:: CK(i, x).state != NONE && CK(i, x).prev >= l && !M(UNDONE_KEPT) -> clear(i, x)
		:: else
		fi
	}
}

/* Node i dies, and what was only in its memory with it. */
inline die(i)
{
	n[i].up = 0;
	n[i].failed = 1;
	for (x : 1 .. INDEXES) {
		if
		:: CK(i, x).state == CAPTURED -> clear(i, x)
		:: else
		fi
	}
	for (g : 0 .. FRAMES - 1) {
		if
		:: fr[g].state == HELD && fr[g].to == i -> lose(g)
		:: else
		fi
	}
	n[i].phase = RUN;
	n[i].sn = 0;
	n[i].captured = 0;
	n[i].target = 0;
	n[i].want = 0;
	n[i].sent = 0;
	n[i].received = 0;
	n[i].ring = 0;
	n[i].incarnation = 0
}

#define a_node_failed	(n[0].failed || n[1].failed || n[2].failed)

/*
 * A leader looks at the store and at the live nodes. Rules R9 and R10: k := the
 * newest line that the failed nodes can go back to.
 */
inline look(l)
{
	k = INDEXES;
	do
	:: k == 0 -> break
	:: else ->
		line(k);
		if
		:: ok -> break
		:: else -> k--
		fi
	od;
	line_exists = (k > 0);
	must(line_exists, LINE_EXISTS);
	lead[l].busy = line_exists;
	lead[l].k = k;
	lead[l].seen = record;
	for (b : 0 .. nodes - 1) {
		lead[l].covered = (n[b].up -> lead[l].covered : lead[l].covered | BIT(b));
		lead[l].stay = (M(STALE_ROLES) && stays(b, k) -> lead[l].stay | BIT(b) : lead[l].stay)
	}
	early_k = (M(EARLY_START) -> k : 0)
}

inline step_down(l)
{
	lead[l].busy = 0;
	lead[l].k = 0;
	lead[l].seen = 0;
	lead[l].covered = 0;
	lead[l].stay = 0;
	early_k = 0
}

/*
 * Rule R15: the decision is one record, written once, by compare-and-swap: who
 * looked before it was there fails, and starts again. What it undoes is undone
 * for every node at once, since each manifest is judged by the records.
 */
inline decide(l)
{
	a = lead[l].seen + 1;
	record = (a > record -> a : record);
	record_k[a] = lead[l].k;
	record_stay[a] = lead[l].stay;
	for (b : 0 .. nodes - 1) {
		n[b].failed = n[b].failed && !HAS(lead[l].covered, b);
		undo(b, lead[l].k)
	}
	step_down(l);
	for (b : 0 .. 1) {
		if
		:: lead[b].busy && !M(NO_CAS) -> step_down(b)
		:: else
		fi
	}
	forget_settled_frames()
}

/*
 * Node i stands at its member m of line k; the channel log is replayed. What
 * it holds is judged like a frame that arrives (Rule R11): an entry of a run
 * that any record has undone, not only this one, is no part of history.
 */
inline restore(i, p, l)
{
	n[i].up = 1;
	n[i].phase = RUN;
	n[i].sn = p;
	n[i].captured = p;
	n[i].target = 0;
	n[i].want = 0;
	n[i].ring = 0;
	n[i].sent = CK(i, p).sent;
	n[i].received = CK(i, p).received;
	CK(i, p).state = (M(MEMBER_VOLATILE) -> CK(i, p).state : DURABLE);
	for (g : 0 .. FRAMES - 1) {
		if
		:: HAS(CK(i, p).log, g) ->
			is_ghost(g, n[i].incarnation);
			if
			:: fr[g].sn < l && (!ghost || M(LOG_KEPT)) ||
			   M(INTAKE_UNFILTERED) && HAS(by_intake, g) ->
				in_transit_once = !HAS(n[i].received, g) && !HAS(twice, g);
				must(in_transit_once, IN_TRANSIT_ONCE);
				n[i].received = n[i].received | BIT(g)
			:: else ->
				CK(i, p).log = (M(LOG_KEPT) -> CK(i, p).log : CK(i, p).log & ~BIT(g))
			fi
		:: else
		fi
	}
}

/*
 * Node i goes back. One that missed records goes by the lowest k of them: what
 * a record undid stays undone, whatever line a later one names. A node that
 * died starts again, or its guests do elsewhere, with the newest record.
 */
inline go_back(i)
{
	a = (n[i].incarnation < record -> record : record + 1);
	k = (a > record -> early_k : record_k[a]);
	for (q : n[i].incarnation + 1 .. record - 1) {
		k = (n[i].up && !M(SKIP_RECORDS) && record_k[q] < k -> record_k[q] : k)
	}
	member(i, k);
	if
	:: (M(STALE_ROLES) -> HAS(record_stay[a], i) : stays(i, k)) ->
		n[i].incarnation = a;
		if
		:: n[i].phase == RUN -> release(i)
		:: else	/* an attempt is under way: its end releases */
		fi
	:: else ->
		if
		:: m == 0 ->
			/* Its member was given up after the decision: a further failure. */
			line_exists = (n[i].up && may_give_up);
			must(line_exists, LINE_EXISTS);
			die(i)
		:: else ->
			n[i].incarnation = a;
			restore(i, m, k);
			undo(i, k);
			release(i)
		fi
	fi;
	drop_garbage();
	forget_settled_frames()
}
