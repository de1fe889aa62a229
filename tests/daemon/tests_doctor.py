# SPDX-License-Identifier: GPL-2.0-only
"""The pre-flight: what it finds, and how it ends."""
from rig import Node, expect

ORDER = ["ok", "warn", "refuse"]
CODES = {"ok": 0, "warn": 3, "refuse": 1}


def examined(node, code=None):
    """The findings by (of, subject); the exit code is that of the worst."""
    answer = node.ctl("-j", "doctor")
    reply = answer.json()
    worst = max((f["verdict"] for f in reply["findings"]), key=ORDER.index)
    expect(reply["verdict"] == worst, f"{reply['verdict']}, the worst is {worst}")
    expect(answer.code == (CODES[worst] if code is None else code), f"ended with {answer.code}")
    for finding in reply["findings"]:
        expect(finding["verdict"] != "refuse" or finding["advice"], f"no advice: {finding}")
    return {(f["of"], f["subject"]): f for f in reply["findings"]}


def test_doctor_of_a_good_node():
    with Node() as node:
        node.start_primed()
        found = examined(node)
        for subject in ("kernel", "module", "staging", "store"):
            expect(("node", subject) in found, f"nothing about {subject}: {list(found)}")
        expect(("node", "xen") not in found, "guests in the daemon need no Xen")
        expect(found["node", "store"]["verdict"] == "ok", found["node", "store"])
        for guest in ("guest p1", "guest p2"):
            expect(found[guest, "protection"]["verdict"] == "ok", found)
            expect("write-protect" in found[guest, "memory"]["found"], found)
        text = node.ctl("doctor").out
        expect("\nguest p1\n    ok      protection" in text, text)


def test_doctor_of_a_guest_left_out():
    with Node(protect={"guests": ["p1"]}) as node:
        node.start()
        found = examined(node)
        expect(found["guest p1", "protection"]["verdict"] == "ok", found)
        expect(found["guest p2", "protection"]["verdict"] == "warn", found)
        expect("protect.guests" in found["guest p2", "protection"]["advice"], found)


def test_doctor_without_a_daemon():
    with Node() as node:
        found = examined(node, code=2)
        expect(found["node", "tlckptd"]["verdict"] == "refuse", found)
        expect(("node", "kernel") in found, "the host is looked at all the same")


def test_doctor_of_a_damaged_store():
    with Node() as node:
        node.start_primed()
        sn = node.checkpoint()
        with open(f"{node.store}/nodes/n1/{sn:020}.manifest", "r+b") as manifest:
            manifest.seek(40)
            manifest.write(b"\xff\xff")
        found = examined(node)
        expect(found["node", f"checkpoint {sn}"]["verdict"] == "warn", found)
