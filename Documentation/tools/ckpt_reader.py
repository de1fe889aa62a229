#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
"""Reads a tlckpt checkpoint store without tlckpt.

Written from Documentation/checkpoint-format.rst alone, with Python's standard
library alone (python3-minimal is enough), so that a store can be listed,
checked and taken apart where nothing else is left.

    ckpt_reader.py list STORE
    ckpt_reader.py verify STORE
    ckpt_reader.py extract STORE SN UUID [--to FILE] [--table FILE] [--state PREFIX]
"""
import argparse
import fcntl
import os
import struct
import sys

BLOCK = 4096
VERSION = 1
HEAD = struct.Struct("<IIII")
RUN_ENTRY = struct.Struct("<QIIII")
KEY_ZERO = 0x10
MANY = 1024  # pages read and checked at a time


class Damaged(Exception):
    """What is wrong, and where."""


# --- CRC32C -----------------------------------------------------------------


def make_table():
    table = []
    for value in range(256):
        for _ in range(8):
            value = (value >> 1) ^ (0x82F63B78 if value & 1 else 0)
        table.append(value)
    return table


TABLE = make_table()
# The table's four byte planes, for many checksums at once.
PLANES = [bytes(entry >> shift & 0xFF for entry in TABLE) for shift in (0, 8, 16, 24)]


def crc32c(data, crc=0):
    crc ^= 0xFFFFFFFF
    for byte in data:
        crc = TABLE[(crc ^ byte) & 0xFF] ^ (crc >> 8)
    return crc ^ 0xFFFFFFFF


def crc32c_blocks(data):
    """The checksums of all blocks in `data`, byte by byte but side by side:
    one step of Python serves all blocks."""
    count = len(data) // BLOCK

    def number(planes):
        return int.from_bytes(planes, "little")

    state = [number(b"\xff" * count)] * 4
    for at in range(BLOCK):
        index = (state[0] ^ number(data[at::BLOCK])).to_bytes(count, "little")
        steps = [number(index.translate(plane)) for plane in PLANES]
        state = [state[1] ^ steps[0], state[2] ^ steps[1], state[3] ^ steps[2], steps[3]]
    planes = [plane.to_bytes(count, "little") for plane in state]
    return [(a | b << 8 | c << 16 | d << 24) ^ 0xFFFFFFFF for a, b, c, d in zip(*planes)]


# --- structures -------------------------------------------------------------


def check_head(data, magic, where, length=None):
    """Section "Head". `length`: what the structure has; None: all of data."""
    if len(data) < HEAD.size:
        raise Damaged(f"{where}: only {len(data)} bytes")
    found, version, covered, crc = HEAD.unpack_from(data)
    if found != magic:
        raise Damaged(f"{where}: magic is {found:08x}, not {magic:08x}")
    if covered < HEAD.size or covered > len(data):
        raise Damaged(f"{where}: length {covered} of {len(data)} bytes")
    if crc32c(data[HEAD.size : covered], crc32c(bytes(4), crc32c(data[:12]))) != crc:
        raise Damaged(f"{where}: checksum differs")
    if version != VERSION:
        raise Damaged(f"{where}: format version {version} found, this program knows version {VERSION}")
    if covered != (len(data) if length is None else length):
        raise Damaged(f"{where}: length {covered} of {len(data)} bytes")


def text(data):
    return data.split(b"\0")[0].decode("utf-8", "replace")


def uuid_text(data):
    digits = data.hex()
    return "-".join((digits[:8], digits[8:12], digits[12:16], digits[16:20], digits[20:]))


def read_at(stream, offset, length, where):
    stream.seek(offset)
    data = stream.read(length)
    if len(data) != length:
        raise Damaged(f"{where}: ends at {offset + len(data)}, {length - len(data)} bytes are missing")
    return data


class Guest:
    """One guest in one manifest."""

    def __init__(self, body):
        self.uuid = uuid_text(body[:16])
        self.full = body[18] == 1
        names = ("pfn_limit", "nr_pages", "nr_new", "nr_zero", "nr_early", "nr_paused", "bytes_written")
        for name, value in zip(names, struct.unpack_from("<7Q", body, 24)):
            setattr(self, name, value)
        self.name, self.state, self.runs = "", None, []


