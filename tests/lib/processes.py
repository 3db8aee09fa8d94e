"""The processes that the tests start, so that all of them can be ended and no other."""

import os
import signal
import subprocess
import threading
from contextlib import contextmanager

_running = set()
_lock = threading.Lock()
_ending = False


class Ended(Exception):
    """The tests were told to end."""


_thread = threading.local()

# Lowers the priority of a command: also that of its session, which is what counts where the kernel shares the processors
# out among sessions first (autogroups, sched(7)).
POLITELY = 'echo "$0" 2> /dev/null > /proc/self/autogroup; exec nice -n "$0" "$@"'


@contextmanager
def polite(nice):
    """What this thread starts leaves the processors to others (nice(1)): tests that look at times run beside it."""
    before, _thread.nice = getattr(_thread, "nice", 0), nice
    try:
        yield
    finally:
        _thread.nice = before


def start(command, **options):
    """subprocess.Popen in a session of its own: a Ctrl-C at the terminal is for the harness alone."""
    if nice := getattr(_thread, "nice", 0):
        command = ["/bin/sh", "-c", POLITELY, str(nice), *map(str, command)]
    with _lock:
        if _ending:
            raise Ended
        process = subprocess.Popen(command, start_new_session=True, **options)
        _running.add(process)
    return process


def finish(process, input=None, timeout=None):
    """Waits for a process of start(); returns its stdout and stderr (None where they are no pipes)."""
    try:
        return process.communicate(input, timeout)
    except BaseException:
        end(process)
        raise
    finally:
        with _lock:
            _running.discard(process)


def end(process):
    """Ends a process and those that it started (its group)."""
    _signal(process, signal.SIGTERM)
    try:
        process.wait(3)
    except subprocess.TimeoutExpired:
        _signal(process, signal.SIGKILL)
        process.wait()


def _signal(process, number):
    if process.poll() is None:  # so the id is still its own
        os.killpg(process.pid, number)


@contextmanager
def tidy():
    """Makes SIGTERM and SIGHUP like Ctrl-C, and ends what is still running at the end of the block."""

    def stop(number, _frame):
        # Once is enough: the tidying up is not to be interrupted.
        for each in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(each, signal.SIG_IGN)
        raise SystemExit(128 + number)

    for each in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(each, stop)
    try:
        yield
    finally:
        end_all()


def ending():
    return _ending


def end_all():
    global _ending
    with _lock:
        _ending = True
        left = list(_running)
    for process in left:
        _signal(process, signal.SIGTERM)
    for process in left:
        end(process)
