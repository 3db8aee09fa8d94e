"""A machine that can lose its power: QEMU without KVM, Debian's kernel, and a few programs in its memory."""

import json
import os
import re
import select
import shutil
import socket
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

import processes
import trees
import volatile_disk

METAPACKAGE = "linux-image-cloud-amd64"
MODULES = {"boot": ["virtio_pci", "virtio_console"], "disk": ["virtio_blk"]}  # besides that of the file system
FILE_SYSTEMS = ("ext4", "xfs", "btrfs")
BOOT_TIMEOUT = 180  # emulated, on a busy machine

# Reads commands, a line each, from a virtio port; answers each with its exit code, the length of what it printed, and that.
INIT = r"""#!/bin/busybox sh
/bin/busybox --install -s /bin
mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t devtmpfs devtmpfs /dev
load() { for module in $(cat /modules/order-$1); do insmod /modules/$module || lsmod | grep -q "^${module%.ko} "; done; }
load boot
load $file_system
. /etc/profile
set -- /dev/vport*p1
exec 3<> "$1"
while :; do
  read -r line <&3 || continue # the other side is not connected yet
  (eval "$line") < /dev/null > /tmp/reply 2>&1 3>&-
  code=$?
  { echo "$code $(stat -c %s /tmp/reply)"; cat /tmp/reply; } >&3
done
"""


class Unavailable(Exception):
    """What the machine is made of cannot be had here."""


class PowerCut(Exception):
    """The machine has lost its power."""


class Broken(Exception):
    """The machine does not work, and not for want of power."""


@dataclass
class Reply:
    code: int
    out: bytes

    def text(self):
        return self.out.decode(errors="replace").strip()


def kernel(log):
    """The directory with Debian's kernel of this suite (`vmlinuz`) and the modules that are needed, from its archive."""
    depends = subprocess.run(["apt-cache", "depends", "--important", METAPACKAGE], capture_output=True, text=True, check=False)
    package = re.search(r"Depends: (linux-image-\S+)", depends.stdout)
    if not package:
        raise Unavailable(f"apt knows no {METAPACKAGE}: {depends.stderr.strip() or 'try apt-get update'}")
    fetch = 'cd "$1" && { apt-get download "$2" || { apt-get update && apt-get download "$2"; }; } && dpkg-deb -x ./*.deb x'
    with trees.entry("kernel", f"{package[1]}-{trees.digest(repr(MODULES), *FILE_SYSTEMS)}") as (path, aside):
        if aside:
            trees.run(["sh", "-c", fetch, "fetch", aside, package[1]], log)
            (image,) = (aside / "x/boot").glob("vmlinuz-*")
            image.rename(aside / "vmlinuz")
            _pick_modules(aside / "x/lib/modules", aside / "modules")
            shutil.rmtree(aside / "x")
            for archive in aside.glob("*.deb"):
                archive.unlink()
    return path


def _pick_modules(source, to):
    """Copies the modules that are needed, with `order-*`: what is to be loaded first comes first."""
    available = {path.stem.replace("-", "_"): path for path in source.rglob("*.ko")}
    to.mkdir()

    def with_needed(name):
        if name not in available:  # built in
            return []
        content = available[name].read_bytes()
        (to / available[name].name).write_bytes(content)
        needed = re.search(rb"\0depends=([^\0]*)", content)[1].decode().replace("-", "_").split(",")
        return [*(each for other in needed for each in with_needed(other)), available[name].name]

    for purpose, names in {**MODULES, **{name: [name] for name in FILE_SYSTEMS}}.items():
        order = dict.fromkeys(each for name in names for each in with_needed(name))
        (to / f"order-{purpose}").write_text("".join(f"{name}\n" for name in order))


def initramfs(to, kernel_path, programs, files, log):
    """Makes the archive `to` with busybox, the programs with the libraries that they need, and files: {path inside: content}."""
    root = to.with_suffix(".tree")
    for name in ("bin", "dev", "proc", "sys", "tmp", "run", "disk", "etc/safe-deploy"):
        (root / name).mkdir(parents=True)
    shutil.copy("/bin/busybox", root / "bin")
    shutil.copytree(kernel_path / "modules", root / "modules")
    for program in programs:
        shutil.copy(program, root / "bin")
        for library in _libraries(program):
            copy = root / library.lstrip("/")
            copy.parent.mkdir(parents=True, exist_ok=True)
            if not copy.exists():
                shutil.copy(library, copy)
    for name, content in {"init": INIT.encode(), **files}.items():
        (root / name).write_bytes(content)
        (root / name).chmod(0o755)
    trees.run(["sh", "-c", 'cd "$1" && find . | cpio --quiet -o -H newc > "$2"', "archive", root, to], log)
    shutil.rmtree(root)