class Disk:
    """A disk of a guest in one manifest; captured, it has an image as a guest has."""

    KINDS = {1: "captured", 2: "read-only", 3: "excluded"}

    def __init__(self, body, where):
        self.uuid, self.guest = uuid_text(body[:16]), uuid_text(body[16:32])
        if body[32] not in self.KINDS:
            raise Damaged(f"{where}: a disk of kind {body[32]}")
        self.kind, self.full = self.KINDS[body[32]], body[33] == 1
        names = ("bytes", "nr_new", "nr_zero", "nr_discarded", "bytes_changed", "bytes_written", "snapshot_ns")
        for name, value in zip(names, struct.unpack_from("<7Q", body, 40)):
            setattr(self, name, value)
        self.pfn_limit = (self.bytes + BLOCK - 1) // BLOCK
        self.name, self.target, self.source, self.state, self.runs = "", "", "", None, []


class Manifest:
    def __init__(self, path):
        with open(path, "rb") as stream:
            data = stream.read()
        check_head(data, 0x464D4354, path)
        self.node = self.producer = self.platform = ""
        self.groups = []
        self.guests, self.disks, self.sn = [], [], 0
        at = HEAD.size
        while True:
            if at + 8 > len(data):
                raise Damaged(f"{path}: no end")
            kind, length = struct.unpack_from("<II", data, at)
            if kind == 0:
                break
            body = data[at + 8 : at + 8 + length]
            if len(body) != length:
                raise Damaged(f"{path}: item at {at} is too long")
            self.take(kind, body, f"{path}: item at {at}")
            at += (8 + length + 7) & ~7
        if self.sn == 0:
            raise Damaged(f"{path}: no checkpoint in it")

    def take(self, kind, body, where):
        if kind == 1:
            self.sn, self.prev, self.incarnation, self.kind = struct.unpack_from("<QQII", body)
            self.cut_wall_ns, self.durable_ns, self.suspend_skew_ns = struct.unpack_from("<QQQ", body, 24)
            self.times = struct.unpack_from("<7Q", body, 48)
        elif kind == 2:
            self.node = body.decode()
        elif kind == 3:
            self.producer = body.decode()
        elif kind == 4:
            self.platform = body.decode()
        elif kind == 5:
            self.groups = [group for group, in struct.iter_unpack("<I", body)]
        elif kind == 16:
            if self.disks:
                raise Damaged(f"{where}: a guest behind a disk")
            self.guests.append(Guest(body))
        elif kind == 32:
            self.disks.append(Disk(body, where))
        elif kind in (17, 18, 19, 33, 34):
            self.take_of_image(kind, body, where)
        elif not kind & 0x80000000:
            raise Damaged(f"{where}: type {kind} is unknown to this program")


    def take_of_image(self, kind, body, where):
        """Items of the guest or disk before."""
        before = self.disks or (self.guests if kind < 32 else [])
        if not before:
            raise Damaged(f"{where}: nothing that it is of")
        if kind == 18:
            before[-1].state = struct.unpack_from("<III", body)
        elif kind == 19:
            before[-1].runs = [(run, count) for run, _, count in struct.iter_unpack("<IIQ", body)]
        else:
            setattr(before[-1], {17: "name", 33: "target", 34: "source"}[kind], body.decode())

    def images(self):
        return self.guests + [disk for disk in self.disks if disk.kind == "captured"]


class Store:
    def __init__(self, folder):
        self.folder = folder
        path = os.path.join(folder, "superblock")
        with open(path, "rb") as stream:
            data = stream.read()
        check_head(data, 0x42534354, path)
        if struct.unpack_from("<I", data, 40)[0] != BLOCK:
            raise Damaged(f"{path}: pages are not of {BLOCK} bytes")
        self.uuid = uuid_text(data[16:32])

    def nodes(self):
        return sorted(os.listdir(os.path.join(self.folder, "nodes")))

    def indexes(self, node):
        names = os.listdir(os.path.join(self.folder, "nodes", node))
        return sorted(int(name[:20]) for name in names if len(name) == 29 and name.endswith(".manifest"))

    def manifest(self, node, sn):
        path = os.path.join(self.folder, "nodes", node, f"{sn:020}.manifest")
        manifest = Manifest(path)
        if manifest.sn != sn:
            raise Damaged(f"{path}: is of checkpoint {manifest.sn}")
        return manifest

    def manifests(self, node, damages=None):
        for sn in self.indexes(node):
            try:
                yield self.manifest(node, sn)
            except Damaged as error:
                if damages is None:
                    raise
                damages.append((node, sn, str(error)))


