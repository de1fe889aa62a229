/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Bounds and state. The arrays have a fixed size; how much of them a run uses
 * is read from the environment (see run), so that one binary serves every
 * configuration and every mutant.
 */
#define NODES		3
#define INDEXES		3	/* indexes 1..INDEXES; every node starts with a durable 1 */
#define FRAMES		5
#define RECORDS		4	/* rollbacks; incarnation 0 is the first run */

hidden byte nodes;		/* nodes of the cluster */
hidden byte sn_max;		/* highest index that a basic checkpoint takes */
hidden byte frames;		/* frames that guests send in all */
hidden byte queue_max;		/* frames that a node holds (R8) */
hidden byte mutant;		/* 0: the rules as they are; see mutants.pml */
hidden byte settle;		/* 1: look for what is stuck at the end, see watch() */
hidden byte may_give_up;	/* the run's budget for checkpoints that are given up */
/* What a run may leave out, for more of the rest: */
hidden byte closing;		/* 0: intake closed and guests suspended in one step */
hidden byte pulling;		/* 0: nothing comes from the ring of a suspended guest */
hidden byte lagging;		/* 0: a capture is durable at once */
hidden byte leaders;		/* 1 or 2 at the same time */

#define M(x)	(mutant == x)

/* What is left of the faults that a run may inject. */
byte fails;			/* failed attempts, before or after the cut (R7) */
byte give_ups;			/* captures that never become durable (R9) */
byte crashes;			/* nodes that die */
byte losses;			/* frames that the network loses */
byte leader_crashes;		/* leaders that die between choosing and deciding */

/* A node checkpoint; its place in the array is its index. */
#define NONE		0
#define CAPTURED	1	/* in the memory of Dom0: dies with the node */
#define DURABLE		2
typedef checkpoint_t {
	unsigned state : 2;
	unsigned prev : 2;	/* index of the capture before it (R9) */
	unsigned sent : 5;	/* frames, as bits, that its guests had sent ... */
	unsigned received : 5;	/* ... and had been given */
	unsigned log : 5;	/* com: the channel log (R12) */
}
#define CK(i, k)	n[i].c[(k) - 1]

/* Where a node is on its way to a checkpoint (R4). */
#define RUN		0
#define CLOSED		1	/* the intake is closed, guests still run */
#define CUT		2	/* all guests suspended, sn raised, capture under way */
#define RESUMED		3	/* mutants only: guests run before the steps are over */
#define STUCK		4	/* mutants only: suspended, and nobody resumes them */
typedef node_t {
	bit up;
	bit failed;		/* died, and no record covers it yet */
	unsigned phase : 3;
	unsigned incarnation : 3;
	unsigned sn : 2;	/* index of the newest cut */
	unsigned captured : 2;	/* newest finished capture (R5): what frames are stamped with */
	unsigned target : 2;	/* index of the attempt under way */
	unsigned want : 2;	/* highest index that a held frame asked for (R3) */
	unsigned sent : 5;	/* the guests' present state */
	unsigned received : 5;
	unsigned ring : 5;	/* mutants only: in the ring of a suspended guest */
	checkpoint_t c[INDEXES];
}
node_t n[NODES];

#define UNSENT		0
#define NET		1	/* on its way; any frame may overtake any other */
#define HELD		2	/* in the hold queue or the closed intake of its node */
#define GONE		3	/* delivered, dropped or lost */
typedef frame_t {
	unsigned state : 2;
	unsigned from : 2;
	unsigned to : 2;
	unsigned sn : 2;	/* the stamp */
	unsigned incarnation : 3;
}
frame_t fr[FRAMES];
byte sent_frames;		/* frames are numbered in the order of their sending */
byte lost;			/* frames, as bits, that were lost and counted as such */
byte named;			/* nodes that something happened to, see may_act() */

/* Only mutants use these. */
byte twice;			/* frames that stand in one log twice */
byte early_log;			/* frames logged before the checkpoint they belong to */
byte by_intake;			/* frames that a log has from the intake of its cut */
byte early_k;			/* k that a leader gave out before it was written */
byte record_stay[RECORDS + 1];	/* nodes that do not go back, as the leader saw it */

/* The coordination store (R15): one record per incarnation, k of its line. */
byte record;			/* newest incarnation that has a record */
byte record_k[RECORDS + 1];

/* Those who lead a recovery: what they saw before they write the record. */
typedef leader_t {
	bit busy;
	unsigned k : 2;		/* the line that they chose */
	unsigned seen : 3;	/* the newest record then */
	unsigned covered : 3;	/* the nodes that were down, as bits */
	unsigned stay : 3;	/* mutant STALE_ROLES: the nodes that were to stay */
}
leader_t lead[2];

#define BIT(f)		(1 << (f))
#define HAS(set, f)	((set) & BIT(f))

/*
 * Symmetry by hand: nodes differ only by their number, so of all orders in
 * which they can first take part only 0, 1, 2 is explored.
 */
#define may_act(i)	((i) <= named)
inline name(i)
{
	if
	:: i == named -> named++
	:: else
	fi
}

/* Scratch of single steps, no part of the state. */
hidden byte a, b, f, g, j, k, m, q, x, y, z;
hidden byte at[NODES];
hidden byte u_sent, u_received, copies;
hidden byte ok, ghost, found;

/* The properties. A run looks at all of them, or only at the one named by ONLY. */
hidden byte no_orphan, in_transit_once, line_exists, all_run, nothing_held;
hidden byte only;
#define NO_ORPHAN	1
#define IN_TRANSIT_ONCE	2
#define LINE_EXISTS	3
#define ALL_RUN		4
#define NOTHING_HELD	5
#define must(property, number)	assert(property || only && only != number)
