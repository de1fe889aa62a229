/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * The protocol of one node as a state machine: an event in, an update out.
 * No I/O, no allocation, no clock, no lock. The kernel module, the daemon, the
 * simulator and the tests run this one copy. Rules R1..R17:
 * Documentation/protocol.rst.
 *
 * The caller serialises tlckpt_proto_step() per node and does what the update
 * says before the next step. Judging a frame needs only struct tlckpt_view: the
 * kernel publishes a copy of it after each step that returned TLCKPT_DO_PUBLISH,
 * judges frames on that copy without a lock, delivers those with the verdict
 * TLCKPT_DELIVER, and takes the lock and the step for all others.
 *
 * A node checkpoint, in the order of Rule R4:
 *
 *     IDLE --TICK, FRAME, REQUEST--> REQUESTED --CLOSE--> CLOSED
 *       ^                               \--(intake left open)--\   |
 *       |                                                SUSPENDED v
 *       +--------CAPTURED-------- CUT <--------CUT-------- SUSPENDED
 *     ABORT leads from each of them back to IDLE, and asks again (R7).
 *
 * A recovery: FREEZE, ROLLBACK once per recovery record, the channel log
 * replayed by the caller, THAW. A new node starts frozen.
 */
#ifndef TLCKPT_PROTO_H
#define TLCKPT_PROTO_H

#include <tlckpt/stamp.h>
#include <tlckpt/types.h>

/**
 * enum tlckpt_mode - how the basic timer asks for checkpoints (R2)
 * @TLCKPT_MODE_BCS: at every period (Briatico, Ciuffoletti, Simoncini; the paper)
 * @TLCKPT_MODE_MS:  only if no checkpoint was forced since the last period
 *                   (Manivannan, Singhal)
 */
enum tlckpt_mode {
	TLCKPT_MODE_BCS = 0,
	TLCKPT_MODE_MS = 1,
};

/**
 * enum tlckpt_policy - when the daemon that owns the node is gone (R8)
 * @TLCKPT_POLICY_HOLD: hold for a grace time, then drop
 * @TLCKPT_POLICY_PASS: deliver, and protect no index up to the frame's
 */
enum tlckpt_policy {
	TLCKPT_POLICY_HOLD = 0,
	TLCKPT_POLICY_PASS = 1,
};

/**
 * enum tlckpt_gate - what happens to frames with sn > captured (R5, R8)
 * @TLCKPT_GATE_HOLD: held until captured has risen
 * @TLCKPT_GATE_DROP: dropped, nobody is there to raise it
 * @TLCKPT_GATE_PASS: delivered unprotected
 */
enum tlckpt_gate {
	TLCKPT_GATE_HOLD = 0,
	TLCKPT_GATE_DROP = 1,
	TLCKPT_GATE_PASS = 2,
};

/**
 * enum tlckpt_verdict - what to do with one frame
 * @TLCKPT_DELIVER:        let it go on; log it if tlckpt_view_log() says so
 * @TLCKPT_DELIVER_PLAIN:  no valid stamp and policy lenient: let it go on (R16)
 * @TLCKPT_DELIVER_UNPROTECTED: no owner and policy pass (R8)
 * @TLCKPT_HOLD:           keep it, order kept
 * @TLCKPT_DROP_PLAIN:     no valid stamp and policy strict (R16)
 * @TLCKPT_DROP_OWN:       carries this node's own id: two nodes have one id
 * @TLCKPT_DROP_GHOST:     of a run that was undone (R11)
 * @TLCKPT_DROP_JUMP:      sn too far ahead to be true (R16)
 * @TLCKPT_DROP_FULL:      the hold queue is full (R8)
 * @TLCKPT_DROP_OWNERLESS: would be held, and nobody is there to release it (R8)
 */
enum tlckpt_verdict {
	TLCKPT_DELIVER = 0,
	TLCKPT_DELIVER_PLAIN,
	TLCKPT_DELIVER_UNPROTECTED,
	TLCKPT_HOLD,
	TLCKPT_DROP_PLAIN,
	TLCKPT_DROP_OWN,
	TLCKPT_DROP_GHOST,
	TLCKPT_DROP_JUMP,
	TLCKPT_DROP_FULL,
	TLCKPT_DROP_OWNERLESS,
	TLCKPT_NR_VERDICTS,
};