class Image:
    """A guest's image in a manifest: the merged index."""

    def __init__(self, store, guest):
        self.folder = os.path.join(store.folder, "guests", guest.uuid)
        self.guest = guest
        self.lock = open(os.path.join(self.folder, "readers"), "rb")
        fcntl.flock(self.lock, fcntl.LOCK_SH)
        self.pages = {}  # pfn -> (key, segment, block, crc)
        for run, count in guest.runs:
            for key, segment, block, crc in self.read_run(run, count):
                if key >> 12 < guest.pfn_limit:
                    self.pages.setdefault(key >> 12, (key, segment, block, crc))

    def read_run(self, run, count):
        path = os.path.join(self.folder, f"{run:08x}.run")
        with open(path, "rb") as stream:
            head = read_at(stream, 0, BLOCK, path)
            check_head(head, 0x4E524354, f"{path}: at 0")
            found, _, total = struct.unpack_from("<IIQ", head, 32)
            if (uuid_text(head[16:32]), found, total) != (self.guest.uuid, run, count):
                raise Damaged(f"{path}: at 0: belongs elsewhere")
            last, number = -1, 0
            while count > 0:
                offset = (1 + number) * BLOCK
                data = read_at(stream, offset, BLOCK, path)
                check_head(data, 0x42524354, f"{path}: at {offset}")
                if struct.unpack_from("<IIQ", data, 16) != (run, min(count, 169), number):
                    raise Damaged(f"{path}: at {offset}: belongs elsewhere")
                for place in range(min(count, 169)):
                    key, segment, block, crc, _ = RUN_ENTRY.unpack_from(data, 32 + 24 * place)
                    if key >> 12 <= last:
                        raise Damaged(f"{path}: at {offset}: entries out of order")
                    last = key >> 12
                    yield key, segment, block, crc
                count -= 169
                number += 1

    def bare(self):
        """Pages without contents stored: (pfn, type, all zero?)."""
        for pfn, (key, _, _, _) in sorted(self.pages.items()):
            if key & 0xF >= 13 or key & KEY_ZERO:
                yield pfn, key & 0xF, bool(key & KEY_ZERO)

    def stored(self):
        """Pages with contents, checked: (pfn, type, contents), as they lie."""
        places = sorted(
            (segment, block, key, crc)
            for key, segment, block, crc in self.pages.values()
            if key & 0xF < 13 and not key & KEY_ZERO
        )
        stream, current, path = None, 0, ""
        for start in range(0, len(places), MANY):
            group, contents = places[start : start + MANY], []
            for segment, block, _, _ in group:
                if segment != current:
                    path = os.path.join(self.folder, f"{segment:08x}.segment")
                    stream, current = open(path, "rb"), segment
                contents.append(read_at(stream, block * BLOCK, BLOCK, path))
            crcs = crc32c_blocks(b"".join(contents))
            for (segment, block, key, crc), data, found in zip(group, contents, crcs):
                if found != crc:
                    raise Damaged(
                        f"{self.folder}/{segment:08x}.segment: page {key >> 12:#x} at {block * BLOCK}: "
                        "checksum differs"
                    )
                yield key >> 12, key & 0xF, data

    def state(self):
        """Config, head and tail of the guest's state."""
        segment, block, nr_blocks = self.guest.state
        path = os.path.join(self.folder, f"{segment:08x}.segment")
        where = f"{path}: record at {block * BLOCK}"
        with open(path, "rb") as stream:
            head = read_at(stream, block * BLOCK, BLOCK, path)
            check_head(head, 0x43524354, where)
            kind, _, blocks, in_segment, at_block, crc = struct.unpack_from("<6I", head, 16)
            sizes = struct.unpack_from("<3Q", head, 56)
            here = (uuid_text(head[40:56]), in_segment, at_block) == (self.guest.uuid, segment, block)
            if kind != 2 or not here or blocks + 1 != nr_blocks or sum(sizes) > blocks * BLOCK:
                raise Damaged(f"{where}: is not this guest's state")
            data = read_at(stream, (block + 1) * BLOCK, blocks * BLOCK, path)
        if crc32c(data) != crc:
            raise Damaged(f"{where}: checksum of the state differs")
        ends = (sizes[0], sizes[0] + sizes[1], sum(sizes))
        return data[: ends[0]], data[ends[0] : ends[1]], data[ends[1] : ends[2]]


