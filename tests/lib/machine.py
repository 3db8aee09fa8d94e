"""A Debian machine with a real systemd, booted in a container from a tree and thrown away afterwards."""

import io
import itertools
import os
import queue
import select
import signal
import socket
import subprocess
import tarfile
import threading
import time
from dataclasses import dataclass
from pathlib import Path

import processes

KEEPER = Path(__file__).resolve().parent / "keeper"
BOOT_TIMEOUT = 60
ENVIRONMENT = ["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "HOME=/root", "LANG=C.UTF-8"]

_numbers = itertools.count(1)


class BootFailed(Exception):
    pass


@dataclass
class Finished:
    """A command that has ended."""

    command: str
    code: int
    out: str
    err: str
    seconds: float

    def __str__(self):
        return f"`{self.command}` exited with {self.code}\nstdout: {self.out.strip()}\nstderr: {self.err.strip()}"


class Machine:
    """Booted on entry to a `with` block, gone at its end."""

    def __init__(self, tree, console):
        """`tree` as trees.py makes them; `console` is an open file that gets what the machine prints."""
        self._tree = tree
        self._console = console
        self.name = f"safe-deploy-test-{os.getpid()}-{next(_numbers)}"

    def __enter__(self):
        self._notify = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC)
        self._notify.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)
        self._notify.bind(f"\0{self.name}")
        self._ready = queue.Queue()
        threading.Thread(target=self._read_notifications, daemon=True).start()
        # Not one of processes.start(): it tidies up when its standard input ends, which close() sees to.
        self._keeper = subprocess.Popen(
            [KEEPER, self.name, ":".join(map(str, self._tree)), f"@{self.name}"], start_new_session=True,
            stdin=subprocess.PIPE, stdout=self._console, stderr=self._console, text=True)
        try:
            self.boot()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        self._keeper.stdin.close()
        self._keeper.wait()
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as end:
            end.sendto(b"the end", f"\0{self.name}")

    def boot(self):
        """Boots, from the disk as it is."""
        while not self._ready.empty():  # systemd 257 says it twice
            self._ready.get()
        self._keeper.stdin.write("boot\n")
        self._keeper.stdin.flush()
        self._nspawn = self._wait_until_ready()
        (self._leader,) = map(int, Path(f"/proc/{self._nspawn}/task/{self._nspawn}/children").read_text().split())

    def _read_notifications(self):
        """Reads them as long as there is a machine: systemd waits for room where nobody does."""
        while True:
            text, control, _, _ = self._notify.recvmsg(4096, 1024)
            lines = text.split(b"\n")
            if b"READY=1" in lines:
                credentials = control[0][2]  # struct ucred, its pid translated to our namespace
                self._ready.put(int.from_bytes(credentials[:4], "little"))
            if lines == [b"the end"]:
                return self._notify.close()

    def _wait_until_ready(self):
        """Waits until the machine says that it has booted; the pid of the nspawn that says so for it."""
        deadline = time.monotonic() + BOOT_TIMEOUT
        while time.monotonic() < deadline and self._keeper.poll() is None and not processes.ending():
            try:
                return self._ready.get(timeout=0.2)
            except queue.Empty:
                continue
        raise BootFailed("the machine did not boot")

    def crash(self):
        """Ends everything in the machine at once, as if it had been switched off. Its disk stays for boot()."""
        leader, nspawn = os.pidfd_open(self._leader), os.pidfd_open(self._nspawn)
        signal.pidfd_send_signal(leader, signal.SIGKILL)
        select.select([nspawn], [], [])
        os.close(leader)
        os.close(nspawn)

    def _enter(self, command):
        words = ["sh", "-c", command] if isinstance(command, str) else [str(word) for word in command]
        return ["nsenter", "--target", str(self._leader), "--all", "env", "--chdir=/", "-i", *ENVIRONMENT, *words]

    def start(self, command, **options):
        """Starts a command in the machine as root (subprocess.Popen); a string is for the shell."""
        options = {"stdin": subprocess.DEVNULL, "stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL, **options}
        return processes.start(self._enter(command), **options)

    def run(self, command, input=None, timeout=120):
        """Runs a command in the machine as root to its end."""
        begin = time.monotonic()
        process = self.start(command, stdin=subprocess.PIPE if input is not None else subprocess.DEVNULL,
                             stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, errors="backslashreplace")
        text = command if isinstance(command, str) else " ".join(map(str, command))
        try:
            out, err = processes.finish(process, input, timeout)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"`{text}` did not end within {timeout} s") from None
        return Finished(text, process.returncode, out, err, time.monotonic() - begin)

    def must(self, command, **options):
        """Runs a command that has to succeed; its stdout."""
        finished = self.run(command, **options)
        if finished.code != 0:
            raise AssertionError(str(finished))
        return finished.out

    def until(self, condition, timeout=30):
        """Waits until a shell command in the machine succeeds."""
        self.must(f"for _ in $(seq {timeout * 50}); do if {condition}; then exit 0; fi; sleep 0.02; done >&2; "
                  f"echo 'waited {timeout} s for this to become true' >&2; exit 1", timeout=timeout + 60)

    def write(self, files):
        """Writes files, {path: text}; what begins with #! becomes executable."""
        archive = io.BytesIO()
        with tarfile.open(fileobj=archive, mode="w") as tar:
            for path, text in files.items():
                content = text.encode() if isinstance(text, str) else text
                info = tarfile.TarInfo(str(path).lstrip("/"))
                info.size = len(content)
                info.mtime = time.time()
                info.mode = 0o755 if content.startswith(b"#!") else 0o644
                tar.addfile(info, io.BytesIO(content))
        process = self.start(["tar", "--extract", "--directory=/", "--no-overwrite-dir", "--keep-directory-symlink"],
                             stdin=subprocess.PIPE, stderr=subprocess.PIPE)
        _, error = processes.finish(process, archive.getvalue())
        if process.returncode != 0:
            raise AssertionError(f"cannot write {', '.join(map(str, files))}: {error.decode()}")

    def journal(self, *options):
        return self.must(["journalctl", "--no-pager", "--output=short-precise", *options])

    def keep_evidence(self, folder):
        """Writes what a person needs who looks for the cause of a failure."""
        (folder / "journal").write_text(self.run("journalctl --no-pager --output=short-precise").out)
        (folder / "state").write_text(self.run(
            "systemctl status --no-pager --full --lines=0 '*demo*' 'safe-deploy*'; systemctl list-jobs; ls -lR /srv /run/safe-deploy;"
            "find /var/lib/safe-deploy -type f -exec tail -n 100 {} +; ss -ltnp; df -h").out)
