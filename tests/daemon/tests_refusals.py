# SPDX-License-Identifier: GPL-2.0-only
"""Bad input and bad days: one clear error each, and nothing lost."""
import glob
import os
import struct
import subprocess
import tempfile

import rig
from process_image import Replay, check
from rig import Node, expect, wait_for
from tests_node import PAGES, check_images


def daemon_refuses(node, says):
    """Started with `node`'s configuration, the daemon ends and says why."""
    with open(node.log, "w", encoding="utf-8"):
        pass
    node.spawn()
    wait_for("the daemon ends", node.ended)
    expect(node.process.returncode == 1, f"it ended with {node.process.returncode}")
    errors = [line for line in node.log_text().splitlines()
              if line.startswith("<3>") or line.startswith("tlckptd:")]
    expect(len(errors) == 1, f"not one error: {errors}")
    for text in says:
        expect(text in errors[0], f"no {text!r} in {errors[0]!r}")


def run_daemon(*arguments):
    return subprocess.run([rig.BIN + "/tlckptd", *arguments], capture_output=True, text=True,
                          timeout=30, check=False)


def test_wrong_configuration():
    with tempfile.TemporaryDirectory() as folder:
        file = os.path.join(folder, "t.conf")
        for text, says in (
                ("[checkpoint]\nperiod_ms = 5\n", f"{file}:2: checkpoint.period_ms: must be"),
                ("[store]\nkep = 1\n", f"{file}:2: store.kep: unknown key; known here: "),
                ("node = \n", f"{file}:1: not TOML"),
                ("[protect]\n\nguests = 1\n", f"{file}:3: protect.guests: must be")):
            with open(file, "w", encoding="utf-8") as stream:
                stream.write(text)
            for more in ([], ["--check-config"]):
                done = run_daemon("-c", file, *more)
                expect(done.returncode == 1 and done.stderr.count("\n") == 1, done)
                expect(says in done.stderr, f"no {says!r} in {done.stderr!r}")
    missing = run_daemon("-c", "/nonexistent")
    expect(missing.returncode == 1 and "/nonexistent: No such file" in missing.stderr, missing)
    expect(run_daemon("--frob").returncode == 2, "an unknown option")
    right = run_daemon("-c", "daemon/tlckptd.conf.example", "--check-config")
    expect(right.returncode == 0 and "right" in right.stdout, right)


def test_no_xen():
    if os.path.exists("/proc/xen/capabilities"):
        return "this is a Xen host"
    with Node() as node:
        node.write_config()
        done = run_daemon("-c", node.config, "--backend", "xen")
        expect(done.returncode == 1 and done.stderr.count("\n") == 1, done)
        expect("not running under Xen" in done.stderr, done.stderr)
        expect(not os.path.exists(node.store), "no store is made")
    return None


def test_daemon_not_running():
    with Node() as node:
        node.refused("status", code=2, says=["can't reach tlckptd at", "is it running?"])


def test_wrong_usage():
    with Node() as node:
        for arguments in ([], ["frob"], ["s"], ["show"], ["show", "x"], ["-x"], ["show", "1", "2"]):
            answer = node.ctl(*arguments)
            expect(answer.code == 255 and answer.err, f"{arguments}: {answer.code}")
        expect(node.ctl("help").code == 0, "help")


def test_what_is_not_there():
    with Node() as node:
        node.start_primed()
        node.refused("show", "1", says=["no checkpoint 1", "none yet"])
        node.checkpoint()
        for verb in (["show", "7"], ["restore", "7"], ["restore", "7", "--to", "/dev/null"]):
            node.refused(*verb, says=["no checkpoint 7", "from 1 to 1"])
        node.refused("restore", "1", "--guest", "web", "--to", "/dev/null",
                     says=["checkpoint 1 has no guest web", "p1", "p2"])
        node.refused("restore", "1", "--to", "/dev/null", says=["choose by --guest", "p1", "p2"])
        node.refused("restore", "1", "--guest", "p1", says=["xl can't restore it", "--to"])
        file = os.path.join(node.folder, "there")
        with open(file, "w", encoding="utf-8") as stream:
            stream.write("precious")
        node.refused("restore", "1", "--guest", "p1", "--to", file, says=["already"])
        with open(file, encoding="utf-8") as stream:
            expect(stream.read() == "precious", "nothing is overwritten")
        node.refused("restore", "7", "--to", file + "2", says=["no checkpoint 7"])
        expect(not os.path.exists(file + "2"), "a file that got nothing is taken away")


