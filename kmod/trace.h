/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Tracepoints tlckpt:*. A frame: stamp (leaves), inspect (verdict at its arrival),
 * release (verdict when judged again), log. The node: request (why), step (cut,
 * captured, ... and refusals). Recipes: Documentation/tracing.rst.
 */
#undef TRACE_SYSTEM
#define TRACE_SYSTEM tlckpt

#if !defined(_TLCKPT_TRACE_H) || defined(TRACE_HEADER_MULTI_READ)
#define _TLCKPT_TRACE_H

#include <linux/netdevice.h>
#include <linux/tracepoint.h>
#include <tlckpt/proto.h>

#include "compat.h"

/*
 * Names of values. Expanded twice, to tell user space's tools what
 * the enumerators are worth, and as the table of __print_symbolic().
 */
#define TLCKPT_VERDICT_NAMES \
	EM(TLCKPT_DELIVER, "deliver") \
	EM(TLCKPT_DELIVER_PLAIN, "deliver-plain") \
	EM(TLCKPT_DELIVER_UNPROTECTED, "unprotected") \
	EM(TLCKPT_HOLD, "hold") \
	EM(TLCKPT_DROP_PLAIN, "drop-plain") \
	EM(TLCKPT_DROP_OWN, "drop-own") \
	EM(TLCKPT_DROP_GHOST, "drop-ghost") \
	EM(TLCKPT_DROP_JUMP, "drop-jump") \
	EM(TLCKPT_DROP_FULL, "drop-full") \
	EMe(TLCKPT_DROP_OWNERLESS, "drop-ownerless")

#define TLCKPT_REASON_NAMES \
	EM(TLCKPT_BASIC, "basic") \
	EM(TLCKPT_FORCED, "forced") \
	EM(TLCKPT_MANUAL, "manual") \
	EMe(TLCKPT_TAKEOVER, "takeover")

#define TLCKPT_EVENT_NAMES \
	EM(TLCKPT_EV_TICK, "tick") \
	EM(TLCKPT_EV_REQUEST, "request") \
	EM(TLCKPT_EV_CLOSE, "close") \
	EM(TLCKPT_EV_SUSPENDED, "suspended") \
	EM(TLCKPT_EV_CUT, "cut") \
	EM(TLCKPT_EV_CAPTURED, "captured") \
	EM(TLCKPT_EV_DURABLE, "durable") \
	EM(TLCKPT_EV_ABORT, "abort") \
	EM(TLCKPT_EV_OWNER_LOST, "owner-lost") \
	EM(TLCKPT_EV_OWNER_GRACE, "owner-grace-over") \
	EM(TLCKPT_EV_OWNER_BACK, "owner-back") \
	EM(TLCKPT_EV_FREEZE, "freeze") \
	EM(TLCKPT_EV_ROLLBACK, "rollback") \
	EMe(TLCKPT_EV_THAW, "thaw")

#undef EM
#undef EMe
#define EM(value, name) TRACE_DEFINE_ENUM(value);
#define EMe(value, name) TRACE_DEFINE_ENUM(value);
TLCKPT_VERDICT_NAMES
TLCKPT_REASON_NAMES
TLCKPT_EVENT_NAMES
#undef EM
#undef EMe
#define EM(value, name) { value, name },
#define EMe(value, name) { value, name }
#define tlckpt_show_verdict(v) __print_symbolic(v, TLCKPT_VERDICT_NAMES)
#define tlckpt_show_reason(r) __print_symbolic(r, TLCKPT_REASON_NAMES)
#define tlckpt_show_event(e) __print_symbolic(e, TLCKPT_EVENT_NAMES)

TRACE_EVENT(tlckpt_stamp,
	TP_PROTO(const struct net_device *dev, u64 sn, unsigned int len, unsigned int segments),
	TP_ARGS(dev, sn, len, segments),
	TP_STRUCT__entry(
		__string(dev, dev->name)
		__field(u64, sn)
		__field(unsigned int, len)
		__field(unsigned int, segments)
	),
	TP_fast_assign(
		compat_assign_str(dev, dev->name);
		__entry->sn = sn;
		__entry->len = len;
		__entry->segments = segments;
	),
	TP_printk("dev=%s sn=%llu len=%u segments=%u", __get_str(dev), __entry->sn, __entry->len,
		  __entry->segments)
);

