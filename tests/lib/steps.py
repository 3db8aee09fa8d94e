"""Runs steps that depend on each other side by side, with a log for each."""

import threading
import time
import traceback
from concurrent.futures import FIRST_COMPLETED, ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from pathlib import Path
from typing import Callable

import processes


@dataclass
class Counts:
    """What a step counted."""

    passed: int = 0
    failed: int = 0
    skipped: int = 0

    def __add__(self, other):
        return Counts(self.passed + other.passed, self.failed + other.failed, self.skipped + other.skipped)

    def __str__(self):
        skipped = f", {self.skipped} skipped" if self.skipped else ""
        return f"{self.passed} passed, {self.failed} failed{skipped}"


@dataclass
class Step:
    """A step: `run(log)` raises where it fails, or returns the Counts of what it ran (None: the step itself)."""

    name: str
    run: Callable
    after: tuple = ()
    what: str = ""
    nice: int = 0  # how much it leaves the processors to the others
    log: Path = field(default=None, init=False)


class Steps:
    def __init__(self, steps, logs, progress):
        self._steps = steps
        self._progress = progress
        self._ended = {}  # name -> whether it went well
        self._lock = threading.Lock()
        self.counts = Counts()
        self.failures = []  # (step, why)
        logs.mkdir(parents=True, exist_ok=True)
        for step in steps:
            step.log = logs / f"{step.name}.log"
            step.log.unlink(missing_ok=True)

    def run(self, at_once):
        """Runs all, so many at once, the first ones first; returns whether all went well."""
        waiting = list(self._steps)
        working = set()
        with ThreadPoolExecutor(at_once) as pool:
            try:
                while waiting or working:
                    for step in [each for each in waiting if self._ready(each)]:
                        if len(working) == at_once:
                            break
                        waiting.remove(step)
                        working.add(pool.submit(self._run, step))
                    waiting = [step for step in waiting if not self._given_up(step)]
                    if working:
                        done, working = wait(working, return_when=FIRST_COMPLETED)
                        for each in done:
                            each.result()
            except BaseException:
                processes.end_all()
                raise
        return not self.failures

    def _ready(self, step):
        return all(self._ended.get(name) for name in step.after)

    def _given_up(self, step):
        """Whether the step can't be run since one before it failed."""
        causes = [name for name in step.after if self._ended.get(name) is False]
        if causes:
            self._ended[step.name] = False
            self._progress.say(f"---- {step.name}: not run, for {' and '.join(causes)} failed")
        return bool(causes)

    def _run(self, step):
        self._progress.begin(step.name)
        failure, counts = None, None
        try:
            with open(step.log, "w", encoding="utf-8") as log, processes.polite(step.nice):
                counts = step.run(log)
        except Exception as error:
            failure = str(error) or type(error).__name__
            if not isinstance(error, StepFailed):
                with open(step.log, "a", encoding="utf-8") as log:
                    traceback.print_exc(file=log)
        if processes.ending():
            return
        if counts is None:
            counts = Counts(failed=1) if failure else Counts(passed=1)
        elif counts.failed and not failure:
            failure = str(counts)
        with self._lock:
            self.counts += counts
            self._ended[step.name] = failure is None
            if failure:
                self.failures.append((step, failure))
        self._tell(step, counts, failure)

    def _tell(self, step, counts, failure):
        progress = self._progress
        seconds = progress.end(step.name)
        several = f": {counts}" if counts.passed + counts.failed + counts.skipped > 1 else ""
        if failure is None:
            progress.say(f"{progress.colour(32, 'ok  ')} {step.name}{several} ({seconds:.0f} s)")
        else:
            lines = step.log.read_text(errors="replace").splitlines()[-30:]
            progress.say("\n".join([f"{progress.colour(31, 'FAIL')} {step.name} ({seconds:.0f} s): {failure}",
                                    *(f"  | {line}" for line in lines), f"  the log: {step.log}"]))


class StepFailed(Exception):
    """Why a step failed, in a sentence; the details are in its log."""