def test_no_guest_to_checkpoint():
    with Node(protect={"guests": ["other"]}) as node:
        node.start()
        node.refused("checkpoint", "--wait", says=["no guest is protected"])


def test_second_daemon():
    with Node() as node, Node() as other:
        node.start_primed()
        node.checkpoint()
        other.settings["store"]["directory"] = node.store
        daemon_refuses(other, [node.store, "use"])
        other.settings["store"]["directory"] = other.store
        other.socket = node.socket
        daemon_refuses(other, [node.socket, "running already"])
        other.folder, own = node.folder, other.folder
        daemon_refuses(other, [node.folder, f"running already (pid {node.process.pid})"])
        other.folder = own
        node.checkpoint()
        check_images(node, (1, 2))


def in_namespace(command):
    """Runs a shell command where mounts are private; nothing if that can't be."""
    unshare = ["unshare", "-m"] if os.geteuid() == 0 else ["unshare", "-rm"]
    if subprocess.run(unshare + ["true"], capture_output=True, check=False).returncode:
        return None
    return unshare + ["sh", "-c", command, "sh"]


def test_read_only_store():
    with Node() as node:
        wrapper = in_namespace(f'mount --bind "{node.folder}/store" "{node.folder}/store" && '
                               f'mount -o remount,bind,ro "{node.folder}/store" && exec "$@"')
        if not wrapper:
            return "mount namespaces can't be had"
        node.start_primed()
        node.checkpoint()
        node.kill()
        done = subprocess.run(wrapper + [rig.BIN + "/tlckptd", "-c", node.config],
                              capture_output=True, text=True, timeout=30, check=False)
        errors = [line for line in done.stderr.splitlines() if line.startswith("<3>")]
        expect(done.returncode == 1 and len(errors) == 1, done)
        expect(node.store in errors[0] and "Read-only file system" in errors[0], errors)
        node.start()
        check_images(node, (1,))
    return None


def test_store_full():
    with Node(process={"memory_mib": 4, "guests": 2}) as node:
        os.mkdir(node.store)
        wrapper = in_namespace(f'mount -t tmpfs -o size=24m tmpfs "{node.store}" && exec "$@"')
        if not wrapper:
            return "mount namespaces can't be had"
        node.write_config()
        with open(node.log, "wb") as log:
            # pylint: disable-next=consider-using-with
            node.process = subprocess.Popen(wrapper + [rig.BIN + "/tlckptd", "-c", node.config],
                                            stderr=log)
        wait_for("the daemon answers", lambda: node.ctl("status").code == 0)
        taken = []
        for _ in range(60):
            answer = node.ctl("-j", "checkpoint", "--wait")
            if answer.code:
                break
            taken.append(answer.json()["sn"])
        expect(answer.code == 1 and taken, f"after {len(taken)}: {answer.code} {answer.err}")
        expect("No space left on device" in answer.err, answer.err)
        expect(node.listed() == taken, "what was taken is there, and no half one")
        expect(node.ask("verify")["damages"] == [], "verify")
        steps = [check(node.image(taken[-1], guest), Replay(PAGES)) for guest in ("p1", "p2")]
        expect(all(wrong is None for wrong, _ in steps), steps)
        expect(all(guest["state"] == "running" for guest in node.ask("guest")["guests"]),
               "guests run on")
    return None


def segments(node):
    found = [file for file in glob.glob(node.store + "/**", recursive=True)
             if os.path.isfile(file) and os.path.getsize(file) > 1 << 20]
    expect(found, "no segment found")
    return sorted(found)


def flip(file, offset):
    with open(file, "r+b") as stream:
        stream.seek(offset)
        byte = stream.read(1)[0]
        stream.seek(-1, 1)
        stream.write(bytes([byte ^ 4]))


