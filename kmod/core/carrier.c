// SPDX-License-Identifier: GPL-2.0-only OR MIT
/* The carriers' parsers; what they look for is in the header. */
#include <tlckpt/carrier.h>

/* A Geneve option: class 2, type 1, length in words 1, data. */
enum {
	OPTION_HEADER_LEN = 4,
	OPTION_TYPE_MASK = 0x7f, /* without the bit that says critical */
	OPTION_WORDS_MASK = 0x1f,
};

static_assert(TLCKPT_OPTION_LEN == OPTION_HEADER_LEN + TLCKPT_STAMP_LEN, "the option is the stamp");
static_assert(TLCKPT_SHIM_LEN % 4 == 0, "what follows keeps its alignment");

int tlckpt_option_find(const u8 *options, size_t len, const u8 **stamp)
{
	while (len >= OPTION_HEADER_LEN) {
		size_t whole = OPTION_HEADER_LEN + (size_t)(options[3] & OPTION_WORDS_MASK) * 4;

		if (whole > len)
			return -EINVAL;
		if ((options[0] << 8 | options[1]) == TLCKPT_OPTION_CLASS &&
		    (options[2] & OPTION_TYPE_MASK) == TLCKPT_OPTION_TYPE) {
			if (whole != TLCKPT_OPTION_LEN)
				return -EINVAL;
			*stamp = options + OPTION_HEADER_LEN;
			return 1;
		}
		options += whole;
		len -= whole;
	}
	return len ? -EINVAL : 0;
}