def _libraries(program):
    found = subprocess.run(["ldd", program], capture_output=True, text=True, check=True).stdout
    if missing := re.search(r"(\S+) => not found", found):
        raise Unavailable(f"{program.name} needs {missing[1]}, which is not on this machine: is it a package for another Debian?")
    return re.findall(r"(/\S+) \(0x", found)


@dataclass
class Parts:
    """What the machine begins with."""

    kernel: Path
    initramfs: Path


def booted(parts, file_system, disk_socket, console, to):
    """Boots the machine once, and writes the file `to`: the options that make another one begin where this one is, which has
    not looked at its disk yet."""
    monitor = to.with_suffix(".monitor")
    machine = Emulator(parts, file_system, disk_socket, console, ["-qmp", f"unix:{monitor},server=on,wait=off"])
    try:
        machine.run("true")
        with socket.socket(socket.AF_UNIX) as connection:
            connection.connect(str(monitor))
            talk = connection.makefile("rw")

            def ask(command, **arguments):
                talk.write(json.dumps({"execute": command, "arguments": arguments}) + "\n")
                talk.flush()
                while True:
                    answer = json.loads(talk.readline())
                    if "error" in answer:
                        raise Broken(f"{command}: {answer['error']}")
                    if "return" in answer:
                        return answer["return"]

            ask("qmp_capabilities")
            ask("migrate", uri=f"exec:cat > {to}")
            while (status := ask("query-migrate").get("status")) != "completed":
                if status in ("failed", "cancelled"):
                    raise Broken(f"the machine's state cannot be written: {status}")
                time.sleep(0.05)
    finally:
        machine.close()
    return ["-incoming", f"exec:cat {to}"]


class Emulator:
    """One life of the machine, from its start to the loss of its power."""

    def __init__(self, parts, file_system, disk_socket, console, options=()):
        self._console = console
        self._unread = b""
        self._killed = False
        self._errors = open(console.with_suffix(".errors"), "wb")
        self._process = processes.start(
            ["nice", "qemu-system-x86_64", "-accel", "tcg", "-m", "256", "-smp", "1", "-nodefaults", "-no-user-config",
             "-no-reboot", "-display", "none", "-kernel", parts.kernel / "vmlinuz", "-initrd", parts.initramfs,
             "-append", f"console=ttyS0 quiet panic=-1 mitigations=off file_system={file_system}", "-serial", f"file:{console}",
             "-drive", f"if=none,id=disk,format=raw,cache=writeback,file=nbd+unix:///?socket={disk_socket}",
             "-device", f"virtio-blk-pci,drive=disk,write-cache=on,physical_block_size={volatile_disk.BLOCK}",
             "-chardev", "stdio,id=shell,signal=off", "-device", "virtio-serial-pci",
             "-device", "virtserialport,chardev=shell,nr=1", *options],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self._errors, bufsize=0)

    def kill(self):
        """May be called by any thread."""
        self._killed = True
        self._process.kill()

    def close(self):
        self.kill()
        processes.finish(self._process)
        self._errors.close()

    def run(self, command, timeout=BOOT_TIMEOUT):
        """Runs a line of shell in the machine. Raises PowerCut where it has none left before the answer."""
        deadline = time.monotonic() + timeout
        try:
            self._process.stdin.write(command.encode() + b"\n")
        except BrokenPipeError:
            pass  # what was answered before is still to be read
        while b"\n" not in self._unread:
            self._read(deadline)
        head, self._unread = self._unread.split(b"\n", 1)
        try:
            code, size = map(int, head.split())
        except ValueError:
            raise Broken(f"the machine says {head[:200]!r}; {self.last_words()}") from None
        while len(self._unread) < size:
            self._read(deadline)
        out, self._unread = self._unread[:size], self._unread[size:]
        return Reply(code, out)

    def _read(self, deadline):
        stdout = self._process.stdout.fileno()
        ready, _, _ = select.select([stdout], [], [], max(0, deadline - time.monotonic()))
        if not ready:
            raise Broken(f"the machine does not answer; {self.last_words()}")
        more = os.read(stdout, 1 << 16)
        if not more and not self._killed:
            raise Broken(f"the machine has ended; {self.last_words()}")
        if not more:
            raise PowerCut
        self._unread += more

    def last_words(self):
        files = [self._console, self._console.with_suffix(".errors")]
        lines = [line for path in files if path.exists() for line in path.read_text(errors="replace").splitlines()]
        return "its console: " + " | ".join(lines[-8:])