/* struct tlckpt_frame: @flags */
#define TLCKPT_FRAME_STAMPED 1u /* has a stamp that tlckpt_stamp_read() took */
#define TLCKPT_FRAME_LOCAL 2u	/* seen at a vif, from a guest of this node or judged before */
#define TLCKPT_FRAME_BEHIND 4u	/* frames of the same sender, older than this, are held */
#define TLCKPT_FRAME_HELD 8u	/* comes out of the hold queue, is judged again */

/**
 * struct tlckpt_frame - one arriving frame, kept beside it while it is held
 * @sn:          from its stamp
 * @logged:      newest index whose channel log has a copy (R12); 0 none. Set by
 *               the caller when it did what tlckpt_view_log() said.
 * @bytes:       what it costs to hold it
 * @incarnation: from its stamp
 * @peer:        from its stamp
 * @flags:       TLCKPT_FRAME_*
 */
struct tlckpt_frame {
	u64 sn;
	u64 logged;
	u32 bytes;
	u32 incarnation;
	u16 peer;
	u16 flags;
};

/* How many rollbacks are told apart; older ones are merged on the safe side. */
#define TLCKPT_NR_UNDONE 8

/**
 * struct tlckpt_undone - one rollback (R11)
 * @k:           line that the cluster went back to
 * @incarnation: that began with it
 */
struct tlckpt_undone {
	u64 k;
	u32 incarnation;
};

/**
 * struct tlckpt_view - all that judging a frame needs
 * @sn:          checkpoint index: of the newest cut, > @captured while that is not captured
 * @captured:    newest finished capture, <= @sn (R5); what is stamped (R1)
 * @jump:        how far ahead of @sn a stamp may be (R16)
 * @incarnation: the run that this node is in (R11)
 * @node:        own id
 * @intake_open: frames may go to the guests (R4)
 * @frozen:      a recovery is under way: every stamped frame is held
 * @strict:      frames without a valid stamp are dropped (R16)
 * @gate:        enum tlckpt_gate
 * @nr_undone:   entries in @undone
 * @undone:      rollbacks, both members rising: a frame of incarnation c is a
 *               ghost if its sn >= the k of the first entry with incarnation > c
 */
struct tlckpt_view {
	u64 sn;
	u64 captured;
	u64 jump;
	u32 incarnation;
	u16 node;
	bool intake_open;
	bool frozen;
	bool strict;
	u8 gate;
	u8 nr_undone;
	struct tlckpt_undone undone[TLCKPT_NR_UNDONE];
};

/**
 * enum tlckpt_point - when a frame's channel log is asked for (R12)
 * @TLCKPT_AT_DELIVERY: it is about to be delivered
 * @TLCKPT_AT_CUT:      it is held while the node cuts
 */
enum tlckpt_point {
	TLCKPT_AT_DELIVERY,
	TLCKPT_AT_CUT,
};

/**
 * struct tlckpt_range - indexes in (@from, @to]
 * @from: below the first
 * @to:   the last
 */
struct tlckpt_range {
	u64 from;
	u64 to;
};

/**
 * enum tlckpt_phase - how far a node checkpoint is
 * @TLCKPT_IDLE:      none is wanted
 * @TLCKPT_REQUESTED: asked for, guests run
 * @TLCKPT_CLOSED:    intake closed, guests are being suspended
 * @TLCKPT_SUSPENDED: all guests suspended
 * @TLCKPT_CUT:       sn is raised, state is being captured
 */
enum tlckpt_phase {
	TLCKPT_IDLE = 0,
	TLCKPT_REQUESTED,
	TLCKPT_CLOSED,
	TLCKPT_SUSPENDED,
	TLCKPT_CUT,
};

/**
 * enum tlckpt_reason - why a checkpoint is asked for
 * @TLCKPT_BASIC:    own timer (R2)
 * @TLCKPT_FORCED:   a frame with a higher sn (R3)
 * @TLCKPT_MANUAL:   the administrator
 * @TLCKPT_TAKEOVER: guests with a higher index were taken over
 */
enum tlckpt_reason {
	TLCKPT_BASIC = 0,
	TLCKPT_FORCED,
	TLCKPT_MANUAL,
	TLCKPT_TAKEOVER,
};

