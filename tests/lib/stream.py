"""A stream of requests to the app under test, from within its machine."""

import subprocess
import threading
from dataclasses import dataclass
from pathlib import Path

import processes

CLIENT = Path(__file__).resolve().parents[1] / "machine" / "client"


@dataclass(frozen=True)
class Request:
    asked: float  # CLOCK_MONOTONIC, which machine and host share
    answered: float
    status: int  # 0: no answer
    release: str  # which answered; or what went wrong

    def served(self, release=None):
        return self.status == 200 and release in (None, self.release)


class Stream:
    """Asks from the entry of a `with` block to its end; `requests` are those that have an end so far."""

    def __init__(self, machine, port, pause, path="/health"):
        self._path = path
        self._machine = machine
        self._port = port
        self._pause = pause
        self._changed = threading.Condition()
        self.requests = []

    def __enter__(self):
        self._machine.write({"/usr/local/lib/client": CLIENT.read_text()})
        self._client = self._machine.start(["/usr/local/lib/client", self._port, self._pause, self._path],
                                           stdout=subprocess.PIPE, text=True)
        self._reader = threading.Thread(target=self._read)
        self._reader.start()
        return self

    def __exit__(self, *_):
        processes.end(self._client)
        self._reader.join()
        processes.finish(self._client)

    def _read(self):
        for line in self._client.stdout:
            words = line.split()
            if len(words) < 4:  # cut short at the end
                break
            request = Request(float(words[0]), float(words[1]), int(words[2]), words[3])
            with self._changed:
                self.requests.append(request)
                self._changed.notify_all()

    def wait(self, wanted, since=0, timeout=60):
        """Waits for a request after the point `since` of the list that is as wanted; returns it."""
        position = since
        with self._changed:
            while True:
                while position < len(self.requests):
                    if wanted(self.requests[position]):
                        return self.requests[position]
                    position += 1
                if not self._changed.wait(timeout):
                    raise AssertionError("the stream of requests has stopped")
