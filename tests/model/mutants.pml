/* SPDX-License-Identifier: GPL-2.0-only */
/* One wrong rule each; the file mutants says what must catch them. */
#define RAISE_EARLY		1	/* R4: the new index stamped before the guests are suspended */
#define RAISE_LATE		2	/* R4: the new index stamped only after they resumed */
#define CAPTURE_LATE		3	/* R4: the state taken after they resumed */
#define INTAKE_OPEN		4	/* R4: intake open at the cut */
#define DELIVER_ON_SN		5	/* R5: delivered when m.sn <= sn */
#define STAY_SUSPENDED		6	/* R7: guests stay suspended after a failure */
#define NO_RETRY		7	/* R7: no new attempt after a cut that failed */
#define STAMP_SN		8	/* R1: the stamp is sn, ahead of its capture after a failed attempt */
#define REQUEST_LOST		9	/* R3: a request during an attempt is forgotten */
#define EXACT_INDEX		10	/* R9: exactly k, else the newest older one */
#define FIRST_DURABLE		11	/* R9: first that is left, whatever its prev */
#define NO_INCARNATION		13	/* R11: incarnations ignored */
#define GHOST_DROP_ALL		14	/* R11: every older frame dropped */
#define GHOST_KEEP_ALL		15	/* R11: no older frame dropped */
#define NEWER_NOT_HELD		16	/* R11: a newer frame delivered before going back */
#define EARLY_START		17	/* R11: frames sent before the record is written */
#define NO_LATE_LOG		18	/* R12: late frames not logged */
#define LATE_BY_SN		19	/* R12: logged for (m.sn, sn] */
#define INTAKE_TWICE		20	/* R12: intake frames logged again when delivered */
#define INTAKE_UNFILTERED	21	/* R12: intake frames replayed whatever their sn */
#define LOG_KEPT		22	/* R12: undone frames stay in the channel log */
#define UNDONE_KEPT		23	/* R9: checkpoints of the undone run stay members */
#define DROP_OWN		24	/* R13: older than the own newest durable dropped */
#define NO_CAS			25	/* R15: record written without compare */
#define STALE_ROLES		26	/* R15: who goes back is as the leader saw it */
#define SKIP_RECORDS		27	/* R15: a node that missed records follows the newest alone */
#define DROP_ANY_TIME		12	/* R13: K raised while a node is down */

/* Not wrong: other rules that must hold as well. */
#define PRESENT_ON_SN		52	/* R10: alive with sn < k; who is between waits */
#define MEMBER_VOLATILE		53	/* R10: the member is used before it is durable */
