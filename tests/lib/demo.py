"""tests/demo: a good and a bad deploy under a stream of requests, told as a timeline."""

import argparse
import json
import os
import sys
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent / "machine")]

import package  # noqa: E402
import processes  # noqa: E402
import trees  # noqa: E402
from app import App, equal  # noqa: E402
from machine import BootFailed, Machine  # noqa: E402
from progress import Progress  # noqa: E402
from stream import Stream  # noqa: E402

PAUSE = 0.005  # between two requests
STEADY = 100  # so many answers are seen before and after a deploy
LOG = trees.cache() / "logs" / f"demo-{os.getpid()}.log"  # two may run side by side


# What goes wrong when a command or the machine does, and nothing in here.
EXPECTED = (trees.CommandFailed, BootFailed, AssertionError)


class DemoFailed(Exception):
    def __str__(self):
        name, error = self.args
        tail = "\n".join(f"  | {line}" for line in LOG.read_text(errors="replace").splitlines()[-20:])
        return f"{name}: failed\n{tail}\n{error}\nthe log: {LOG}"


class Demo:
    def __init__(self, progress):
        self.progress = progress

    def phase(self, name, function, *arguments):
        """Does something that takes a while, and shows that it does."""
        self.progress.begin(name)
        try:
            result = function(*arguments)
        except EXPECTED as error:
            self.progress.end(name)
            raise DemoFailed(name, error) from None
        seconds = self.progress.end(name)
        self.progress.say(f"{name} ... {seconds:.1f} s")
        return result

    def run(self, suite, log):
        say = self.progress.say
        package_path = self.phase(f"building the package for {suite}", package.deb, suite, log)
        tree = self.phase(f"making a bare {suite}", trees.base, suite, log)
        machine = Machine(tree, log)
        self.phase("booting it", machine.__enter__)
        with_machine(machine, lambda: self.show(machine, package_path, say))

    def show(self, machine, package_path, say):
        self.phase("installing the package in it", install, machine, package_path)
        app = App(machine)
        self.phase("starting a service, release 1, and `safe-deploy enable demo`", app.running, "1")
        system = machine.must(". /etc/os-release; echo $PRETTY_NAME, $(systemctl --version | head -n 1)").strip()
        say(f"\n{system}; requests to the service every {PAUSE * 1000:.0f} ms or so, all the while\n")
        with Stream(machine, app.port, PAUSE) as stream:
            self.deploy(app, stream, "2", "healthy", "a good release", code=0)
            self.deploy(app, stream, "3", "status 503", "a bad release: it answers 503", code=3)
            equal("the release that runs in the end", app.link(), "2")
        say("Where to look, on the machine where it happens:\n")
        for command in ("safe-deploy status demo", "release-mark --app demo --list",
                        "journalctl --unit=safe-deploy@demo.service --unit=safe-deploy-rollback@demo.service --output=cat"):
            say(f"  # {command}")
            told = machine.run(command)
            say("\n".join(f"  {line}" for line in (told.out + told.err).splitlines()[-14:]) + "\n")

    def deploy(self, app, stream, release, behaviour, title, code):
        """Deploys a release under the stream, and tells what was seen. Its exit code is to be `code`."""
        app.release(release, behaviour)
        before = len(stream.requests)
        stream.wait(lambda request: request is stream.requests[before + STEADY], since=before + STEADY)
        cursor = app.machine.must("journalctl --lines=0 --show-cursor").split("cursor: ")[1].strip()
        begin = time.monotonic()
        finished = app.deploy()
        end = time.monotonic()
        after = len(stream.requests)
        stream.wait(lambda request: request.served(), since=after + STEADY)
        requests = [request for request in list(stream.requests) if request.asked >= stream.requests[before].asked]
        events = journal_events(app, cursor) + answer_events(requests)
        self.tell(title, release, begin, end, events, requests, finished)
        equal(f"the exit code of the deploy of {title}", finished.code, code)

    def tell(self, title, release, begin, end, events, requests, finished):
        say = self.progress.say
        say(f"=== Release {release}, {title}")
        say(f"{'':9}  $ safe-deploy deploy demo")
        for moment, text in sorted([*events, (end, f"safe-deploy ends with exit code {finished.code}")]):
            if moment >= begin - 0.001:
                say(f"{(moment - begin) * 1000:6.0f} ms  {text}")
        served = [request for request in requests if request.status == 200]
        failed = [request for request in requests if request.status != 200]
        say(f"\n{'':9}  requests: {len(served)} served, {len(failed)} failed ({kinds(failed)})")
        say(f"{'':9}  without a healthy answer for {longest_gap(served) * 1000:.0f} ms")
        say(f"{'':9}  {finished.out.strip()}\n")


