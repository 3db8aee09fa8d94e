"""On probation a deploy is busy, and does no harm; a rollback by hand ends the watch at once and takes place once."""

from app import equal, exits, says, says_why


def test(app):
    app.running("1")
    app.probation("2")
    app.watches()
    app.release("3")
    before = app.snapshot()
    exits(app.deploy(), 75, "2 is on probation for another", "release-mark --app demo good", "safe-deploy rollback demo")
    # The unit itself, as well: it is refused before any hook, and what is on probation stays.
    exits(app.machine.run("systemctl start safe-deploy@demo"), 1)
    exits(app.machine.run("systemctl start safe-deploy-rollback@demo"), 0)
    equal("everything", app.snapshot(), before)
    app.watches()
    says(app.machine.run("journalctl --output=cat -u safe-deploy@demo"), "releases: 2 is on probation for another")
    says(app.machine.run("journalctl --output=cat -u safe-deploy-rollback@demo"), "nothing speaks against what is on probation")

    exits(app.rollback(), 0, "1")
    app.settle()
    app.runs("1", good=["1"], bad=["2"])
    says_why(app, "2", "rolled back by hand")
    equal("rollbacks", [event["event"] for event in app.history()].count("rollback-intended"), 1)
    app.is_at_rest()
