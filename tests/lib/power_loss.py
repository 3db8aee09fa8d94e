"""tests/power-loss: deploys in a loop in a machine whose power is cut at random moments; what was acknowledged must be there."""

import argparse
import collections
import os
import random
import subprocess
import sys
import tempfile
import threading
import time
import uuid
from dataclasses import dataclass, field
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE)]

import acknowledged  # noqa: E402
import emulator  # noqa: E402
import package  # noqa: E402
import processes  # noqa: E402
import trees  # noqa: E402
from progress import Progress  # noqa: E402
from volatile_disk import VolatileDisk  # noqa: E402

SUITE = trees.SUITES[0]  # the one whose libraries this machine has
TOOLS = ("atomic-link", "rollback-link", "release-mark", "safe-deploy")
TOOLS_IF_THERE = ("release-prune",)
DISK_SIZE = 600 << 20  # sparse; mkfs treats smaller ones in ways of their own
MAKE = {"ext4": ["mkfs.ext4", "-q", "-F"], "xfs": ["mkfs.xfs", "-q", "-f"], "btrfs": ["mkfs.btrfs", "-q", "-f"]}
LONGEST = 6.0  # seconds from the beginning of the loop to the cut
LOG = trees.cache() / "logs" / f"power-loss-{os.getpid()}.log"

# The functions that make files durable, with success and no effect.
WITHOUT_SYNC = """
#define _GNU_SOURCE
#include <fcntl.h>
#include <unistd.h>
int fsync(int fd) { (void)fd; return 0; }
int fdatasync(int fd) { (void)fd; return 0; }
int syncfs(int fd) { (void)fd; return 0; }
void sync(void) {}
int sync_file_range(int fd, off64_t offset, off64_t count, unsigned int flags) {
  (void)fd, (void)offset, (void)count, (void)flags;
  return 0;
}
"""

EXPECTED = (trees.CommandFailed, emulator.Unavailable, emulator.Broken, OSError, subprocess.CalledProcessError)


@dataclass
class Figures:
    passed: int = 0
    failed: int = 0
    steps: int = 0
    unflushed: int = 0
    lost: int = 0
    phases: collections.Counter = field(default_factory=collections.Counter)
    during: collections.Counter = field(default_factory=collections.Counter)
    again: int = 0

    def __add__(self, other):
        return Figures(*(getattr(self, name) + getattr(other, name) for name in self.__dataclass_fields__))

    def text(self):
        return (f"{self.steps} steps acknowledged; {self.lost} of {self.unflushed} unflushed blocks lost; "
                f"cuts in phase {count(self.phases)}; "
                f"during {count(self.during)}; {self.again} cut again while they recovered")


def count(counter):
    return ", ".join(f"{name} {number}" for name, number in counter.most_common()) or "none"


