"""Two published versions of a server from the npm registry under load: forth, back and forth again, and one that is broken."""

from contextlib import ExitStack

from app import App, equal, exits, says_why, true
from stream import Stream

SERVICES = True
NPM = True
OLD, NEW, BROKEN = "2.1.0", "2.2.1", "2.2.2"

UNIT = """\
[Unit]
Description=A mail server for developers, from the npm registry

[Service]
ExecStart=/usr/bin/node /srv/maildev/current/node_modules/maildev/bin/maildev --ip 127.0.0.1 --web 1080 --smtp 1025 --silent
User=www-data

[Install]
WantedBy=multi-user.target
"""

CONFIG = """\
[app]
link = /srv/maildev/current
releases = /srv/maildev/releases
require = node_modules/maildev/bin/maildev

[port]
listen = 127.0.0.1:1080

[health]
attempts = 10
interval = 100ms

[check healthz]
when = health
http = http://127.0.0.1:1080/healthz
expect-body = ^true$

[check version]
when = health
http = http://127.0.0.1:1080/config
expect-json = .version == "${release}"

[check mail]
when = health
tcp = 127.0.0.1:1025
expect = 220
"""

CLIENTS = 3
PAUSE = 0.01
STEADY = 20  # so many answers of each client before and after
# What somebody is told who asks while nobody is there; anything else would be the server's own.
NOBODY = {"ConnectionRefusedError", "ConnectionResetError", "ConnectionError", "BrokenPipeError"}


class Load:
    """Several streams of requests at once."""

    def __init__(self, streams):
        self._streams = streams

    def during(self, function):
        """Calls the function under load. Its result and all requests, from some answers before it to some after it."""
        begins = [len(stream.requests) for stream in self._streams]
        for stream, begin in zip(self._streams, begins):
            stream.wait(lambda request: request.served(), since=begin + STEADY)
        result = function()
        for stream in self._streams:
            stream.wait(lambda request: request.served(), since=len(stream.requests) + STEADY)
        return result, [stream.requests[begin:] for stream, begin in zip(self._streams, begins)]


def versions(requests):
    """The versions that have answered one client, in their order."""
    seen = []
    for request in requests:
        if request.status == 200 and seen[-1:] != [request.release]:
            seen.append(request.release)
    return seen


def gap(clients):
    """The longest time that a client was without an answer."""
    served = [[request for request in requests if request.served()] for requests in clients]
    return max(now.answered - before.answered for each in served for before, now in zip(each, each[1:]))


def test(machine):
    app = App(machine, "maildev", port=1080)
    machine.write({f"/etc/systemd/system/{app.unit}": UNIT, "/etc/safe-deploy/maildev.conf": CONFIG})
    machine.must(f"ln -s releases/{OLD} /srv/maildev/current && systemctl daemon-reload && systemctl enable --now maildev.service "
                 "&& safe-deploy enable maildev")
    equal("the good releases", app.verdicts("good"), [OLD])

    def runs(release, good, bad=()):
        app.settle()
        equal("the link", app.link(), release)
        equal("/healthz", machine.must("curl --silent --fail http://127.0.0.1:1080/healthz"), "true")
        equal("the verdicts", (app.verdicts("good"), app.verdicts("bad")), (sorted(good), sorted(bad)))

    with ExitStack() as stack:
        load = Load([stack.enter_context(Stream(machine, app.port, PAUSE, "/config")) for _ in range(CLIENTS)])

        def under_load(what, function, expected):
            """The function's result. Each client has seen these versions in turn, and failed only while nobody was there."""
            result, clients = load.during(function)
            for requests in clients:
                equal(f"{what}: the versions", versions(requests), expected)
                failed = [position for position, request in enumerate(requests) if not request.served()]
                equal(f"{what}: kinds of failed requests", {requests[position].release for position in failed} - NOBODY, set())
            return result, gap(clients), sum(not request.served() for requests in clients for request in requests)

        _, bare, _ = under_load("restart", lambda: machine.must("systemctl restart maildev.service"), [OLD])

        finished, down, failed = under_load("forth", app.deploy, [OLD, NEW])
        exits(finished, 0, NEW)
        runs(NEW, good=[OLD, NEW])
        true(f"forth: without an answer for {down:.3f} s ({failed} failed requests), with a bare restart {bare:.3f} s", down < 3 * bare + 2)

        finished, down, failed = under_load("back", app.rollback, [NEW, OLD])
        exits(finished, 0, OLD)
        runs(OLD, good=[OLD], bad=[NEW])
        true(f"back: without an answer for {down:.3f} s ({failed} failed requests), with a bare restart {bare:.3f} s", down < 3 * bare + 2)

        machine.must(f"release-mark --app maildev clear {NEW}")
        finished, down, failed = under_load("forth again", app.deploy, [OLD, NEW])
        exits(finished, 0, NEW)
        runs(NEW, good=[OLD, NEW])

        # An installation that lacks a package, which node notices at its start.
        machine.must(f"cp -r /srv/maildev/releases/{NEW} /srv/maildev/releases/{BROKEN} && "
                     f"rm -r /srv/maildev/releases/{BROKEN}/node_modules/express")
        finished, _, _ = under_load("a broken one", app.deploy, [NEW])
        exits(finished, 3, BROKEN)
        runs(NEW, good=[OLD, NEW], bad=[BROKEN])
        says_why(app, BROKEN, "exited with status 1")
        true("node says what it lacks", "Cannot find module 'express'" in machine.journal("--unit=maildev.service"))
