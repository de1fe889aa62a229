# SPDX-License-Identifier: GPL-2.0-only
"""The node level's work: checkpoints, what is shown of them, images, retention."""
import os
import signal
import time

from process_image import Replay, check
from rig import Node, expect, stored, wait_for

GUESTS = ("p1", "p2")
PAGES = 4 * 256
TIMES = {"suspend_ns", "registers_ns", "memory_ns", "disk_ns", "channel_ns", "resume_ns",
         "stopped_ns"}


def check_images(node, indexes):
    """Every guest's image at every index is right, and later ones are later."""
    for guest in GUESTS:
        replay, before = Replay(PAGES), 0
        for sn in indexes:
            wrong, steps = check(node.image(sn, guest), replay)
            expect(not wrong, f"checkpoint {sn}, guest {guest}: {wrong}")
            expect(steps > before, f"checkpoint {sn}, guest {guest}: {steps} after {before}")
            before = steps


def test_status_and_guests():
    with Node() as node:
        node.start()
        status = node.ask("status")
        expect(status["node"] == "n1" and status["backend"] == "in-process", status)
        expect(status["pid"] == node.process.pid, "another pid")
        expect(status["store"]["checkpoints"] == 0, "a new store is empty")
        guests = wait_for("both are primed", lambda: [
            guest for guest in node.ask("guest", "list")["guests"] if guest["primed"]][1:] and
            node.ask("guest")["guests"])
        expect([guest["name"] for guest in guests] == list(GUESTS), guests)
        for guest in guests:
            expect(guest["is_protected"] and guest["kind"] == "process", guest)
            expect(guest["tracking"] == "write-protect" and guest["memory"] == PAGES * 4096, guest)
        text = node.ctl("status").out
        expect("guest p1  domid" in text and "keep all" in text, text)


def test_ten_checkpoints_exact_at_every_index():
    with Node() as node:
        node.start_primed()
        for wanted in range(1, 11):
            expect(node.checkpoint() == wanted, "indexes count by one")
        expect(node.listed() == list(range(1, 11)), node.listed())
        expect(node.ask("verify")["damages"] == [], "verify")
        check_images(node, range(1, 11))
        # Nothing of it is in memory only.
        node.kill(signal.SIGTERM)
        node.start()
        expect(node.listed() == list(range(1, 11)), node.listed())
        check_images(node, (1, 4, 10))


def test_what_show_tells():
    with Node() as node:
        node.start_primed()
        node.checkpoint()
        before = time.time_ns()
        shown = node.ask("checkpoint", "--wait")
        expect(stored(shown) == stored(node.ask("show", "2")), "checkpoint and show tell the same")
        expect(node.ask("show", "2") == node.ask("list")["checkpoints"][1], "and so does list")
        expect(shown["sn"] == 2 and shown["prev"] == 1 and shown["kind"] == "manual", shown)
        expect(before < shown["cut_wall_ns"] < time.time_ns(), "the time of the cut")
        expect(set(shown["times"]) == TIMES and shown["durable_ns"] > 0, shown)
        expect(shown["times"]["stopped_ns"] > 0, shown)
        for guest in shown["guests"]:
            expect(not guest["full"] and guest["pages"] == PAGES, guest)
            expect(0 < guest["new_pages"] <= PAGES and guest["bytes_written"] > 0, guest)
            expect(set(guest["times"]) == TIMES, guest)
        expect(all(guest["full"] for guest in node.ask("show", "1")["guests"]), "1 is full")
        text = node.ctl("show", "2").out
        for name in ("T_s ", "T_a ", "T_m ", "T_d 0", "T_c ", "T_r ", "stopped ", "skew "):
            expect(name in text, f"no {name} in {text}")


def test_basic_checkpoints_by_period():
    with Node(checkpoint={"period_ms": 200}) as node:
        node.start_primed()
        wait_for("five of them", lambda: len(node.listed()) >= 5)
        expect({c["kind"] for c in node.ask("list", "--last", "2")["checkpoints"]} == {"basic"},
               "basic is their kind")


def test_requests_merge():
    with Node() as node:
        node.start_primed()
        asked = [node.ask("checkpoint")["sn"] for _ in range(5)]
        expect(asked == sorted(asked), asked)
        wait_for("the last one", lambda: asked[-1] in node.listed())
        expect(node.listed() == list(range(1, asked[-1] + 1)), node.listed())


def test_retention_keeps_the_newest():
    with Node(store={"keep": 3}) as node:
        node.start_primed()
        for _ in range(8):
            node.checkpoint()
        wait_for("old ones are dropped", lambda: node.listed() == [6, 7, 8])
        expect(node.ask("verify")["damages"] == [], "verify")
        check_images(node, (6, 7, 8))


def test_gc_by_hand():
    with Node() as node:
        node.start_primed()
        for _ in range(6):
            node.checkpoint()
        expect(node.ask("gc")["dropped"] == [], "keep = 0 keeps all")
        node.kill(signal.SIGTERM)
        node.settings["store"]["keep"] = 2
        node.start()
        before = node.ask("status")["store"]["bytes"]
        tried = node.ask("gc", "--dry-run")
        expect(tried["dropped"] == [1, 2, 3, 4] and tried["dry_run"], tried)
        expect(node.listed() == [1, 2, 3, 4, 5, 6], "a dry run drops nothing")
        done = node.ask("gc")
        expect(done["dropped"] == [1, 2, 3, 4], done)
        expect(node.listed() == [5, 6], node.listed())
        expect(node.ask("status")["store"]["bytes"] < before, "space came back")
        check_images(node, (5, 6))


def test_only_named_guests():
    with Node(protect={"guests": ["p2"]}) as node:
        node.start()
        wait_for("p2 is primed", lambda: node.ask("guest")["guests"][1]["primed"])
        one, two = node.ask("guest")["guests"]
        expect(two["is_protected"] and not one["is_protected"], (one, two))
        shown = node.ask("checkpoint", "--wait")
        expect([guest["name"] for guest in shown["guests"]] == ["p2"], shown)
        expect("the configuration does not name it" in node.ctl("guest").out, "why not")


def test_restore_to_files():
    with Node() as node:
        node.start_primed()
        node.checkpoint()
        file = os.path.join(node.folder, "p1.image")
        reply = node.ask("restore", "1", "--guest", "p1", "--to", file)
        expect(reply["sn"] == 1 and reply["guests"][0]["name"] == "p1", reply)
        with open(file, "rb") as stream:
            wrong, _ = check(stream.read(), Replay(PAGES))
        expect(not wrong, wrong)
        by_uuid = node.ctl("restore", "1", "--guest", reply["guests"][0]["uuid"], "--to", "-",
                           text=False)
        with open(file, "rb") as stream:
            expect(by_uuid.out == stream.read(), "by name or by uuid: the same bytes")
        fifo = os.path.join(node.folder, "fifo")
        os.mkfifo(fifo)
        reader = os.popen(f"cmp {fifo} {file} && echo same")
        node.ask("restore", "1", "--guest", "p1", "--to", fifo)
        expect(reader.read() == "same\n", "through a FIFO")


def test_ends_orderly():
    with Node() as node:
        node.start_primed()
        node.checkpoint()
        expect(node.kill(signal.SIGTERM) == 0, "exit code 0")
        expect(not os.path.exists(node.socket), "the socket is gone")
        node.start()
        expect(node.kill(signal.SIGINT) == 0, "exit code 0")