# --- commands ---------------------------------------------------------------


def do_list(store, _):
    damages = []
    for node in store.nodes():
        for manifest in store.manifests(node, damages):
            for guest in manifest.guests:
                print(
                    f"{node} sn {manifest.sn} prev {manifest.prev} incarnation {manifest.incarnation} "
                    f"guest {guest.uuid} {guest.name} {'full' if guest.full else 'increment'} "
                    f"new {guest.nr_new} zero {guest.nr_zero} runs {len(guest.runs)}"
                )
            for disk in manifest.disks:
                print(
                    f"{node} sn {manifest.sn} disk {disk.uuid} {disk.name} of {disk.guest} {disk.kind} "
                    f"{'full' if disk.full else 'increment'} bytes {disk.bytes} new {disk.nr_new} "
                    f"zero {disk.nr_zero} discarded {disk.nr_discarded} target {disk.target}"
                )
    for node, sn, what in damages:
        print(f"{node} sn {sn} damaged: {what}")
    return 1 if damages else 0


def do_verify(store, _):
    damages, images = [], 0
    for node in store.nodes():
        for manifest in store.manifests(node, damages):
            for guest in manifest.images():
                try:
                    image = Image(store, guest)
                    for _ in image.stored():
                        pass
                    image.state()
                    images += 1
                except (Damaged, OSError) as error:
                    damages.append((node, manifest.sn, str(error)))
    for node, sn, what in damages:
        print(f"{node} sn {sn} damaged: {what}")
    print(f"{images} images are sound, {len(damages)} damages")
    return 1 if damages else 0


def find_guest(store, sn, uuid):
    found = [
        guest
        for node in store.nodes()
        if sn in store.indexes(node)
        for guest in store.manifest(node, sn).images()
        if guest.uuid == uuid
    ]
    if not found:
        raise Damaged(f"{store.folder}: no checkpoint {sn} of guest {uuid}")
    return found[0]


def do_extract(store, arguments):
    image = Image(store, find_guest(store, arguments.sn, arguments.uuid))
    table = [(pfn, kind, "zero" if zero else "none") for pfn, kind, zero in image.bare()]
    out = open(arguments.to, "wb") if arguments.to else None
    if out:
        out.truncate(image.guest.pfn_limit * BLOCK)
    for pfn, kind, contents in image.stored():
        table.append((pfn, kind, "stored"))
        if out:
            out.seek(pfn * BLOCK)
            out.write(contents)
    if arguments.table:
        with open(arguments.table, "w", encoding="ascii") as stream:
            for pfn, kind, what in sorted(table):
                print(f"{pfn:x} {kind:x} {what}", file=stream)
    if arguments.state:
        for name, part in zip(("config", "head", "tail"), image.state()):
            with open(f"{arguments.state}{name}", "wb") as stream:
                stream.write(part)
    return 0


def main():
    parser = argparse.ArgumentParser(description="Reads a tlckpt checkpoint store.")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    for name, run, what in (
        ("list", do_list, "what checkpoints there are"),
        ("verify", do_verify, "read and check all of them"),
        ("extract", do_extract, "one guest's or disk's image at one index"),
    ):
        command = commands.add_parser(name, help=what)
        command.add_argument("store", metavar="STORE")
        command.set_defaults(run=run)
        if name == "extract":
            command.add_argument("sn", metavar="SN", type=int)
            command.add_argument("uuid", metavar="UUID")
            command.add_argument("--to", metavar="FILE", help="memory image, page n at n * 4096")
            command.add_argument("--table", metavar="FILE", help="lines of: pfn type stored|zero|none")
            command.add_argument("--state", metavar="PREFIX", help="PREFIXconfig, PREFIXhead, PREFIXtail")
    arguments = parser.parse_args()
    try:
        return arguments.run(Store(arguments.store), arguments)
    except (Damaged, OSError) as error:
        print(f"ckpt_reader: {error}", file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main())
