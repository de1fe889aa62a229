# SPDX-License-Identifier: GPL-2.0-only
"""Several daemons, one store, a real etcd; guests inside the daemons. Forced
checkpoints need frames, so they are the rig's business."""
import contextlib
import os
import signal
import sys
import tempfile
import time

from rig import Node, expect, wait_for

sys.path.append(os.path.join(os.path.dirname(os.path.abspath(__file__)), "../rig"))
import services  # noqa: E402

KEY = "000102030405060708090a0b0c0d0e0f"


@contextlib.contextmanager
def etcd_of_its_own(kind):
    with tempfile.TemporaryDirectory(prefix="tlckpt-etcd-") as folder:
        etcd = kind(folder)
        etcd.start()
        try:
            yield etcd
        finally:
            etcd.stop()


@contextlib.contextmanager
def cluster(count, kind=services.Etcd, **more):
    """Nodes n1, n2, ... not started, with one store."""
    with etcd_of_its_own(kind) as etcd, contextlib.ExitStack() as stack:
        shared = stack.enter_context(tempfile.TemporaryDirectory(prefix="tlckpt-shared-"))
        nodes = []
        for number in range(1, count + 1):
            node = stack.enter_context(Node())
            node.name = f"n{number}"
            key = os.path.join(node.folder, "key")
            with open(key, "w", encoding="utf-8") as stream:
                stream.write(KEY + "\n")
            node.settings["store"]["directory"] = os.path.join(shared, "store")
            node.settings["process"].update(guests=1, first=number)
            node.settings["cluster"] = {"node_id": number, "key_file": key, "lease_s": 3, **more}
            node.settings["etcd"] = {"endpoints": [etcd.url]}
            nodes.append(node)
        yield etcd, nodes


def member(node):
    return node.ask("status")["cluster"]


def takes_part(node):
    now = member(node)
    return now["joined"] and not now["frozen"] and now["recovery"] == "none"


def start_all(nodes):
    for node in nodes:
        node.start()
    for node in nodes:
        wait_for(f"{node.name} takes part", lambda n=node: takes_part(n), 40)
        wait_for(f"{node.name}'s guest is captured", lambda n=node: all(
            guest["primed"] for guest in n.ask("guest")["guests"]), 40)


def test_cluster_of_two_knows_what_each_node_has():
    with cluster(2) as (_, nodes):
        start_all(nodes)
        expect([n.checkpoint() for n in nodes for _ in range(2)] == [1, 2, 1, 2], "each has two")
        wait_for("n1 knows what n2 has", lambda: [
            (m["name"], m["durable"], m["alive"]) for m in member(nodes[0])["members"]]
            == [("n1", 2, True), ("n2", 2, True)])
        plan = nodes[0].ask("plan", "n2")
        expect(plan["line"] == 2 and plan["lost"] == [2], f"plan {plan}")
        groups = {group["group"]: group for group in plan["groups"]}
        # n1 has seen nothing of n2, but its index says that it may have.
        expect(groups["2"]["node"] == 1 and groups["2"]["checkpoint"] == 2 and groups["2"]["bytes"] > 0
               and groups["2"]["guests"] == ["p2"], f"n2's guests: {groups['2']}")
        expect(groups["1"]["goes_back"] and groups["1"]["checkpoint"] == 2, f"n1's guests: {groups['1']}")
        nodes[0].refused("plan", "n7", says=["no node n7 in this cluster"])
        nodes[0].refused("recover", says=["no node is lost"])


def test_cluster_takes_basic_checkpoints_by_the_core():
    with cluster(2) as (_, nodes):
        for node in nodes:
            node.settings["checkpoint"]["period_ms"] = 500
        start_all(nodes)
        for node in nodes:
            wait_for("four basic checkpoints", lambda n=node: len(n.listed()) >= 4, 40)
            kinds = {c["kind"] for c in node.ask("list")["checkpoints"]}
            expect(kinds == {"basic"}, f"kinds {kinds}")


def test_cluster_goes_on_without_etcd_and_says_so():
    with cluster(2) as (etcd, nodes):
        start_all(nodes)
        etcd.stop()
        wait_for("the status says so", lambda: member(nodes[0])["etcd"], 30)
        text = nodes[0].ctl("status").out
        expect("no recovery can be decided" in text, text)
        expect(nodes[0].checkpoint() == 1 and nodes[1].checkpoint() == 1, "checkpoints go on")
        etcd.start()
        wait_for("it answers again", lambda: not member(nodes[0])["etcd"], 30)
        wait_for("what was taken meanwhile is known", lambda: [
            m["durable"] for m in member(nodes[0])["members"]] == [1, 1], 30)
        time.sleep(4)  # beyond the lease
        expect(member(nodes[0])["incarnation"] == 0, "nobody was lost")


