# SPDX-License-Identifier: GPL-2.0-only
"""One emulated node: a QEMU process that boots Xen and a Dom0."""
import os
import re
import shutil
import subprocess

# SMAP kills a PV Dom0 in its first instructions; RDTSCP and AVX break PVH
# guests under QEMU's emulated SVM. Its crc32 instruction takes twice the time of a
# table. Xen's lazy FPU switching loses SSE registers
# between domains under emulation, hence eager-fpu.
CPU = ("max,-smap,-smep,-pku,-la57,-rdtscp,-sse4.2,-avx,-avx2,-fma,-f16c,-avx512f,-avx-vnni,-vaes,"
       "-vpclmulqdq")
XEN_ARGS = ("dom0_mem={dom0}M,max:{dom0}M dom0_max_vcpus=1 dom0_vcpus_pin loglvl=warning "
            "guest_loglvl=warning console=com1 com1=115200,8n1 noreboot sched=credit spec-ctrl=no,eager-fpu xpti=off")
DOM0_ARGS = "console=hvc0 mitigations=off net.ifnames=0 raid=noautodetect loglevel=5 rig_node={node} {extra}"

# What must not be on a console of Xen, a Dom0 or a guest.
BAD_LINE = re.compile(
    r"\bBUG\b|WARNING:|\bOops\b|Kernel panic|Panic on CPU|general protection fault|segfault at|"
    r"\(XEN\).*(Assertion|WARN|FATAL|[Cc]rash|Insn mismatch|Xen call trace)|"
    r"Call Trace:|possible circular locking|possible recursive locking|inconsistent lock state|"
    r"suspicious RCU usage|soft lockup|hung_task|blocked for more than|detected stalls|"
    r"self-detected stall|KASAN|kmemleak:")


class Emulator:
    """Lives in its own folder: in/ and out/ are shared with its Dom0 by 9p."""

    def __init__(self, folder, node, images, memory_mib, store_mib, small_mib, wire=None):
        self.folder = folder
        self.node = node
        self.images = images
        self.memory_mib = memory_mib
        self.disks = [("store", store_mib), ("small", small_mib)]
        self.wire = wire      # the socket of the wire between nodes, eth0 of this one
        self.process = None
        shutil.rmtree(folder, ignore_errors=True)
        for name in ("in", "out"):
            os.makedirs(self.path(name))

    def path(self, *parts):
        return os.path.join(self.folder, *parts)

    def start(self, shell=False):
        """Boots, with empty disks, also after a stop(); with shell, Dom0's console is this terminal."""
        command = ["qemu-system-x86_64", "-M", "q35", "-accel", "tcg,thread=multi,tb-size=512",
                   "-cpu", CPU, "-smp", "2", "-m", str(self.memory_mib), "-nodefaults", "-no-reboot",
                   "-display", "none", "-kernel", f"{self.images['xen']}/xen.elf",
                   "-append", XEN_ARGS.format(dom0=1024),
                   "-initrd", self._modules("rig-shell" if shell else "")]
        command += self._drive(f"{self.images['dom0']}/dom0.img", "snapshot=on")
        for name, mib in self.disks:
            with open(self.path(name + ".disk"), "wb") as disk:
                disk.truncate(mib << 20)
            command += self._drive(self.path(name + ".disk"), "discard=unmap")
        for tag, mode in (("in", "on"), ("out", "off")):
            command += ["-virtfs", f"local,path={self.path(tag)},mount_tag={tag},"
                                   f"security_model=none,multidevs=remap,readonly={mode}"]
        if self.wire:
            mac = f"52:54:00:00:00:{self.node:02x}"
            command += ["-netdev", f"stream,id=wire,server=off,addr.type=unix,addr.path={self.wire}",
                        "-device", f"virtio-net-pci,netdev=wire,mac={mac},host_mtu=1600",
                        # The host's services, as 10.0.2.2; not on the wire.
                        "-netdev", "user,id=host", "-device", "virtio-net-pci,netdev=host"]
        if shell:
            command += ["-serial", "mon:stdio"]
        else:
            command += ["-monitor", "none", "-serial", "chardev:console",
                        "-chardev", f"file,id=console,path={self.path('console')},append=on"]
        # Whatever happens to us, the emulator goes with us.
        self.process = subprocess.Popen(
            ["setpriv", "--pdeathsig", "KILL"] + command,
            env=dict(os.environ, LD_PRELOAD=self.images["vmrun_mend"]),
            stdin=None if shell else subprocess.DEVNULL, start_new_session=not shell)
        with open(self.path("pid"), "w", encoding="utf-8") as stream:
            stream.write(f"{self.process.pid}\n")

    def stop(self):
        if self.process and self.process.poll() is None:
            self.process.kill()
        if self.process:
            self.process.wait()
        for name, _ in self.disks:
            if os.path.exists(self.path(name + ".disk")):
                os.unlink(self.path(name + ".disk"))

    def running(self):
        return self.process.poll() is None

    def booted(self):
        return os.path.exists(self.path("out", "booted"))

    def finished(self):
        return os.path.exists(self.path("out", "finished"))

    def died(self):
        """The hypervisor or Dom0's kernel has given up (it then just hangs)."""
        return any(re.search("Kernel panic|Panic on CPU", line) for line in self._console())

    def bad_lines(self, allowed):
        """'console: line' for each that a healthy run has not."""
        sources = [self.path("console"), self.path("out", "dmesg")]
        consoles = self.path("out", "consoles")
        if os.path.isdir(consoles):
            sources += sorted(os.path.join(consoles, name) for name in os.listdir(consoles))
        return [f"{os.path.basename(source)}: {line.strip()}"
                for source in sources for line in lines_of(source)
                if BAD_LINE.search(line) and not (allowed and re.search(allowed, line))]

    @staticmethod
    def spoilt(folder):
        """Guests that ended at an address of Xen's own: no guest gets there but by a fault of the
        emulated processor (Documentation/testing.rst)."""
        console = lines_of(os.path.join(folder, "console"))
        return [f"{line.strip()} {dump.strip()}"
                for i, line in enumerate(console) if re.search(r"\(XEN\) d[1-9]\d*v\d+ Triple fault", line)
                for dump in console[i:i + 12] if re.search(r"\(XEN\) RIP: .*\[<ffff82d0", dump)]

    def _console(self):
        return lines_of(self.path("console"))

    def _modules(self, extra):
        dom0 = self.images["dom0"]
        arguments = DOM0_ARGS.format(node=self.node, extra=extra)
        return f"{dom0}/vmlinux {arguments},{dom0}/initrd.img"

    @staticmethod
    def _drive(path, options):
        return ["-drive", f"file={path},if=virtio,format=raw,cache=unsafe,{options}"]


def lines_of(path):
    if not os.path.exists(path):
        return []
    with open(path, encoding="utf-8", errors="replace") as stream:
        return stream.read().splitlines()
