/* SPDX-License-Identifier: GPL-2.0-only */
/* Frames: stamp, hold, release, log. Rules R1, R3, R5, R8, R11, R12. */

/*
 * Rule R11: ghost := frame f was sent in a run that is undone, as a node of
 * this incarnation sees it.
 */
inline is_ghost(f, r)
{
	ghost = M(GHOST_DROP_ALL) && fr[f].incarnation < r;
	for (q : fr[f].incarnation + 1 .. r) {
		ghost = ghost || fr[f].sn >= record_k[q]
	}
	ghost = ghost && !M(GHOST_KEEP_ALL) && !M(NO_INCARNATION)
}

#define newer(f, i)	(fr[f].incarnation > n[i].incarnation && \
			 !M(NEWER_NOT_HELD) && !M(NO_INCARNATION))

/* Rule R5: captured, not sn, decides. */
#define due(f, i)	(fr[f].sn <= n[i].captured || \
			 M(DELIVER_ON_SN) && fr[f].sn <= n[i].sn)

inline drop(f)
{
	fr[f].state = GONE
}

inline lose(f)
{
	fr[f].state = GONE;
	lost = lost | BIT(f)
}

/* Rule R12: a late frame belongs to com of every checkpoint that it missed. */
inline log_late(f, i)
{
	for (x : fr[f].sn + 1 .. n[i].captured) {
		if
		:: CK(i, x).state != NONE && !M(NO_LATE_LOG) ->
			twice = (M(INTAKE_TWICE) && HAS(CK(i, x).log, f) -> twice | BIT(f) : twice);
			CK(i, x).log = CK(i, x).log | BIT(f)
		:: else
		fi
	}
	if
	:: M(LATE_BY_SN) && fr[f].sn < n[i].sn && n[i].captured < n[i].sn ->
		early_log = early_log | BIT(f)
	:: else
	fi
}

/* To the guest; one that is suspended finds it in its ring when it resumes. */
inline deliver(f, i)
{
	fr[f].state = GONE;
	log_late(f, i);
	if
	:: n[i].phase == CUT -> n[i].ring = n[i].ring | BIT(f)
	:: else -> n[i].received = n[i].received | BIT(f)
	fi
}

/* Rule R3: a forced checkpoint is requested; requests merge. */
inline request(f, i)
{
	if
	:: fr[f].sn > n[i].sn && fr[f].sn > n[i].want && !newer(f, i) &&
	   !(M(REQUEST_LOST) && n[i].phase != RUN) ->
		n[i].want = fr[f].sn
	:: else
	fi
}

/* Rule R8: the queue is bounded, the newest frame is dropped and counted. */
inline hold(f, i)
{
	y = 0;
	for (x : 0 .. FRAMES - 1) {
		if
		:: fr[x].state == HELD && fr[x].to == i -> y++
		:: else
		fi
	}
	if
	:: y >= queue_max -> lose(f)
	:: else -> fr[f].state = HELD
	fi;
	request(f, i)
}

/* A frame reaches its node: Rules R3, R5, R11, and the intake of R4. */
inline arrive(f, i)
{
	is_ghost(f, n[i].incarnation);
	if
	:: ghost -> drop(f)
	:: else ->
		if
		:: !newer(f, i) && due(f, i) &&
		   (n[i].phase == RUN || M(INTAKE_OPEN)) -> deliver(f, i)
		:: else -> hold(f, i)
		fi
	fi
}

/* The intake opens or captured rises: what is held and due goes on, in order. */
inline release(i)
{
	for (g : 0 .. FRAMES - 1) {
		if
		:: fr[g].state == HELD && fr[g].to == i && !newer(g, i) ->
			is_ghost(g, n[i].incarnation);
			if
			:: ghost -> drop(g)
			:: else ->
				if
				:: due(g, i) -> deliver(g, i)
				:: !due(g, i) && !M(REQUEST_LOST) -> request(g, i)
				:: else
				fi
			fi
		:: else
		fi
	}
}

/* Rule R1: the stamp is the newest finished capture. */
#define stamp_of(i)	(M(STAMP_SN) -> n[i].sn : \
			 (M(RAISE_EARLY) && n[i].phase == CLOSED -> n[i].target : n[i].captured))

/*
 * A guest of node i sends to node d. While the intake is closed a frame to a guest of the same node
 * matters too: it is held like any other (at other times it is delivered at
 * once and no rule looks at it). It carries no stamp; for the model it is as
 * old as the newest capture. In phase CUT the frame comes from the ring of a
 * suspended guest (R4): sent before the capture.
 */
inline send(i, d)
{
	j = sent_frames;
	sent_frames++;
	fr[j].from = i;
	fr[j].to = d;
	fr[j].incarnation = n[i].incarnation;
	fr[j].sn = (i == d -> n[i].captured : stamp_of(i));
	fr[j].state = NET;
	n[i].sent = n[i].sent | BIT(j);
	if
	:: i == d -> hold(j, i)
	:: else
	fi
}
