# SPDX-License-Identifier: GPL-2.0-only
"""Several emulated nodes on one wire, with etcd and a shared store beside them.

The scenario is bash on this machine (lib-cluster.sh); an agent in each Dom0
does what it is told (rig folder: nodeN/out/agent)."""
import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.request

from emulator import Emulator, lines_of
from wire import Wire

HERE = os.path.dirname(os.path.abspath(__file__))


class Etcd:
    """A real etcd on this machine's loopback; the nodes see it as 10.0.2.2."""

    def __init__(self, folder):
        with socket.socket() as one, socket.socket() as other:
            one.bind(("127.0.0.1", 0))
            other.bind(("127.0.0.1", 0))
            self.port, peer = one.getsockname()[1], other.getsockname()[1]
        with open(os.path.join(folder, "etcd.sh"), "w", encoding="utf-8") as stream:
            stream.write(f"exec setpriv --pdeathsig KILL etcd --data-dir={folder}/etcd "
                         f"--listen-client-urls=http://127.0.0.1:{self.port} "
                         f"--advertise-client-urls=http://127.0.0.1:{self.port} "
                         f"--listen-peer-urls=http://127.0.0.1:{peer} "
                         f"--initial-advertise-peer-urls=http://127.0.0.1:{peer} "
                         f"--initial-cluster=default=http://127.0.0.1:{peer} --log-level=error\n")
        self.log = open(os.path.join(folder, "etcd.log"), "ab")  # pylint: disable=consider-using-with
        self.command = ["sh", os.path.join(folder, "etcd.sh")]
        self.process = None

    def start(self):
        self.process = subprocess.Popen(self.command, stdout=self.log, stderr=self.log,
                                        stdin=subprocess.DEVNULL)
        for _ in range(300):
            try:
                with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/health", timeout=1):
                    return
            except OSError:
                time.sleep(0.1)
        raise RuntimeError("etcd did not come up")

    def stop(self):
        if self.process and self.process.poll() is None:
            self.process.kill()
            self.process.wait()


class ClusterBoot:
    """From start to verdicts of one scenario with several nodes."""

    def __init__(self, boot, images, stage, image):
        self.boot, self.images, self.stage = boot, images, stage
        self.scenario = boot.scenarios[0]
        self.folder, self.options = boot.folder, boot.options
        self.verdicts = boot.verdicts
        self.image = image

    def run(self, stop, boot_limit):
        shared = os.path.join(self.folder, "shared")
        os.makedirs(shared)
        numbers = range(1, self.scenario.nodes + 1)
        wire = Wire(self.folder, numbers)
        etcd = Etcd(self.folder)
        nodes = [Emulator(os.path.join(self.folder, f"node{i}"), i, self.images, self.scenario.memory,
                          64, 64, wire.address(i), shared) for i in numbers]
        out = os.path.join(self.folder, "out", self.scenario.name)
        os.makedirs(out)
        try:
            etcd.start()
            wire.start()
            for node in nodes:
                self._stage(node, etcd.port)
                node.start()
            limit = boot_limit * self.options.patience
            end = time.monotonic() + limit
            while not all(node.booted() for node in nodes):
                if stop.wait(0.3):
                    raise KeyboardInterrupt
                if time.monotonic() > end or any(node.died() or not node.running() for node in nodes):
                    self.verdicts.append(f"not ok - {self.scenario.name}: not all nodes booted in {limit} s")
                    return self.verdicts
            self._scenario(out, stop)
            self._end(nodes)
        finally:
            for node in nodes:
                node.stop()
            wire.stop()
            etcd.stop()
            shutil.rmtree(shared, ignore_errors=True)
        self.verdicts += lines_of(os.path.join(out, "tap")) or [f"not ok - {self.scenario.name}: did not run"]
        for node in nodes:
            bad = node.bad_lines(self.scenario.allow)
            self.verdicts.append(f"{'not ok' if bad else 'ok'} - {self.scenario.name}: consoles of node "
                                 f"{node.node} are clean")
            self.verdicts += [f"# {line}" for line in bad[:20]]
        return self.verdicts

    def _stage(self, node, etcd_port):
        folder = node.path("in")
        self.stage(folder, self.boot.scenarios, self.images, self.options)
        shutil.copy(os.path.join(HERE, "agent"), folder)
        with open(os.path.join(folder, "etcd"), "w", encoding="utf-8") as stream:
            stream.write(f"http://10.0.2.2:{etcd_port}\n")
        os.makedirs(node.path("out", "agent"))

    def _scenario(self, out, stop):
        environment = dict(os.environ, RIG=HERE, RIG_FOLDER=self.folder, RIG_OUT=out,
                           RIG_SCENARIO=self.scenario.name, RIG_PATIENCE=str(self.options.patience),
                           RIG_NODES=str(self.scenario.nodes))
        script = f". {HERE}/lib-cluster.sh; . {self.scenario.path}; scenario_end"
        with open(os.path.join(out, "log"), "wb") as log:
            process = subprocess.Popen(["setpriv", "--pdeathsig", "KILL", "bash", "-c", script], cwd=out,
                                       env=environment, stdout=log, stderr=log, stdin=subprocess.DEVNULL)
            end = time.monotonic() + self.scenario.limit
            shown = 0
            while process.poll() is None:
                if stop.wait(0.3):
                    process.kill()
                    raise KeyboardInterrupt
                if self.options.verbose:
                    shown = self._show(os.path.join(out, "log"), shown)
                if time.monotonic() > end:
                    process.kill()
                    self.verdicts.append(f"not ok - {self.scenario.name}: over its time limit of "
                                         f"{self.scenario.limit} s")
                    break
            process.wait()
        if self.options.verbose:
            self._show(os.path.join(out, "log"), shown)

    @staticmethod
    def _show(path, shown):
        with open(path, "rb") as stream:
            stream.seek(shown)
            text = stream.read()
        sys.stdout.write(text.decode(errors="replace"))
        sys.stdout.flush()
        return shown + len(text)

    @staticmethod
    def _end(nodes):
        """Dom0s that live save their logs and power off."""
        for node in nodes:
            if node.running():
                with open(node.path("out", "agent", "end"), "w", encoding="utf-8"):
                    pass
        end = time.monotonic() + 60
        while any(node.running() for node in nodes) and time.monotonic() < end:
            time.sleep(0.3)
