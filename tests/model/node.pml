/* SPDX-License-Identifier: GPL-2.0-only */
/* A node and its checkpoints: Rules R2, R4, R6, R7. */

/* Rule R4, the cut: all guests are suspended; sn := target, once. */
inline cut(i)
{
	n[i].phase = CUT;
	n[i].sn = n[i].target;
	if
	:: M(CAPTURE_LATE) ->
		n[i].phase = RESUMED;
		CK(i, n[i].sn).prev = n[i].captured;
		n[i].captured = n[i].sn
	:: else
	fi
}

/* Rule R4, first step. The target is fixed: later requests go to the next attempt. */
inline close_intake(i, l)
{
	n[i].target = l;
	n[i].phase = CLOSED;
	if
	:: !closing -> cut(i)
	:: else
	fi
}

/* Guests run, the intake is open, held frames that are due go on. */
inline open_intake(i)
{
	n[i].phase = RUN;
	n[i].target = 0;
	n[i].received = n[i].received | n[i].ring;
	n[i].ring = 0;
	release(i)
}

/* Rule R14: the store refuses what a rollback that was decided has undone. */
inline is_undone(i, p)
{
	ghost = 0;
	for (q : n[i].incarnation + 1 .. record) {
		ghost = ghost || p >= record_k[q]
	}
	ghost = ghost && !M(UNDONE_KEPT)
}

/* Rule R12: what the closed intake holds at the cut is in transit too. */
inline log_intake(i, l)
{
	for (g : 0 .. FRAMES - 1) {
		if
		:: fr[g].state == HELD && fr[g].to == i && fr[g].sn < l && !newer(g, i) ->
			is_ghost(g, n[i].incarnation);
			if
			:: !ghost && !(M(NO_LATE_LOG) && fr[g].from != i) ->
				CK(i, l).log = CK(i, l).log | BIT(g);
				by_intake = (M(INTAKE_UNFILTERED) -> by_intake | BIT(g) : 0)
			:: else
			fi
		:: else
		fi
	}
}

inline persist(i, l)
{
	CK(i, l).state = DURABLE;
	drop_garbage();
	forget_settled_frames()
}

/* The state is in memory: Rules R6 and R9. */
inline capture(i)
{
	k = n[i].target;
	is_undone(i, n[i].captured);
	if
	:: !ghost ->
		CK(i, k).state = CAPTURED;
		CK(i, k).prev = (M(CAPTURE_LATE) -> CK(i, k).prev : n[i].captured);
		CK(i, k).sent = n[i].sent;
		CK(i, k).received = n[i].received;
		log_intake(i, k)
	:: else
	fi;
	if
	:: M(LATE_BY_SN) ->
		for (g : 0 .. FRAMES - 1) {
			if
			:: HAS(early_log, g) && fr[g].to == i ->
				CK(i, k).log = CK(i, k).log | BIT(g);
				early_log = early_log & ~BIT(g)
			:: else
			fi
		}
	:: else
	fi;
	n[i].captured = (M(RAISE_LATE) -> n[i].captured : k);
	n[i].want = (n[i].want > k -> n[i].want : 0);
	if
	:: M(RAISE_LATE) ->
		n[i].phase = RESUMED;
		n[i].received = n[i].received | n[i].ring;
		n[i].ring = 0
	:: else -> open_intake(i)
	fi;
	if
	:: !lagging && CK(i, k).state == CAPTURED -> persist(i, k)
	:: else
	fi
}

/* Rule R7: before the cut nothing has changed; after it sn stays raised. */
inline fail(i)
{
	fails--;
	if
	:: M(STAY_SUSPENDED) && n[i].phase == CUT -> n[i].phase = STUCK
	:: else -> open_intake(i)
	fi
}

/* Rule R7: after a cut that failed the same index is tried again at once. */
#define must_retry(i)	(n[i].captured < n[i].sn && !M(NO_RETRY))

/* Rule R9: a capture that is given up leaves its indexes without a member. */
inline give_up(i, l)
{
	give_ups--;
	clear(i, l);
	forget_settled_frames()
}
