"""alive: the deploy of the incident once more, a release that crashes later, a failed unit, and no room."""

import re

from app import equal, exits, says_why, true
from examples import quick, set_up

SERVICES = True


def test(machine):
    readme, app, production = set_up(machine, "alive")
    app.configure(quick())

    # The script of the README.
    script = re.search(r"^```\n#!/bin/sh\n(.*?)^```", readme, re.MULTILINE | re.DOTALL)[1]
    app.build("dist.2", *script.splitlines())
    exits(app.deploy(), 3)
    app.settle()
    app.runs("dist.1", good=["dist.1"], bad=["dist.2"])
    says_why(app, "dist.2", "exited with status 0")
    true("it met what was met then", "Address already in use" in machine.journal(f"--unit={app.unit}"))

    # It is well at first: what comes in probation counts, and is not restarted until nobody looks.
    app.configure(quick(probation="20s"))
    app.build("dist.3", '(sleep 2; kill -9 $$) &', 'exec "$(dirname "$0")/real" "$@"')
    exits(app.deploy("--wait-good"), 3, "dist.3")
    app.settle()
    app.runs("dist.1", good=["dist.1"], bad=["dist.2", "dist.3"])
    equal("how often it was started", app.starts("dist.3"), 1)
    app.configure(quick())

    # A unit that has failed is not deployed over.
    app.build("dist.4")
    machine.write({f"/etc/systemd/system/{app.unit}.d/90-once.conf": "[Service]\nRestart=no\n"})
    machine.must(f"systemctl daemon-reload && systemctl kill --signal=KILL {app.unit}")
    machine.until(f"systemctl is-failed --quiet {app.unit}")
    app.settle()
    app.refuses("unit", f"systemctl reset-failed {app.unit}")
    machine.must(f"systemctl reset-failed {app.unit} && systemctl start {app.unit}")
    app.runs("dist.1", good=["dist.1"], bad=["dist.2", "dist.3"])

    app.configure(quick(limits="memory-available-min = 1000T"))
    app.refuses("memory", "1000")

    app.configure(quick())
    exits(app.deploy("--wait-good"), 0)
    app.settle()
    app.runs("dist.4", good=["dist.1", "dist.4"], bad=["dist.2", "dist.3"])
    production.runs("dist.1", good=["dist.1"])