class Series:
    """The cuts on one file system."""

    def __init__(self, file_system, parts, scratch, options, progress):
        self._file_system = file_system
        self._parts = parts
        self._beginning = None
        self._scratch = scratch
        self._options = options
        self._progress = progress
        self._random = random.Random(f"{options.seed} {file_system}")
        self._figures = Figures()
        self._disk = self._machine = self._app = None
        self._apps = 0

    def run(self):
        self.fresh_disk()
        try:
            for number in range(1, self._options.cuts + 1):
                self.round(number)
        finally:
            self.power_off()
            self.image.unlink()
        return self._figures

    @property
    def image(self):
        return self._scratch / f"{self._file_system}.img"

    def fresh_disk(self):
        with open(self.image, "wb") as image:
            image.truncate(DISK_SIZE)
        subprocess.run([*MAKE[self._file_system], self.image], check=True, stdout=subprocess.DEVNULL)
        self.boot()
        acknowledged.must(self._machine, self.mounting())
        self.new_app()

    def boot(self):
        socket = self._scratch / "disk"
        socket.unlink(missing_ok=True)
        arguments = (self._parts, self._file_system, socket, self._scratch / "console")
        if self._beginning is None:
            self._beginning = []
            if not self._options.cold:
                self._disk = VolatileDisk(self.image, socket, random.Random(), lambda: None)
                self._beginning = emulator.booted(*arguments, self._scratch / "booted")
                self._disk.close()
                socket.unlink()
        luck = random.Random(self._random.random())  # of its own, for it is asked by other threads
        self._disk = VolatileDisk(self.image, socket, luck, lambda: self._machine.kill())
        self._machine = emulator.Emulator(*arguments, self._beginning)

    def mounting(self):
        # What every boot has of its own, though this one may have begun as the one before.
        own = f"date -s @{time.time():.0f} && echo {uuid.uuid4()} > /run/boot && mount --bind /run/boot /proc/sys/kernel/random/boot_id"
        return f"{own} && load disk && mount -t {self._file_system} /dev/vda /disk"

    def power_off(self):
        if self._machine:
            self._machine.close()
            self._disk.close()
            self._machine = None

    def new_app(self):
        """From here on the deploys are of another app, whose first deploy is to come."""
        if self._app:
            acknowledged.must(self._machine, f"rm -rf {self._app.root} {self._app.root}-alone /disk/state/{self._app.name}")
        self._apps += 1
        self._app = acknowledged.App(f"app{self._apps}", self._random)
        self._app.set_up(self._machine)

    def round(self, number):
        name = f"{self._file_system} {number}"
        self._progress.begin(name)
        faults, steps = self.deploy_until_cut()
        loss, during = self._disk.loss, self._app.step.kind if self._app.step else "none"
        self.power_off()
        faults += self.look()
        figures = Figures(not faults, bool(faults), steps, loss.unflushed, loss.lost, collections.Counter([self._phase]),
                          collections.Counter([during]), self._again)
        self._figures += figures
        word = self._progress.colour(31, "FAIL") if faults else self._progress.colour(32, "ok  ")
        again = ", cut again while it recovered" if self._again else ""
        seconds = self._progress.end(name)
        self._progress.say(f"{word} {name}: {self._moment}, {steps} steps acknowledged, phase {self._phase}, during {during}, "
                           f"{loss.lost} of {loss.unflushed} unflushed blocks lost{again} ({seconds:.0f} s)")
        for fault in faults:
            self._progress.say(f"       {fault}")

    def deploy_until_cut(self):
        """Deploys until the power goes; returns what went wrong before, and the number of acknowledged steps."""
        disk, rng, steps = self._disk, self._random, 0
        after_steps = None
        timer = threading.Timer(rng.uniform(0.2, LONGEST), disk.cut)
        if rng.random() < 0.4:
            self._moment = f"after {timer.interval:.1f} s"
            timer.start()
        else:
            after_steps, requests = rng.randrange(8), rng.randint(1, 24)
            self._moment = f"at request {requests} after step {after_steps}"
        try:
            while True:
                if steps == after_steps:
                    disk.cut_at_request(requests)
                self._app.next_step(self._machine)
                steps += 1
        except emulator.PowerCut:
            return [], steps
        except (acknowledged.Failed, emulator.Broken) as error:
            disk.cut()
            return [str(error)], steps
        finally:
            timer.cancel()

    def look(self):
        """Boots what has survived, judges it and goes on with it; the machine is then ready for the next round. Now and then
        the power goes again before that."""
        faults, self._phase, self._again = [], None, 0
        while True:
            self.boot()
            try:
                self.look_and_recover(faults)
                break
            except emulator.PowerCut:
                self._again += 1
                self.power_off()
            except emulator.Broken as error:
                faults.append(str(error))
                self._phase = self._phase or "unknown"
                self.power_off()
                self.fresh_disk()
                return faults
        if faults or self._random.random() < 0.2:
            self.new_app()
        return faults

    def look_and_recover(self, faults):
        """Adds to `faults` what is wrong with the disk, and with what comes of it."""
        mounted = self._machine.run(self.mounting())
        if mounted.code:
            raise emulator.Broken(f"it cannot be mounted: {mounted.text()}; {self._machine.last_words()}")
        archive = self._machine.run("tar -c -C /disk -f - . 2> /tmp/errors").out
        if errors := self._machine.run("cat /tmp/errors").text():
            faults.append(f"not all can be read: {errors}")
        faults += self._app.judge(acknowledged.Survey(archive, self._app.name))
        self._phase = self._phase or self._app.known.phase
        try:
            self._app.set_up(self._machine)
            if self._random.random() < 0.2:
                self._disk.cut_at_request(self._random.randint(1, 12))
            faults += self._app.recover(self._machine)
            if self._app.known.phase != "probation":
                self._app.deploy(self._machine)
            self._disk.cut_at_request(None)
        except acknowledged.Failed as error:
            faults.append(str(error))
        if faults:
            self.keep_evidence(archive)

    def keep_evidence(self, archive):
        if self._options.evidence:
            folder = self._options.evidence
            folder.mkdir(parents=True, exist_ok=True)
            stem = f"{self._file_system}-{self._figures.passed + self._figures.failed + 1}"
            (folder / f"{stem}.tar").write_bytes(archive)
            (folder / f"{stem}.console").write_text(self._machine.last_words())


