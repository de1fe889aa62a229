# SPDX-License-Identifier: GPL-2.0-only
"""The control socket: who may, how much, and clients that behave badly."""
import json
import os
import random
import socket
import stat
import subprocess

import rig
from rig import Node, expect, wait_for


class Raw:
    """A client without manners."""

    def __init__(self, node):
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.connect(node.socket)
        self.socket.settimeout(20)
        self.file = self.socket.makefile("rb")

    def send(self, data):
        self.socket.sendall(data)

    def answer(self):
        """The next line as JSON; nothing at the end."""
        line = self.file.readline()
        return json.loads(line) if line else None

    def close(self):
        self.file.close()
        self.socket.close()


def test_root_only():
    with Node() as node:
        node.start()
        expect(stat.S_IMODE(os.stat(node.socket).st_mode) == 0o600, "mode 0600")
        if os.geteuid() != 0:
            return "only root can try to be someone else"
        os.chmod(node.folder, 0o755)
        os.chmod(node.socket, 0o666)  # even so
        done = subprocess.run(["setpriv", "--reuid=65534", "--clear-groups", rig.BIN + "/tlckptctl",
                               "--socket", node.socket, "status"], capture_output=True, text=True,
                              check=False)
        if done.returncode == 127 or "failed to execute" in done.stderr:
            return "the tool can't be run as another user here"
        expect(done.returncode == 1 and "only root" in done.stderr, done)
        os.chmod(node.socket, 0o600)
        done = subprocess.run(["setpriv", "--reuid=65534", "--clear-groups", rig.BIN + "/tlckptctl",
                               "--socket", node.socket, "status"], capture_output=True, text=True,
                              check=False)
        expect(done.returncode == 2 and "only root may" in done.stderr, done)
    return None


def test_requests_in_a_row():
    with Node() as node:
        node.start()
        raw = Raw(node)
        raw.send(b'{"request":"list","arguments":{"last":0}}\n' * 200)
        for _ in range(200):
            expect(raw.answer() == {"reply": {"checkpoints": []}}, "each is answered")
        raw.close()


def test_nonsense_is_answered():
    with Node() as node:
        node.start()
        raw = Raw(node)
        for line in (b"\n", b"{}\n", b"[1]\n", b'{"request":5}\n', b"\xff\x00\xfe\n",
                     b'{"request":"frob"}\n', b'{"request":"show"}\n',
                     b'{"request":"show","arguments":{"sn":"x"}}\n',
                     b'{"request":"show","arguments":{"sn":-1}}\n',
                     b'{"request":"restore","arguments":{"sn":1,"guest":"","to_file":true}}\n'):
            raw.send(line)
            answer = raw.answer()
            expect(answer and "error" in answer, f"{line}: {answer}")
        raw.send(b"x" * 70000)
        expect("too long" in raw.answer()["error"]["message"], "a line without an end")
        expect(raw.answer() is None, "and that was all")
        raw.close()
        seed = random.randrange(1 << 32)
        fuzz = random.Random(seed)
        for _ in range(50):
            raw = Raw(node)
            try:
                raw.send(fuzz.randbytes(fuzz.randrange(1, 100000)))
            except OSError:
                pass  # told to go away before it had said everything
            raw.close()
        expect(node.ctl("status").code == 0, f"still there (seed {seed})")


def test_many_clients():
    with Node() as node:
        node.start()
        clients = [Raw(node) for _ in range(60)]
        answers = []
        for raw in clients:
            try:
                raw.send(b'{"request":"guests"}\n')
            except OSError:
                pass  # refused already
            answers.append(raw.answer())
        served = [answer for answer in answers if answer and "reply" in answer]
        expect(len(served) == 32, f"{len(served)} were served")
        expect(all("too many clients" in answer["error"]["message"] for answer in answers
                   if answer and "error" in answer), "the others were told why")
        for raw in clients:
            raw.close()
        wait_for("room again", lambda: node.ctl("status").code == 0)


def test_clients_that_leave():
    with Node() as node:
        node.start_primed()
        for request in (b'{"request":"checkpoint","arguments":{"wait":true}}\n',
                        b'{"request":"verify"}\n', b'{"request":"status"}\n') * 10:
            raw = Raw(node)
            raw.send(request)
            raw.close()
        expect(node.checkpoint() > 0, "the daemon goes on")
        before = len(os.listdir(f"/proc/{node.process.pid}/fd"))
        for _ in range(100):
            raw = Raw(node)
            raw.send(b'{"request":"guests"}\n')
            raw.close()
        wait_for("no descriptor is left", lambda: len(
            os.listdir(f"/proc/{node.process.pid}/fd")) <= before)


def test_descriptors_nobody_asked_for():
    with Node() as node:
        node.start_primed()  # which opens files
        before = len(os.listdir(f"/proc/{node.process.pid}/fd"))
        raw = Raw(node)
        with open("/dev/null", "wb") as null:
            for _ in range(20):
                socket.send_fds(raw.socket, [b'{"request":"guests"}\n'], [null.fileno()] * 3)
                expect("reply" in raw.answer(), "answered")
        raw.close()
        wait_for("they are closed", lambda: len(
            os.listdir(f"/proc/{node.process.pid}/fd")) <= before)


def test_progress_of_long_work():
    with Node() as node:
        node.start()
        raw = Raw(node)
        raw.send(b'{"request":"checkpoint","arguments":{"wait":true}}\n')
        answers = [raw.answer()]
        while "progress" in answers[-1]:
            answers.append(raw.answer())
        expect(answers[-1].get("reply", {}).get("sn") == 1, answers[-1])
        expect(all(set(answer["progress"]) == {"stage", "done", "total"}
                   for answer in answers[:-1]), answers)
        raw.close()


def test_service_manager_is_told():
    with Node() as node:
        path = os.path.join(node.folder, "notify")
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        listener.bind(path)
        listener.settimeout(20)
        node.spawn(env={**os.environ, "NOTIFY_SOCKET": path, "WATCHDOG_USEC": "400000"})
        told = listener.recv(4096).decode()
        expect(told == "READY=1" or "WATCHDOG=1" in told, told)
        told = [listener.recv(4096).decode() for _ in range(4)]
        expect("WATCHDOG=1" in told, told)
        listener.close()