/**
 * struct tlckpt_config - settings of a node
 * @jump:       > 0, how far ahead of sn a stamp may be (R16)
 * @max_bytes:  > 0, bound of the hold queue (R8)
 * @max_frames: > 0, bound of the hold queue (R8)
 * @node:       own id, not TLCKPT_NODE_NONE
 * @mode:       enum tlckpt_mode
 * @policy:     enum tlckpt_policy
 * @strict:     drop frames without a valid stamp (R16)
 */
struct tlckpt_config {
	u64 jump;
	u64 max_bytes;
	u32 max_frames;
	u16 node;
	u8 mode;
	u8 policy;
	bool strict;
};

/**
 * struct tlckpt_proto - the protocol state of one node
 * @view:        what judging a frame needs
 * @config:      settings
 * @target:      the index that the next cut takes, >= view.sn
 * @next:        mode ms: periods counted (R2)
 * @durable:     newest index on stable storage (R6)
 * @gap:         no capture may stand for an index up to this one: frames went
 *               past the gate (R8) or guests were taken over
 * @cause_sn:    sn of the frame that set @target
 * @held_bytes:  in the hold queue now (R8)
 * @held_frames: in the hold queue now (R8)
 * @newest:      newest incarnation that a frame told of
 * @cause_peer:  sender of the frame that set @target
 * @phase:       enum tlckpt_phase
 * @reason:      enum tlckpt_reason, who set @target
 * @owned:       the daemon is there (R8)
 *
 * Read it freely; only tlckpt_proto_*() write it.
 */
struct tlckpt_proto {
	struct tlckpt_view view;
	struct tlckpt_config config;
	u64 target;
	u64 next;
	u64 durable;
	u64 gap;
	u64 cause_sn;
	u64 held_bytes;
	u32 held_frames;
	u32 newest;
	u16 cause_peer;
	u8 phase;
	u8 reason;
	bool owned;
};

/**
 * enum tlckpt_event_type - what can happen to a node
 * @TLCKPT_EV_TICK:        the basic period ended
 * @TLCKPT_EV_REQUEST:     the administrator wants a checkpoint
 * @TLCKPT_EV_FRAME:       @frame arrived, or is judged again (TLCKPT_FRAME_HELD)
 * @TLCKPT_EV_DISCARD:     @discard left the hold queue in another way (link gone)
 * @TLCKPT_EV_CLOSE:       the daemon begins: intake closes
 * @TLCKPT_EV_SUSPENDED:   all guests are suspended
 * @TLCKPT_EV_CUT:         sn becomes target; once it has (ROLLBACK with a raise):
 *                         all guests of the node stand still
 * @TLCKPT_EV_CAPTURED:    state @index is in memory, no guest has resumed
 * @TLCKPT_EV_DURABLE:     state @index is committed
 * @TLCKPT_EV_ABORT:       the attempt failed, guests run (R7)
 * @TLCKPT_EV_OWNER_LOST:  the daemon went away (R8)
 * @TLCKPT_EV_OWNER_GRACE: and the grace time is over (R8)
 * @TLCKPT_EV_OWNER_BACK:  a daemon is there
 * @TLCKPT_EV_FREEZE:      a recovery begins (R15)
 * @TLCKPT_EV_ROLLBACK:    one recovery record, @rollback (R11)
 * @TLCKPT_EV_THAW:        the node stands on the line, log replayed
 */
enum tlckpt_event_type {
	TLCKPT_EV_TICK = 0,
	TLCKPT_EV_REQUEST,
	TLCKPT_EV_FRAME,
	TLCKPT_EV_DISCARD,
	TLCKPT_EV_CLOSE,
	TLCKPT_EV_SUSPENDED,
	TLCKPT_EV_CUT,
	TLCKPT_EV_CAPTURED,
	TLCKPT_EV_DURABLE,
	TLCKPT_EV_ABORT,
	TLCKPT_EV_OWNER_LOST,
	TLCKPT_EV_OWNER_GRACE,
	TLCKPT_EV_OWNER_BACK,
	TLCKPT_EV_FREEZE,
	TLCKPT_EV_ROLLBACK,
	TLCKPT_EV_THAW,
	TLCKPT_NR_EVENTS,
};

