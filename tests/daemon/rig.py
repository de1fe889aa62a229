# SPDX-License-Identifier: GPL-2.0-only
"""A daemon of its own for a test: its folder, configuration, process and tool."""
import json
import os
import shutil
import signal
import subprocess
import tempfile
import time

BIN = ""  # where tlckptd and tlckptctl are; set by the runner


class Failed(Exception):
    """A test's verdict, with its reason."""


def expect(condition, what):
    if not condition:
        raise Failed(what)


def wait_for(what, condition, seconds=20):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        found = condition()
        if found:
            return found
        time.sleep(0.02)
    raise Failed(f"not in {seconds} s: {what}")


def stored(checkpoint):
    """What the store keeps: the answer to who waits knows the commit's time, too."""
    return {**checkpoint, "durable_ns": 0}


class Answer:
    """What a run of the tool gave."""

    def __init__(self, done):
        self.code, self.out, self.err = done.returncode, done.stdout, done.stderr

    def json(self):
        return json.loads(self.out)


class Node:
    """One node: a folder with state, store, socket and log."""

    def __init__(self, folder=None, **settings):
        self.own = folder is None
        self.folder = folder or tempfile.mkdtemp(prefix="tlckpt-")
        self.store = os.path.join(self.folder, "store")
        self.socket = os.path.join(self.folder, "control")
        self.log = os.path.join(self.folder, "log")
        self.config = os.path.join(self.folder, "tlckptd.conf")
        self.process = None
        self.name = "n1"
        self.settings = {"checkpoint": {"staging_mib": 16}, "protect": {"poll_ms": 100},
                         "process": {"guests": 2, "memory_mib": 4}, "store": {"keep": 0}}
        for section, keys in settings.items():
            self.settings.setdefault(section, {}).update(keys)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.process and self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        if self.own:
            shutil.rmtree(self.folder, ignore_errors=True)

    def write_config(self):
        self.settings["store"].setdefault("directory", self.store)
        lines = [f'node = "{self.name}"', 'backend = "process"', 'log_level = "debug"',
                 f'state_directory = "{self.folder}/state"', f'socket = "{self.socket}"']
        for section, keys in self.settings.items():
            lines.append(f"[{section}]")
            lines += [f"{key} = {json.dumps(value)}" for key, value in keys.items()]
        with open(self.config, "w", encoding="utf-8") as stream:
            stream.write("\n".join(lines) + "\n")

    def spawn(self, **more):
        self.write_config()
        with open(self.log, "ab") as log:
            # pylint: disable-next=consider-using-with
            self.process = subprocess.Popen([BIN + "/tlckptd", "-c", self.config], stderr=log,
                                            **more)

    def start(self, **more):
        """Until it answers."""
        self.spawn(**more)
        wait_for("the daemon answers", lambda: self.ended() or self.ctl("status").code == 0)
        expect(not self.ended(), "the daemon ended at its start: " + self.log_text()[-400:])

    def start_primed(self):
        self.start()
        wait_for("guests are primed", lambda: all(
            guest["primed"] for guest in self.ask("guest")["guests"]))

    def ended(self):
        return self.process.poll() is not None

    def kill(self, number=signal.SIGKILL):
        self.process.send_signal(number)
        return self.process.wait(timeout=30)

    def log_text(self):
        with open(self.log, encoding="utf-8", errors="replace") as stream:
            return stream.read()

    def ctl(self, *arguments, **more):
        more.setdefault("text", True)
        return Answer(subprocess.run([BIN + "/tlckptctl", "--socket", self.socket, *arguments],
                                     capture_output=True, timeout=60, check=False, **more))

    def ask(self, *arguments):
        """A request that has to be done; its reply."""
        answer = self.ctl("-j", *arguments)
        expect(answer.code == 0, f"{arguments} ended with {answer.code}: {answer.err}")
        return answer.json()

    def refused(self, *arguments, code=1, says=()):
        """A request that has to be refused, with all of `says` in one line."""
        answer = self.ctl(*arguments)
        expect(answer.code == code, f"{arguments} ended with {answer.code}: {answer.err}")
        expect(answer.err.startswith("Error: ") and answer.err.count("\n") == 1,
               f"{arguments}: not one line of error: {answer.err!r}")
        for text in says:
            expect(text in answer.err, f"{arguments}: no {text!r} in {answer.err!r}")

    def checkpoint(self):
        return self.ask("checkpoint", "--wait")["sn"]

    def listed(self):
        return [c["sn"] for c in self.ask("list")["checkpoints"]]

    def image(self, sn, guest):
        """The stream of one guest at one index."""
        answer = self.ctl("restore", str(sn), "--guest", guest, "--to", "-", text=False)
        expect(answer.code == 0, f"restore {sn} {guest}: {answer.err}")
        return answer.out
