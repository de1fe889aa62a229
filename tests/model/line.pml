/* SPDX-License-Identifier: GPL-2.0-only */
/* Recovery lines and what must hold for each of them. Rules R9, R10, R12, R13. */

/* Rule R9: m := node i's first capture with index >= l, if it is left; 0: it is not. */
inline first_capture(i, l)
{
	m = 0;
	x = l;
	do
	:: x > INDEXES -> break
	:: else ->
		if
		:: CK(i, x).state != NONE && CK(i, x).prev < l ->
			m = x;
			break
		:: else -> x++
		fi
	od
}

/* m := node i's member of L(l), 0: none. */
inline member(i, l)
{
	first_capture(i, l);
	if
	:: M(FIRST_DURABLE) && !m ->
		for (x : l .. INDEXES) {
			m = (!m && CK(i, x).state != NONE -> x : m)
		}
	:: M(EXACT_INDEX) && m != l ->
		m = 0;
		for (x : 1 .. (l < INDEXES -> l : INDEXES)) {
			m = (CK(i, x).state != NONE -> x : m)
		}
	:: else
	fi
}

/* Rule R10: a live node whose newest capture is older than the line stays as it is. */
#define stays(i, l)	(n[i].up && n[i].captured < l && \
			 !(M(PRESENT_ON_SN) && n[i].sn >= l))

/* ok := L(k) exists; at[] := its members, 0 for a present state. */
inline line(l)
{
	ok = 1;
	for (b : 0 .. nodes - 1) {
		if
		:: stays(b, l) -> at[b] = 0
		:: else ->
			member(b, l);
			at[b] = m;
			ok = ok && m
		fi
	}
}

/*
 * copies := how often the receiver would get frame f after a rollback to the
 * line k in at[]: from its channel log, or because f is still on its way.
 */
inline count_copies(f, l)
{
	y = at[fr[f].to];
	copies = 0;
	is_ghost(f, record);
	if
	:: y && HAS(CK(fr[f].to, y).log, f) &&
	   (fr[f].sn < l && (!ghost || M(LOG_KEPT)) ||
	    M(INTAKE_UNFILTERED) && HAS(by_intake, f)) ->
		copies = (HAS(twice, f) -> 2 : 1)
	:: else
	fi;
	if
	:: (fr[f].state == NET || fr[f].state == HELD) && fr[f].sn < l && !ghost -> copies++
	:: else
	fi
}

/* The properties of line k: no orphan; in transit: replayed once, or counted. */
inline check_line(l)
{
	line(l);
	if
	:: ok ->
		u_sent = 0;
		u_received = 0;
		for (b : 0 .. nodes - 1) {
			if
			:: at[b] ->
				u_sent = u_sent | CK(b, at[b]).sent;
				u_received = u_received | CK(b, at[b]).received
			:: else ->
				u_sent = u_sent | n[b].sent;
				u_received = u_received | n[b].received | n[b].ring
			fi
		}
		no_orphan = !(u_received & ~u_sent);
		must(no_orphan, NO_ORPHAN);
		for (g : 0 .. FRAMES - 1) {
			count_copies(g, l);
			if
			:: HAS(u_sent, g) && !HAS(u_received, g) ->
				in_transit_once = (copies == 1 || copies == 0 && HAS(lost, g))
			:: else ->
				/* Neither a ghost nor what the guest has already. */
				in_transit_once = (copies == 0)
			fi;
			must(in_transit_once, IN_TRANSIT_ONCE)
		}
	:: else
	fi
}

/* Rule R13: k := the newest line with a durable member of every node. */
inline newest_durable_line()
{
	k = INDEXES;
	do
	:: k == 0 -> break
	:: else ->
		found = 1;
		for (b : 0 .. nodes - 1) {
			first_capture(b, k);
			found = found && m && (CK(b, (m -> m : 1)).state == DURABLE)
		}
		if
		:: found -> break
		:: else -> k--
		fi
	od;
	/* Whatever fails, there is a line to go back to. */
	line_exists = (k > 0);
	must(line_exists, LINE_EXISTS)
}

/*
 * All lines that a recovery could choose, now or later: no older than K. The
 * present states are the line of an index that nobody has reached, so the last
 * check is that the cluster as it runs is consistent.
 */
inline check_lines()
{
	newest_durable_line();
	for (j : (k -> k : 1) .. INDEXES + 1) {
		check_line(j)
	}
}

inline clear(i, l)
{
	CK(i, l).state = NONE;
	CK(i, l).prev = 0;
	CK(i, l).sent = 0;
	CK(i, l).received = 0;
	CK(i, l).log = 0
}

/*
 * Rule R13, at the earliest moment that it allows, which is the hardest. While
 * a node is down or has still to go back nothing is dropped: a leader may have
 * seen a line by then that is older than K is now.
 */
inline drop_garbage()
{
	newest_durable_line();
	ok = 1;
	for (b : 0 .. nodes - 1) {
		ok = ok && n[b].up && n[b].incarnation == record
	}
	if
	:: ok || M(DROP_ANY_TIME) ->
		for (b : 0 .. nodes - 1) {
			first_capture(b, k);
			if
			:: M(DROP_OWN) ->
				for (x : 1 .. INDEXES) {
					m = (CK(b, x).state == DURABLE -> x : m)
				}
			:: else
			fi;
			for (x : 1 .. m - 1) {
				clear(b, x)
			}
		}
	:: else
	fi
}

inline forget(f)
{
	for (b : 0 .. NODES - 1) {
		n[b].sent = n[b].sent & ~BIT(f);
		n[b].received = n[b].received & ~BIT(f);
		for (x : 1 .. INDEXES) {
			CK(b, x).sent = CK(b, x).sent & ~BIT(f);
			CK(b, x).received = CK(b, x).received & ~BIT(f);
			CK(b, x).log = CK(b, x).log & ~BIT(f)
		}
	}
	lost = lost & ~BIT(f);
	fr[f].from = 0;
	fr[f].to = 0;
	fr[f].sn = 0;
	fr[f].incarnation = 0
}

/*
 * No rule, only fewer states: a frame makes no difference any more if every
 * state still kept has sent and received it, if none has, or if it was lost
 * and nobody can get it again.
 */
inline forget_settled_frames()
{
	for (g : 0 .. FRAMES - 1) {
		if
		:: fr[g].state == GONE ->
			y = BIT(g);	/* in all of them */
			u_sent = 0;	/* in one of them */
			u_received = 0;
			if
			:: n[fr[g].from].up ->
				y = y & n[fr[g].from].sent;
				u_sent = n[fr[g].from].sent
			:: else
			fi;
			if
			:: n[fr[g].to].up ->
				y = y & n[fr[g].to].received;
				u_received = n[fr[g].to].received | n[fr[g].to].ring
			:: else
			fi;
			for (x : 1 .. INDEXES) {
				if
				:: CK(fr[g].from, x).state != NONE ->
					y = y & CK(fr[g].from, x).sent;
					u_sent = u_sent | CK(fr[g].from, x).sent
				:: else
				fi;
				if
				:: CK(fr[g].to, x).state != NONE ->
					y = y & CK(fr[g].to, x).received;
					u_received = u_received | CK(fr[g].to, x).received | CK(fr[g].to, x).log
				:: else
				fi
			}
			if
			:: y || !HAS(u_sent | u_received, g) ||
			   HAS(lost & ~u_received, g) -> forget(g)
			:: else
			fi
		:: else
		fi
	}
}