def with_machine(machine, function):
    try:
        function()
    finally:
        machine.close()


def install(machine, package_path):
    machine.write({f"/tmp/{package_path.name}": package_path.read_bytes()})
    machine.must(f"DEBIAN_FRONTEND=noninteractive apt-get install --yes --no-install-recommends /tmp/{package_path.name}")


def journal_events(app, cursor):
    """What the tools and systemd said since a point of the journal, as (moment, text)."""
    out = app.machine.must(["journalctl", f"--after-cursor={cursor}", "--output=json", "--no-pager"])
    events = []
    for line in out.splitlines():
        entry = json.loads(line)
        teller, message = entry.get("SYSLOG_IDENTIFIER", ""), entry.get("MESSAGE", "")
        ours = "safe-deploy" in entry.get("_SYSTEMD_UNIT", "") or teller in ("port-wait", "health-wait")
        if ours and teller != "systemctl":
            # The moment that it was said, not the one when the journal had read it.
            moment = entry.get("_SOURCE_MONOTONIC_TIMESTAMP") or entry["__MONOTONIC_TIMESTAMP"]
            events.append((int(moment) / 1e6, f"{teller}: {message}"))
    return events


def answer_events(requests):
    """Where the answers to the stream changed, as (moment, text)."""
    events = []
    for before, now in zip(requests, requests[1:]):
        if (before.status, before.release) == (now.status, now.release):
            continue
        if before.status:
            events.append((before.answered, f"    the last answer of release {before.release} ({before.status})"))
        if now.status:
            events.append((now.answered, f"    the first answer of release {now.release} ({now.status})"))
        elif before.status:
            events.append((now.answered, f"    nobody answers ({now.release})"))
    return events


def kinds(failed):
    """What the failed requests met with: "12 × connection refused, 3 × 503"."""
    count = {}
    for request in failed:
        kind = str(request.status) if request.status else request.release
        count[kind] = count.get(kind, 0) + 1
    return ", ".join(f"{number} × {kind}" for kind, number in count.items()) or "none"


def longest_gap(served):
    return max((now.answered - before.answered for before, now in zip(served, served[1:])), default=0)


def main():
    parser = argparse.ArgumentParser(
        prog="tests/demo",
        description="Builds the package, boots a throw-away Debian, installs it there and deploys a good and then a bad "
        "release under a stream of requests. Leaves nothing behind but what is kept for the next time in " + str(trees.cache()))
    parser.add_argument("--suite", choices=trees.SUITES, default=trees.SUITES[0], help="the Debian to show it on")
    suite = parser.parse_args().suite
    LOG.parent.mkdir(parents=True, exist_ok=True)
    progress = Progress()
    with processes.tidy(), open(LOG, "w", encoding="utf-8") as log:
        try:
            Demo(progress).run(suite, log)
        except DemoFailed as error:
            raise SystemExit(str(error)) from None
        except EXPECTED as error:
            raise SystemExit(str(DemoFailed("the demonstration", error))) from None
    progress.close()
    LOG.unlink()
    print(f"Nothing is left of the machine. Kept for the next time: {trees.cache()}")


if __name__ == "__main__":
    main()
