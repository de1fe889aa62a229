// SPDX-License-Identifier: GPL-2.0-only OR MIT
/*
 * SipHash-2-4, for the stamp's tag (Rule R16). The kernel has its own, user
 * space has none that the kernel shares: this one serves both.
 */
#include <tlckpt/stamp.h>

struct sip_state {
	u64 v0, v1, v2, v3;
};

static u64 rotate_left(u64 word, unsigned int bits)
{
	return word << bits | word >> (64 - bits);
}

static void sip_rounds(struct sip_state *s, unsigned int nr)
{
	while (nr--) {
		s->v0 += s->v1;
		s->v2 += s->v3;
		s->v1 = rotate_left(s->v1, 13) ^ s->v0;
		s->v3 = rotate_left(s->v3, 16) ^ s->v2;
		s->v0 = rotate_left(s->v0, 32);
		s->v2 += s->v1;
		s->v0 += s->v3;
		s->v1 = rotate_left(s->v1, 17) ^ s->v2;
		s->v3 = rotate_left(s->v3, 21) ^ s->v0;
		s->v2 = rotate_left(s->v2, 32);
	}
}

static void sip_word(struct sip_state *s, u64 word)
{
	s->v3 ^= word;
	sip_rounds(s, 2);
	s->v0 ^= word;
}

/* Up to 8 octets as a little endian word. */
static u64 load_le(const u8 *octets, size_t len)
{
	u64 word = 0;

	while (len--)
		word = word << 8 | octets[len];
	return word;
}

u64 tlckpt_siphash24(const u64 key[2], const void *data, size_t len)
{
	struct sip_state s = {
		.v0 = key[0] ^ 0x736f6d6570736575ULL,
		.v1 = key[1] ^ 0x646f72616e646f6dULL,
		.v2 = key[0] ^ 0x6c7967656e657261ULL,
		.v3 = key[1] ^ 0x7465646279746573ULL,
	};
	const u8 *octets = (const u8 *)data;
	size_t left = len;

	for (; left >= 8; left -= 8, octets += 8)
		sip_word(&s, load_le(octets, 8));
	sip_word(&s, (u64)len << 56 | load_le(octets, left));
	s.v2 ^= 0xff;
	sip_rounds(&s, 4);
	return s.v0 ^ s.v1 ^ s.v2 ^ s.v3;
}
