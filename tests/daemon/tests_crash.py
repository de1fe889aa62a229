# SPDX-License-Identifier: GPL-2.0-only
"""kill -9 at random moments: what was committed stays, indexes are never given twice."""
import os
import random
import time

from process_image import Replay, check
from rig import Node, expect, wait_for
from tests_node import GUESTS, PAGES


def used_sn(node):
    """The newest index that the daemon put on record before it used it."""
    with open(os.path.join(node.folder, "state", "node-state"), encoding="utf-8") as stream:
        for line in stream:
            if line.startswith("sn "):
                return int(line[3:])
    return 0


def test_killed_50_times():
    seed = int(os.environ.get("SEED", random.randrange(1 << 32)))
    choose = random.Random(seed)
    known = {}  # what was seen committed: sn -> manifest
    used = 0
    with Node(checkpoint={"period_ms": 100}) as node:
        for turn in range(50):
            node.start()
            time.sleep(choose.uniform(0.05, 0.7))
            node.kill()
            used = max(used, used_sn(node))
            node.settings["checkpoint"]["period_ms"] = 0
            node.start()
            where = f"turn {turn}, seed {seed}"
            listed = {c["sn"]: c for c in node.ask("list")["checkpoints"]}
            for sn, manifest in known.items():
                expect(listed.get(sn) == manifest, f"{where}: checkpoint {sn} has changed")
            expect(max(listed, default=0) <= used, f"{where}: an index that is not on record")
            expect(node.ask("status")["sn"] == used, f"{where}: goes on above {used}")
            expect(node.ask("verify")["damages"] == [], f"{where}: verify")
            for sn in choose.sample(sorted(listed), min(1, len(listed))):
                guest = choose.choice(GUESTS)
                wrong, _ = check(node.image(sn, guest), Replay(PAGES))
                expect(not wrong, f"{where}: checkpoint {sn}, {guest}: {wrong}")
            wait_for("guests run", lambda: all(
                guest["state"] == "running" for guest in node.ask("guest")["guests"]))
            new = node.ask("checkpoint", "--wait")
            expect(new["sn"] == used + 1 and new["prev"] == used, f"{where}: {new}")
            known = {**listed, new["sn"]: node.ask("show", str(new["sn"]))}
            used = new["sn"]
            node.kill()
            node.settings["checkpoint"]["period_ms"] = 100
        expect(len(known) >= 50, f"{len(known)} checkpoints only (seed {seed})")
