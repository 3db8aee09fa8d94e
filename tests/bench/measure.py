"""What the benchmarks share: processes that are timed to the end, and the table of what they took."""

import os
import socket
import statistics
import sys
import time
from pathlib import Path

QUIET = [(os.POSIX_SPAWN_OPEN, fd, "/dev/null", os.O_WRONLY, 0) for fd in (1, 2)]


class Ended:
    def __init__(self, started, pid):
        _, status, usage = os.wait4(pid, 0)
        self.at = time.perf_counter()
        self.took = self.at - started
        self.status = os.waitstatus_to_exitcode(status)
        self.cpu = usage.ru_utime + usage.ru_stime


def spawn(command):
    return os.posix_spawnp(command[0], [str(word) for word in command], os.environ, file_actions=QUIET)


def run(command, status=0):
    started = time.perf_counter()
    ended = Ended(started, spawn(command))
    if ended.status != status:
        sys.exit(f"{' '.join(map(str, command))}: status {ended.status}, not {status}")
    return ended.took


def listener(port=0, backlog=1024):
    sock = socket.socket()
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    sock.bind(("127.0.0.1", port))
    sock.listen(backlog)
    return sock


def unused_port():
    with listener() as sock:
        return sock.getsockname()[1]


def side_by_side(times, **commands):
    """The medians of several commands, taken turn by turn so that what else the machine does hits all."""
    took = {name: [] for name in commands}
    for _ in range(times):
        for name, command in commands.items():
            took[name].append(run(command))
    return {name: statistics.median(values) for name, values in took.items()}


def ms(seconds):
    return f"{seconds * 1000:.1f} ms" if seconds < 1 else f"{seconds:.2f} s"


class Table:
    """What was measured, beside the goals; `measured` is the title of that column."""

    def __init__(self, measured):
        self.titles = ("what", measured, "goal", "met", "beside it")
        self.rows = []

    def add(self, what, goal, value, met=None, peers=""):
        self.rows.append((what, value, goal, "" if met is None else "yes" if met else "NO", peers))
        print(".", end="", file=sys.stderr, flush=True)

    def show(self):
        print(file=sys.stderr)
        rows = [self.titles, *self.rows]
        widths = [max(len(row[i]) for row in rows) for i in range(4)]
        for row in rows:
            print("  ".join(cell.ljust(width) for cell, width in zip(row, widths)) + "  " + row[4])


def asleep(pid):
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "S"


def await_sleep(pid):
    """Until the tool has looked and waits."""
    while not asleep(pid):
        time.sleep(0.001)
    time.sleep(0.02)
