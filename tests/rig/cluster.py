# SPDX-License-Identifier: GPL-2.0-only
"""Several emulated nodes on one wire, with etcd and an NFS store beside them.

The scenario is bash on this machine (lib-cluster.sh); an agent in each Dom0
does what it is told (rig folder: nodeN/out/agent)."""
import os
import shutil
import subprocess
import sys
import time

from emulator import Emulator, lines_of
from services import Nfs, SecureEtcd
from wire import Wire

HERE = os.path.dirname(os.path.abspath(__file__))


class ClusterBoot:
    """From start to verdicts of one scenario with several nodes: they go to boot.verdicts."""

    def __init__(self, boot, images, stage, image):
        self.boot, self.images, self.stage = boot, images, stage
        self.scenario = boot.scenarios[0]
        self.folder, self.options = boot.folder, boot.options
        self.verdicts = boot.verdicts
        self.image = image
        self.nodes, self.services, self.orders = {}, {}, -1

    def run(self, stop, boot_limit):
        numbers = range(1, self.scenario.nodes + 1)
        os.makedirs(self.folder)
        wire = Wire(self.folder, numbers)
        self.services = {"etcd": SecureEtcd(self.folder), "nfs": Nfs(self.folder)}
        self.nodes = {i: Emulator(os.path.join(self.folder, f"node{i}"), i, self.images, self.scenario.memory,
                                  2048, 64, wire.address(i)) for i in numbers}
        os.mkfifo(os.path.join(self.folder, "hosts"))
        self.orders = os.open(os.path.join(self.folder, "hosts"), os.O_RDWR | os.O_NONBLOCK)
        nodes = self.nodes.values()
        out = os.path.join(self.folder, "out", self.scenario.name)
        os.makedirs(out)
        try:
            for service in self.services.values():
                service.start()
            wire.start()
            for node in nodes:
                self._stage(node)
                node.start()
            limit = boot_limit * self.options.patience
            end = time.monotonic() + limit
            while not all(node.booted() for node in nodes):
                if stop.wait(0.3):
                    raise KeyboardInterrupt
                if time.monotonic() > end or any(node.died() or not node.running() for node in nodes):
                    self.verdicts.append(f"not ok - {self.scenario.name}: not all nodes booted in {limit} s")
                    return
            self._scenario(out, stop)
            self._end(nodes)
        finally:
            for node in nodes:
                node.stop()
            wire.stop()
            for service in self.services.values():
                service.stop()
            os.close(self.orders)
            shutil.rmtree(os.path.join(self.folder, "shared"), ignore_errors=True)
        self.verdicts += lines_of(os.path.join(out, "tap")) or [f"not ok - {self.scenario.name}: did not run"]
        for node in nodes:
            bad = node.bad_lines(self.scenario.allow)
            self.verdicts.append(f"{'not ok' if bad else 'ok'} - {self.scenario.name}: consoles of node "
                                 f"{node.node} are clean")
            self.verdicts += [f"# | {line}" for line in bad[:20]]

    def _stage(self, node):
        folder = node.path("in")
        self.stage(folder, self.boot.scenarios, self.images, self.options)
        for program in ("agent", "power-off"):
            shutil.copy(os.path.join(HERE, program), folder)
        for name, service in self.services.items():
            with open(os.path.join(folder, name), "w", encoding="utf-8") as stream:
                stream.write(f"{service.port}\n")
        shutil.copytree(self.services["etcd"].client, os.path.join(folder, "etcd-client"))
        for name in ("agent", "fence"):
            os.makedirs(node.path("out", name))

    def _orders(self):
        """What the scenario wants of the emulators and services, lines in the pipe `hosts`:
        boot N, stop NAME, start NAME; and what a node's fence command asks for (power-off)."""
        try:
            lines = os.read(self.orders, 4096).decode().splitlines()
        except BlockingIOError:
            lines = []
        for verb, what in map(str.split, lines):
            if verb == "boot":
                self.nodes[int(what)].stop()
                self.nodes[int(what)].start()
            else:
                getattr(self.services[what], verb)()
        for asking in self.nodes.values():
            for name in os.listdir(asking.path("out", "fence")):
                number, what = name.split(".")
                if what == "off":
                    self.nodes[int(number)].stop()
                    os.rename(asking.path("out", "fence", name), asking.path("out", "fence", f"{number}.done"))

    def _scenario(self, out, stop):
        environment = dict(os.environ, RIG=HERE, RIG_FOLDER=self.folder, RIG_OUT=out,
                           RIG_BIN=os.path.abspath(os.path.join(self.options.output, "bin")),
                           RIG_SCENARIO=self.scenario.name, RIG_PATIENCE=str(self.options.patience),
                           RIG_NODES=str(self.scenario.nodes),
                           **dict(variable.split("=", 1) for variable in self.options.set))
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
                self._orders()
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