def test_cluster_by_tls_certificates_and_users():
    with cluster(2, services.SecureEtcd) as (etcd, nodes):
        for node in nodes:
            node.settings["etcd"].update(
                user=etcd.USER, **{f"{name}_file": f"{etcd.client}/{name}.pem" for name in ("ca", "cert", "key")},
                password_file=f"{etcd.client}/password")
        wrong = os.path.join(nodes[1].folder, "wrong")
        with open(wrong, "w", encoding="utf-8") as stream:
            stream.write("wrong\n")
        right = nodes[1].settings["etcd"]["password_file"]
        nodes[1].settings["etcd"]["password_file"] = wrong
        nodes[0].start()
        nodes[1].start()
        wait_for("n1 takes part", lambda: takes_part(nodes[0]), 40)
        wait_for("n2 is refused", lambda: "password" in member(nodes[1])["etcd"], 20)
        nodes[1].kill(signal.SIGTERM)
        nodes[1].settings["etcd"]["password_file"] = right
        start_all(nodes[1:])
        expect([n.checkpoint() for n in nodes] == [1, 1], "both take checkpoints")
        # What tokens were given for changes: etcd takes none of them any more.
        etcd.administer("/v3/auth/user/add", {"name": "somebody", "password": "else"})
        nodes[0].checkpoint()
        wait_for("n2 hears of the next one", lambda: member(nodes[1])["members"][0]["durable"] == 2, 20)
        etcd.stop()
        etcd.start()
        time.sleep(4)  # beyond the lease
        nodes[0].checkpoint()
        wait_for("and of one after etcd's restart", lambda: member(nodes[1])["members"][0]["durable"] == 3, 20)
        expect(member(nodes[0])["incarnation"] == 0, "nobody was lost")


def test_cluster_daemon_that_comes_back_in_time_is_no_loss():
    with cluster(2) as (_, nodes):
        start_all(nodes)
        nodes[1].checkpoint()
        nodes[1].kill()
        nodes[1].start()
        wait_for("n2 takes part again", lambda: takes_part(nodes[1]), 30)
        time.sleep(4)  # beyond the lease
        expect(member(nodes[0])["incarnation"] == 0, "nobody was lost")
        expect(nodes[1].checkpoint() == 2, "and it goes on above what it had")


def test_cluster_by_hand_waits_for_the_word():
    with cluster(2, auto=False) as (_, nodes):
        start_all(nodes)
        for node in nodes:
            node.checkpoint()
        wait_for("both are known", lambda: all(m["durable"] == 1 for m in member(nodes[0])["members"]))
        nodes[1].kill()
        wait_for("n2 is lost", lambda: not member(nodes[0])["members"][1]["alive"], 30)
        time.sleep(2)
        expect(member(nodes[0])["recovery"] == "none", "nothing begins by itself")
        expect(nodes[0].ask("plan")["lost"] == [2], "the plan is for n2")
        nodes[0].ask("recover")
        wait_for("a recovery begins", lambda: member(nodes[0])["incarnation"] == 1, 30)


def test_cluster_refuses_strangers():
    with cluster(3) as (_, nodes):
        start_all(nodes[:1])
        nodes[1].settings["cluster"]["node_id"] = 1
        nodes[1].start()
        wait_for("the twin is told", lambda: "node id 1 is in use by n1" in member(nodes[1])["refusal"], 30)
        with open(nodes[2].settings["cluster"]["key_file"], "w", encoding="utf-8") as stream:
            stream.write("f" * 32)
        nodes[2].start()
        wait_for("the stranger is told", lambda: "key is not the one" in member(nodes[2])["refusal"], 30)
        expect(nodes[2].ctl("checkpoint").code == 1, "it takes no checkpoint")
        expect(member(nodes[0])["joined"] and nodes[0].checkpoint() == 1, "n1 goes on")


def test_cluster_configuration_is_checked():
    for change, words in (({"key_file": "/nonexistent"}, "cluster.key_file /nonexistent"),
                          ({"node_id": 0}, "cluster.node_id: must be an integer from 1 to 65535")):
        with cluster(1) as (_, (node,)):
            node.settings["cluster"].update(change)
            node.spawn()
            expect(node.process.wait(timeout=20) == 1, "it does not start")
            expect(words in node.log_text(), node.log_text())


def test_node_alone_has_no_cluster():
    with Node() as node:
        node.start()
        node.refused("plan", says=["alone"])
        node.refused("recover", says=["alone"])
        expect("cluster" not in node.ctl("status").out, "nothing about a cluster")
