// SPDX-License-Identifier: GPL-2.0-only OR MIT
/* Words for the protocol's numbers: one per idea, the same in every tool. */
#include <tlckpt/proto.h>

#define NR(list) (sizeof(list) / sizeof((list)[0]))
#define NAME(list, index) ((index) < NR(list) ? (list)[index] : "?")

static const char *const mode_names[] = { "bcs", "ms" };
static const char *const policy_names[] = { "hold", "pass" };
static const char *const phase_names[] = { "idle", "requested", "closed", "suspended", "cut" };
static const char *const reason_names[] = { "basic", "forced", "manual", "takeover" };
static const char *const verdict_names[] = {
	"deliver",   "deliver-plain", "deliver-unprotected", "hold",      "drop-plain",
	"drop-own",  "drop-ghost",    "drop-jump",           "drop-full", "drop-ownerless",
};
static const char *const event_names[] = {
	"tick",	    "request",	  "frame",	 "discard",	"close",  "suspended",
	"cut",	    "captured",	  "durable",	 "abort",	"owner-lost", "owner-grace",
	"owner-back", "freeze",	  "rollback",	 "thaw",
};

static_assert(NR(verdict_names) == TLCKPT_NR_VERDICTS, "each verdict has a name");
static_assert(NR(event_names) == TLCKPT_NR_EVENTS, "each event has a name");

const char *tlckpt_mode_name(unsigned int mode)
{
	return NAME(mode_names, mode);
}

const char *tlckpt_policy_name(unsigned int policy)
{
	return NAME(policy_names, policy);
}

const char *tlckpt_phase_name(unsigned int phase)
{
	return NAME(phase_names, phase);
}

const char *tlckpt_reason_name(unsigned int reason)
{
	return NAME(reason_names, reason);
}

const char *tlckpt_verdict_name(unsigned int verdict)
{
	return NAME(verdict_names, verdict);
}

const char *tlckpt_event_name(unsigned int type)
{
	return NAME(event_names, type);
}
