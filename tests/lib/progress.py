"""What is told while the tests run: on a terminal one live line, elsewhere only what has changed."""

import os
import sys
import threading
import time


class Progress:
    def __init__(self, stream=sys.stdout):
        self._stream = stream
        self._terminal = stream.isatty() and os.environ.get("TERM") != "dumb"
        self._lock = threading.RLock()
        self._working = {}  # what is at work, and since when
        self._done = threading.Event()
        if self._terminal:
            threading.Thread(target=self._tick, daemon=True).start()

    def say(self, text=""):
        with self._lock:
            self._wipe()
            print(text, file=self._stream, flush=True)
            self._show()

    def begin(self, name):
        with self._lock:
            self._working[name] = time.monotonic()
            self._wipe()
            self._show()

    def end(self, name, text=None):
        """`name` is over; `text` tells how. Returns the seconds that it took."""
        with self._lock:
            seconds = time.monotonic() - self._working.pop(name)
            if text is not None:
                self.say(text)
            else:
                self._wipe()
                self._show()
        return seconds

    def close(self):
        self._done.set()
        with self._lock:
            self._wipe()
            self._terminal = False

    def colour(self, code, text):
        if not self._terminal or "NO_COLOR" in os.environ:
            return text
        return f"\033[{code}m{text}\033[0m"

    def _tick(self):
        while not self._done.wait(0.5):
            with self._lock:
                self._wipe()
                self._show()

    def _wipe(self):
        if self._terminal:
            self._stream.write("\r\033[K")

    def _show(self):
        if not self._terminal or not self._working:
            return
        now = time.monotonic()
        line = " · ".join(f"{name} {now - since:.0f}s" for name, since in self._working.items())
        columns = os.get_terminal_size(self._stream.fileno()).columns
        self._stream.write(line[: columns - 1])
        self._stream.flush()
