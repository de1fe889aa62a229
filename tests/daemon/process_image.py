# SPDX-License-Identifier: GPL-2.0-only
"""Checks the image of an in-process guest, byte by byte.

The rule by which these guests write (daemon/process_guests.cc) makes the whole
memory a function of the number of steps, which the registers part tells. So
an image is right or wrong as a whole: a page too old or too new is found.
"""
import struct

MASK = (1 << 64) - 1
PAGE = 4096
XL_MAGIC = b"Xen saved domain, xl format\n \0 \r"
LIBXL_MAGIC = 0x4C6962786C466D74


def mix(x):
    x = (x + 0x9E3779B97F4A7C15) & MASK
    x = ((x ^ (x >> 30)) * 0xBF58476D1CE4E5B9) & MASK
    x = ((x ^ (x >> 27)) * 0x94D049BB133111EB) & MASK
    return x ^ (x >> 31)


def page_of(step, pages):
    spread = mix(step)
    return spread % max(1, pages // 8) if spread >> 32 & 3 else spread % pages


def expected_page(step, page):
    if step == 0:
        return bytes(PAGE)
    return struct.pack("<Q", step) + struct.pack("<Q", mix(step ^ page)) * (PAGE // 8 - 1)


class Replay:
    """The last step that wrote each page, for growing numbers of steps."""

    def __init__(self, pages):
        self.last, self.steps = [0] * pages, 0

    def to(self, steps):
        if steps < self.steps:
            self.__init__(len(self.last))
        for step in range(self.steps + 1, steps + 1):
            self.last[page_of(step, len(self.last))] = step
        self.steps = steps
        return self.last


def parse(stream):
    """(pages by pfn, steps) of a stream as `restore --to` gives it."""
    if stream[:32] != XL_MAGIC:
        raise ValueError("no xl header")
    at = 48 + struct.unpack_from("<I", stream, 44)[0]
    if struct.unpack_from(">Q", stream, at)[0] != LIBXL_MAGIC:
        raise ValueError("no libxl header")
    at += 16 + 8  # the header, and the record that says a libxc stream follows
    pages = {}
    # In-process guests have no libxc headers: page records at once.
    while struct.unpack_from("<I", stream, at)[0] == 1:
        length, count = struct.unpack_from("<II", stream, at + 4)
        pfns = struct.unpack_from(f"<{count}Q", stream, at + 16)
        data = at + 16 + 8 * count
        for entry in pfns:
            if entry >> 60 < 0xD:
                pages[entry & ((1 << 52) - 1)] = stream[data:data + PAGE]
                data += PAGE
        if data != at + 8 + length:
            raise ValueError("a page record's length is wrong")
        at += 8 + (length + 7) // 8 * 8
    return pages, struct.unpack_from("<Q", stream, at)[0]


def check(stream, replay):
    """Nothing if the image is right, else what is wrong; and its steps."""
    pages, steps = parse(stream)
    last = replay.to(steps)
    wrong = [pfn for pfn, step in enumerate(last)
             if pages.get(pfn, bytes(PAGE)) != expected_page(step, pfn)]
    if wrong:
        return f"{len(wrong)} of {len(last)} pages wrong at step {steps}: {wrong[:8]}", steps
    return None, steps
