/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * Where the stamp stands in an arrived frame, one parser per carrier
 * (Documentation/wire-format.rst). They never trust what they read: the kernel
 * module calls them on frames, a fuzzer in user space on anything.
 */
#ifndef TLCKPT_CARRIER_H
#define TLCKPT_CARRIER_H

#include <tlckpt/stamp.h>

/* The shim: IEEE 802 Local Experimental EtherType 1, stamp, two octets of padding. */
#define TLCKPT_ETHERTYPE 0x88b5
#define TLCKPT_SHIM_LEN 28

/* The Geneve option (RFC 8926: classes 0xff00..0xffff are for experiments). */
#define TLCKPT_OPTION_CLASS 0xff00
#define TLCKPT_OPTION_TYPE 0x53
#define TLCKPT_OPTION_LEN 28

/**
 * tlckpt_shim_find() - the stamp of a shimmed frame
 * @body: what follows the EtherType TLCKPT_ETHERTYPE
 * @len:  octets there
 *
 * Return: the stamp's 24 octets in @body; NULL if it is too short to hold the
 * shim and the EtherType behind it, or the padding is not 0.
 */
static inline const u8 *tlckpt_shim_find(const u8 *body, size_t len)
{
	/* EtherType, stamp, padding are SHIM_LEN; so are stamp, padding, EtherType. */
	if (len < TLCKPT_SHIM_LEN || body[TLCKPT_STAMP_LEN] || body[TLCKPT_STAMP_LEN + 1])
		return NULL;
	return body;
}

TLCKPT_BEGIN_DECLS

/**
 * tlckpt_option_find() - the stamp among the options of a Geneve header
 * @options: they, as on the wire
 * @len:     octets there
 * @stamp:   result: its 24 octets in @options
 *
 * Return: 1 found; 0 none has a stamp; -EINVAL malformed options, or one of our
 * class and type with another length.
 */
int tlckpt_option_find(const u8 *options, size_t len, const u8 **stamp);

TLCKPT_END_DECLS

#endif /* TLCKPT_CARRIER_H */