DECLARE_EVENT_CLASS(tlckpt_judged,
	TP_PROTO(const struct net_device *dev, const struct tlckpt_frame *frame, int verdict),
	TP_ARGS(dev, frame, verdict),
	TP_STRUCT__entry(
		__string(dev, dev->name)
		__field(u16, peer)
		__field(u32, incarnation)
		__field(u64, sn)
		__field(u32, bytes)
		__field(int, verdict)
	),
	TP_fast_assign(
		compat_assign_str(dev, dev->name);
		__entry->peer = frame->peer;
		__entry->incarnation = frame->incarnation;
		__entry->sn = frame->sn;
		__entry->bytes = frame->bytes;
		__entry->verdict = verdict;
	),
	TP_printk("dev=%s peer=%u incarnation=%u sn=%llu bytes=%u verdict=%s", __get_str(dev),
		  __entry->peer, __entry->incarnation, __entry->sn, __entry->bytes,
		  tlckpt_show_verdict(__entry->verdict))
);

DEFINE_EVENT(tlckpt_judged, tlckpt_inspect,
	TP_PROTO(const struct net_device *dev, const struct tlckpt_frame *frame, int verdict),
	TP_ARGS(dev, frame, verdict));
DEFINE_EVENT(tlckpt_judged, tlckpt_release,
	TP_PROTO(const struct net_device *dev, const struct tlckpt_frame *frame, int verdict),
	TP_ARGS(dev, frame, verdict));

TRACE_EVENT(tlckpt_log,
	TP_PROTO(const struct net_device *dev, const struct tlckpt_frame *frame,
		 const struct tlckpt_range *range),
	TP_ARGS(dev, frame, range),
	TP_STRUCT__entry(
		__string(dev, dev->name)
		__field(u16, peer)
		__field(u64, sn)
		__field(u64, from)
		__field(u64, to)
	),
	TP_fast_assign(
		compat_assign_str(dev, dev->name);
		__entry->peer = frame->peer;
		__entry->sn = frame->sn;
		__entry->from = range->from;
		__entry->to = range->to;
	),
	TP_printk("dev=%s peer=%u sn=%llu for=(%llu,%llu]", __get_str(dev), __entry->peer,
		  __entry->sn, __entry->from, __entry->to)
);

TRACE_EVENT(tlckpt_request,
	TP_PROTO(const struct net *net, const struct tlckpt_update *u),
	TP_ARGS(net, u),
	TP_STRUCT__entry(
		__field(unsigned int, netns)
		__field(u64, target)
		__field(u8, reason)
		__field(u16, peer)
		__field(u64, sn)
	),
	TP_fast_assign(
		__entry->netns = net->ns.inum;
		__entry->target = u->target;
		__entry->reason = u->reason;
		__entry->peer = u->cause_peer;
		__entry->sn = u->cause_sn;
	),
	TP_printk("netns=%u target=%llu reason=%s peer=%u frame_sn=%llu", __entry->netns,
		  __entry->target, tlckpt_show_reason(__entry->reason), __entry->peer, __entry->sn)
);

TRACE_EVENT(tlckpt_step,
	TP_PROTO(const struct net *net, int event, const struct tlckpt_proto *p, int err),
	TP_ARGS(net, event, p, err),
	TP_STRUCT__entry(
		__field(unsigned int, netns)
		__field(int, event)
		__field(u64, sn)
		__field(u64, captured)
		__field(u64, durable)
		__field(u64, target)
		__field(u32, held)
		__field(int, err)
	),
	TP_fast_assign(
		__entry->netns = net->ns.inum;
		__entry->event = event;
		__entry->sn = p->view.sn;
		__entry->captured = p->view.captured;
		__entry->durable = p->durable;
		__entry->target = p->target;
		__entry->held = p->held_frames;
		__entry->err = err;
	),
	TP_printk("netns=%u %s sn=%llu captured=%llu durable=%llu target=%llu held=%u err=%d",
		  __entry->netns, tlckpt_show_event(__entry->event), __entry->sn,
		  __entry->captured, __entry->durable, __entry->target, __entry->held, __entry->err)
);

#endif /* _TLCKPT_TRACE_H */

#undef TRACE_INCLUDE_PATH
#define TRACE_INCLUDE_PATH .
#undef TRACE_INCLUDE_FILE
#define TRACE_INCLUDE_FILE trace
#include <trace/define_trace.h>