def manifest(node, sn):
    return os.path.join(node.store, "nodes", "n1", f"{sn:020}.manifest")


def crc32c(data):
    crc = 0xFFFFFFFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (0x82F63B78 if crc & 1 else 0)
    return crc ^ 0xFFFFFFFF


def set_version(file, version):
    """As a later program would write it: a sound head (checkpoint-format.rst)."""
    with open(file, "r+b") as stream:
        data = bytearray(stream.read())
        struct.pack_into("<I", data, 4, version)
        struct.pack_into("<I", data, 12, 0)
        struct.pack_into("<I", data, 12, crc32c(data[:struct.unpack_from("<I", data, 8)[0]]))
        stream.seek(0)
        stream.write(data)


def only_second_is_left(node, says):
    """Checkpoint 1 can't be read, everybody says why, and nothing else is lost."""
    node.start()
    listed = node.ask("list")["checkpoints"]
    expect([c["sn"] for c in listed] == [1, 2], listed)
    expect(says in listed[0]["damage"] and not listed[1]["damage"], listed)
    expect(f"1  can't be read: " in node.ctl("list").out, node.ctl("list").out)
    for verb in (["show", "1"], ["restore", "1", "--guest", "p1", "--to", "/dev/null"]):
        node.refused(*verb, says=[says])
    answer = node.ctl("verify")
    expect(answer.code == 1 and says in answer.out, f"verify: {answer.code} {answer.out}")
    check_images(node, (2,))
    expect(node.checkpoint() == 3, "it goes on")


def test_damaged_manifest():
    with Node() as node:
        node.start_primed()
        node.checkpoint()
        node.checkpoint()
        node.kill(15)
        flip(manifest(node, 1), 100)
        only_second_is_left(node, "checksum differs")


def test_unknown_version():
    with Node() as node:
        node.start_primed()
        node.checkpoint()
        node.checkpoint()
        node.kill(15)
        set_version(manifest(node, 1), 2)
        only_second_is_left(node, "format version 2 found, this program knows version 1")
        node.kill(15)
        set_version(os.path.join(node.store, "superblock"), 9)
        daemon_refuses(node, [node.store, "format version 9 found, this program knows version 1"])


def test_truncated_segment():
    with Node() as node:
        node.start_primed()
        node.checkpoint()
        node.kill(15)
        file = segments(node)[0]
        os.truncate(file, os.path.getsize(file) // 2)
        node.start()
        answer = node.ctl("verify")
        expect(answer.code == 1 and os.path.basename(file) in answer.out and
               "checkpoints lost: 1" in answer.out, f"verify: {answer.code} {answer.out}")
        bad = [guest for guest in ("p1", "p2")
               if node.ctl("restore", "1", "--guest", guest, "--to", "/dev/null").code]
        expect(len(bad) == 1, f"restores that fail: {bad}")
        node.refused("restore", "1", "--guest", bad[0], "--to", "/dev/null",
                     says=[os.path.basename(file)])
        node.checkpoint()
        check_images(node, (2,))


def test_flipped_bit_is_found_and_named():
    with Node() as node:
        node.start_primed()
        node.checkpoint()
        node.kill(15)
        file = segments(node)[0]
        node.start()
        # A page that the guest wrote again before the cut is part of no checkpoint.
        for place in range(3, 13):
            flip(file, os.path.getsize(file) * place // 16 | 1)
            answer = node.ctl("verify")
            if answer.code:
                break
            flip(file, os.path.getsize(file) * place // 16 | 1)
        expect(answer.code == 1, f"verify ended with {answer.code}: {answer.out}")
        expect(os.path.basename(file) in answer.out and "checkpoints lost: 1" in answer.out,
               answer.out)
        expect(node.ctl("-j", "verify").code == 1, "the same verdict with -j")
        bad = [guest for guest in ("p1", "p2")
               if node.ctl("restore", "1", "--guest", guest, "--to", "/dev/null").code]
        expect(len(bad) == 1, f"restores that fail: {bad}")
        node.refused("restore", "1", "--guest", bad[0], "--to", "/dev/null",
                     says=[os.path.basename(file)])