/**
 * struct tlckpt_rollback - what a recovery record means for this node
 * @k:           the line, >= 1
 * @member:      own checkpoint that the node goes back to, >= @k; 0: it keeps
 *               its present state, allowed only below @k (R10, tlckpt_proto_present())
 * @raise:       guests that come from checkpoints of different indexes now run here:
 *               cut to this index, above all of theirs, before THAW; 0: no need.
 *               The capture must succeed: until then ABORT and THAW are refused
 * @incarnation: that begins
 * @previous:    incarnation that ended: of the record before this one, or the
 *               first. A node that missed records treats older frames as ghosts.
 */
struct tlckpt_rollback {
	u64 k;
	u64 member;
	u64 raise;
	u32 incarnation;
	u32 previous;
};

/**
 * struct tlckpt_discard - frames that left the hold queue unjudged
 * @bytes:  sum of their tlckpt_frame.bytes
 * @frames: number
 */
struct tlckpt_discard {
	u64 bytes;
	u32 frames;
};

/**
 * struct tlckpt_event - an event and its argument
 * @type:     enum tlckpt_event_type
 * @frame:    of TLCKPT_EV_FRAME
 * @index:    of TLCKPT_EV_CAPTURED, TLCKPT_EV_DURABLE
 * @discard:  of TLCKPT_EV_DISCARD
 * @rollback: of TLCKPT_EV_ROLLBACK
 */
struct tlckpt_event {
	enum tlckpt_event_type type;
	union {
		const struct tlckpt_frame *frame;
		u64 index;
		struct tlckpt_discard discard;
		struct tlckpt_rollback rollback;
	};
};

/* struct tlckpt_update: @todo, in the order in which to do them */
#define TLCKPT_DO_PUBLISH (1u << 0)	/* the view changed: publish it before anything else */
#define TLCKPT_DO_PURGE (1u << 1)	/* drop held frames with tlckpt_frame_undone(), DISCARD them */
#define TLCKPT_DO_LOG_HELD (1u << 2)	/* a cut: tlckpt_view_log(AT_CUT) on every held frame */
#define TLCKPT_DO_LOG (1u << 3)		/* FRAME: copy to the channel logs of @log, then deliver */
#define TLCKPT_DO_MANIFEST (1u << 4)	/* CAPTURED: manifest of index @sn names @prev (R9) */
#define TLCKPT_DO_RELEASE (1u << 5)	/* judge all held frames again, oldest first per sender */
#define TLCKPT_DO_REQUEST (1u << 6)	/* ask the daemon for a checkpoint of index >= @target */
#define TLCKPT_DO_START_GRACE (1u << 7) /* start the owner's grace timer (R8) */
#define TLCKPT_DO_RECORD (1u << 8)	/* a newer incarnation was seen: read the recovery record */

/* struct tlckpt_update: @note, for traces and counters */
#define TLCKPT_NOTE_SKIPPED (1u << 0)	  /* TICK: a forced checkpoint did the work (R2, ms) */
#define TLCKPT_NOTE_MERGED (1u << 1)	  /* merged into the request under way (R3) */
#define TLCKPT_NOTE_RETRY (1u << 2)	  /* the request repeats a failed attempt (R7) */
#define TLCKPT_NOTE_INTAKE_OPEN (1u << 3) /* CUT: intake was not closed; the manifest says so */

/**
 * struct tlckpt_update - what one step asks the caller to do
 * @todo:       TLCKPT_DO_*
 * @note:       TLCKPT_NOTE_*
 * @verdict:    FRAME: what to do with it
 * @reason:     REQUEST: why (enum tlckpt_reason)
 * @cause_peer: REQUEST, forced: whose frame
 * @cause_sn:   REQUEST, forced: the frame's sn
 * @target:     REQUEST: index wanted
 * @sn:         CUT, CAPTURED, ROLLBACK with a cut: the index
 * @prev:       CAPTURED: the index below the first that this capture may stand for
 * @log:        FRAME: with TLCKPT_DO_LOG
 * @refusal:    why the event was refused, a static text; NULL if it was not
 */
struct tlckpt_update {
	u32 todo;
	u32 note;
	enum tlckpt_verdict verdict;
	u8 reason;
	u16 cause_peer;
	u64 cause_sn;
	u64 target;
	u64 sn;
	u64 prev;
	struct tlckpt_range log;
	const char *refusal;
};

TLCKPT_BEGIN_DECLS

