"""claude-bridge: releases that end silently, crash, are unhealthy, log errors, spike or are slow: the old one is there again."""

from app import equal, exits, says_why, true
from examples import quick, set_up

SERVICES = True
OLD = "dist.20260203-123600"

REAL = 'exec "$(dirname "$0")/real"'
# It has the port itself already when the server proper wants to listen: EADDRINUSE, and exit 0.
IN_ITS_OWN_WAY = """\
exec python3 -c 'import os, socket, sys
held = socket.create_server(("127.0.0.1", int(os.environ["PORT"])))
held.set_inheritable(True)
os.execv(sys.argv[1], sys.argv[1:])' "$(dirname "$0")/real"
"""
EATS_MEMORY = """\
exec python3 -c 'import runpy, sys
held = bytearray(b"x") * (200 << 20)
runpy.run_path(sys.argv[1])' "$(dirname "$0")/real"
"""


def test(machine):
    _, app, production = set_up(machine, "claude-bridge")
    app.configure(quick(spike="128M"))
    bad = []

    def rolled_back(name, *words, lines=(REAL,)):
        app.build(name, *lines)
        exits(app.deploy(), 3, name)
        app.settle()
        bad.append(name)
        app.runs(OLD, good=[OLD], bad=bad)
        says_why(app, name, *words)

    # The incident that it all began with, and its like.
    rolled_back("dist.20260301-port-in-use", "exited with status 0", lines=[IN_ITS_OWN_WAY])
    true("it met what it met then", "Failed to start server. Is port 8998 in use?" in machine.journal(f"--unit={app.unit}"))
    rolled_back("dist.20260302-silent", "exited with status 0", lines=["exit 0"])

    # Not started again and again.
    rolled_back("dist.20260303-crashes", "exited with status 3", lines=["exit 3"])
    equal("how often it was started", app.starts("dist.20260303-crashes"), 1)
    equal("automatic restarts", app.property("NRestarts"), "0")

    rolled_back("dist.20260304-unhealthy", ".services.database.status", '"disconnected"', "10 attempts", lines=["export DATABASE=dbname=nonesuch", REAL])
    rolled_back("dist.20260305-errors", "cannot load the plug-in", lines=["echo '<3>cannot load the plug-in'", REAL])
    rolled_back("dist.20260306-spikes", "at most 128M allowed", lines=[EATS_MEMORY])

    # Too slow for the time limit, and then given more.
    machine.write({f"/etc/systemd/system/{app.unit}.d/90-time.conf": "[Service]\nTimeoutStartSec=3s\n"})
    machine.must("systemctl daemon-reload")
    rolled_back("dist.20260307-slow", "TimeoutStartSec= is 3s", lines=["sleep 4", REAL])
    machine.write({f"/etc/systemd/system/{app.unit}.d/90-time.conf": "[Service]\nTimeoutStartSec=120s\n"})
    machine.must(f"systemctl daemon-reload && release-mark --app {app.name} clear {bad.pop()}")
    exits(app.deploy(), 0)
    app.settle()
    app.runs("dist.20260307-slow", good=[OLD, "dist.20260307-slow"], bad=bad)

    # All the while nobody has touched production.
    production.runs(OLD, good=[OLD])
