"""The record is damaged while a candidate is live: that is not good by it, and a person is called."""

import itertools

from app import equal, exits
from faults import DAMAGES, Faults


def test(app):
    app.running("100")
    faults = Faults(app)
    for release, damage, behaviour in zip(map(str, range(101, 200)), DAMAGES, itertools.cycle(("status 503", "healthy"))):
        app.release(release, behaviour)
        faults.at("swapped", damage)

        exits(app.deploy(), 4, "a person is needed", "state.json")

        app.settle()
        faults.have_come()
        equal("what is known to be good", app.verdicts("good"), [])
        equal("the link", app.link(), release)
        app.machine.run("systemctl reset-failed demo.service")
        exits(app.rollback("--to", "100"), 0)
        app.runs("100", good=["100"], bad=app.verdicts("bad"))