/**
 * tlckpt_proto_init() - a node that is not yet part of the run: frozen
 * @p:           state to fill
 * @config:      settings, not those in @p
 * @incarnation: that the node is in; 0 in a new cluster
 * @sn:          index of the checkpoint that it stands on; 0 none yet
 *
 * Frames of older incarnations are ghosts to it (R11), until records that it
 * knows are fed as ROLLBACK. THAW lets it take part.
 *
 * Return: 0, or -EINVAL: a setting is out of its range.
 */
int tlckpt_proto_init(struct tlckpt_proto *p, const struct tlckpt_config *config, u32 incarnation,
		      u64 sn);

/**
 * tlckpt_proto_configure() - change settings of a running node
 * @p:      state
 * @config: settings; the node id stays
 *
 * Publish the view after it. Frames that a smaller bound would not have let in
 * stay held.
 *
 * Return: 0, or -EINVAL: a setting is out of its range, nothing changed.
 */
int tlckpt_proto_configure(struct tlckpt_proto *p, const struct tlckpt_config *config);

/**
 * tlckpt_proto_step() - one event
 * @p:  state, unchanged if the event is refused
 * @ev: the event
 * @u:  result, always written
 *
 * Return: 0; -EINVAL no such event or an argument that makes no sense;
 * -EPROTO it may not happen in this phase; -EBUSY a recovery or a capture must
 * end first; -EALREADY it has happened; -ERANGE its index is not the one due.
 * @u->refusal says which, in words.
 */
int tlckpt_proto_step(struct tlckpt_proto *p, const struct tlckpt_event *ev,
		      struct tlckpt_update *u);

/**
 * tlckpt_proto_present() - the index that the node's present state counts as (R10)
 * @p: state
 *
 * sn, unless the guests were let past a higher one (R8). The node may keep its
 * present state only on a line above it: what it reports to a recovery.
 */
u64 tlckpt_proto_present(const struct tlckpt_proto *p);

/**
 * tlckpt_view_stamp() - what a frame that leaves the node carries (R1)
 * @v:     view
 * @stamp: result
 *
 * The index of the newest finished capture, so the guests must not run between
 * the cut and TLCKPT_EV_CAPTURED (R4): publish the view, then resume them.
 */
void tlckpt_view_stamp(const struct tlckpt_view *v, struct tlckpt_stamp *stamp);

/**
 * tlckpt_view_judge() - what to do with a frame, nothing changed (R3..R5, R8, R11, R16)
 * @v: view
 * @f: frame
 *
 * Knows no queue: never says TLCKPT_DROP_FULL.
 */
enum tlckpt_verdict tlckpt_view_judge(const struct tlckpt_view *v, const struct tlckpt_frame *f);

/**
 * tlckpt_view_log() - which channel logs a frame belongs to (R12)
 * @v:     view; at the cut, the one after it
 * @f:     frame
 * @point: when
 * @range: indexes whose com part gets a copy, if true
 *
 * Return: true if there is an index to log it for. The caller sets f->logged to
 * range->to if the frame stays held.
 */
bool tlckpt_view_log(const struct tlckpt_view *v, const struct tlckpt_frame *f,
		     enum tlckpt_point point, struct tlckpt_range *range);

/**
 * tlckpt_view_replays() - is a frame of the channel log replayed on line k (R12)
 * @v: view after the rollback
 * @f: logged frame
 * @k: line
 */
bool tlckpt_view_replays(const struct tlckpt_view *v, const struct tlckpt_frame *f, u64 k);

/**
 * tlckpt_frame_undone() - must a held frame go because its node went back (R11, R12)
 * @v: view after the rollback
 * @f: held frame
 * @k: line
 *
 * True for frames of the node's own guests, for ghosts, and for frames that the
 * channel log replays.
 */
bool tlckpt_frame_undone(const struct tlckpt_view *v, const struct tlckpt_frame *f, u64 k);

/* Names for traces, logs and JSON: lower case, '-' between words; "?" if unknown. */
const char *tlckpt_mode_name(unsigned int mode);
const char *tlckpt_policy_name(unsigned int policy);
const char *tlckpt_phase_name(unsigned int phase);
const char *tlckpt_reason_name(unsigned int reason);
const char *tlckpt_verdict_name(unsigned int verdict);
const char *tlckpt_event_name(unsigned int type);

TLCKPT_END_DECLS

#endif /* TLCKPT_PROTO_H */