def make_parts(scratch, options, log, progress):
    """The kernel, and the initramfs with the tools of the package."""
    progress.begin("making the machine")
    if options.package:
        package.given[SUITE] = options.package.resolve()
    deb = package.deb(SUITE, log)
    trees.run(["dpkg-deb", "-x", deb, scratch / "package"], log)
    programs = scratch / "package/usr/bin"
    tools = [programs / name for name in TOOLS] + [programs / name for name in TOOLS_IF_THERE if (programs / name).exists()]
    files = {"etc/observe": acknowledged.OBSERVE.encode()}
    environment = ". /etc/observe\n"
    if options.without_sync:
        (scratch / "without_sync.c").write_text(WITHOUT_SYNC)
        trees.run(["gcc", "-shared", "-fPIC", "-O1", "-o", scratch / "without_sync.so", scratch / "without_sync.c"], log)
        files["lib/without_sync.so"] = (scratch / "without_sync.so").read_bytes()
        environment += "export LD_PRELOAD=/lib/without_sync.so\n"
    files["etc/profile"] = environment.encode()
    kernel = emulator.kernel(log)
    emulator.initramfs(scratch / "initramfs", kernel, tools, files, log)
    progress.end("making the machine")
    return emulator.Parts(kernel, scratch / "initramfs")


def parse_arguments():
    parser = argparse.ArgumentParser(
        prog="tests/power-loss",
        description="Deploys in a loop in an emulated machine and cuts its power at random moments: what a disk may lose then "
        "is lost. What was acknowledged before must be there afterwards, all links must name complete releases, and the next "
        "deploy must work. Takes some ten seconds a cut. Leaves nothing behind but what is kept for the next time in " + str(trees.cache()))
    parser.add_argument("--cuts", type=int, default=40, metavar="N", help="so many on each file system (default: 40)")
    parser.add_argument("--fs", default=",".join(emulator.FILE_SYSTEMS), metavar="NAMES", help="file systems (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=time.time_ns() % 1_000_000, metavar="N",
                        help="of an earlier run, to do the same again as far as time allows")
    parser.add_argument("--package", type=Path, metavar="DEB", help="test this package, not the one of the source tree")
    parser.add_argument("--without-sync", action="store_true",
                        help="with fsync and its like taken from the tools: shows that the loss is found, and fails if it is not")
    parser.add_argument("--cold", action="store_true",
                        help="boot the kernel after each cut: else its state after one boot, before the disk is looked at, is loaded")
    parser.add_argument("--evidence", type=Path, metavar="DIRECTORY", help="keep there what was on the disk after a cut that failed")
    options = parser.parse_args()
    options.file_systems = options.fs.split(",")
    for name in options.file_systems:
        if name not in emulator.FILE_SYSTEMS:
            parser.error(f"--fs: {name} is not one of {', '.join(emulator.FILE_SYSTEMS)}")
    if options.cuts < 1:
        parser.error("--cuts: at least 1")
    return options


def main():
    options = parse_arguments()
    LOG.parent.mkdir(parents=True, exist_ok=True)
    progress = Progress()
    total = Figures()
    progress.say(f"--seed {options.seed}")
    with processes.tidy(), tempfile.TemporaryDirectory(prefix="safe-deploy-power-") as scratch, open(LOG, "w", encoding="utf-8") as log:
        try:
            parts = make_parts(Path(scratch), options, log, progress)
            for name in options.file_systems:
                figures = Series(name, parts, Path(scratch), options, progress).run()
                progress.say(f"{name}: {figures.passed} passed, {figures.failed} failed; {figures.text()}")
                total += figures
        except EXPECTED as error:
            raise SystemExit(f"{error}\nthe log: {LOG}") from None
    progress.close()
    LOG.unlink()
    if len(options.file_systems) > 1:
        print(total.text())
    print(f"{total.passed} passed, {total.failed} failed")
    if options.without_sync:
        print("the loss is found" if total.failed else "the loss is not found, though nothing was synced")
        raise SystemExit(total.failed == 0)
    raise SystemExit(total.failed > 0)


if __name__ == "__main__":
    main()
