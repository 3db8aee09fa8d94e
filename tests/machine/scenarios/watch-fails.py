"""A release that was healthy turns bad on probation: it is rolled back, with an incident that says why."""

from app import equal, says, says_why, true


def test(app):
    app.running("1")
    app.probation("2", "turns 503", config="attempts = 30\ninterval = 200ms")
    app.watches()
    # A no that is over before it is believed is none.
    app.machine.must("touch /srv/demo/releases/2/sick")
    app.machine.until("grep -q 503 /var/lib/safe-deploy/demo/checks/watch.json")
    app.machine.must("rm /srv/demo/releases/2/sick")
    app.machine.until("! grep -q 503 /var/lib/safe-deploy/demo/checks/watch.json")
    app.runs("2", good=["1"], phase="probation")
    app.watches()

    app.machine.must("touch /srv/demo/releases/2/sick")
    app.machine.until("release-mark --app demo --is idle")
    app.settle()
    app.runs("1", good=["1"], bad=["2"])
    says_why(app, "2", "answer", "503", "of the watch")
    equal("rollbacks", [event["event"] for event in app.history()].count("rollback-intended"), 1)
    (incident,) = app.incidents()
    equal("the incident", {key: incident[key] for key in ("kind", "release", "done", "count")},
          {"kind": "rolled-back", "release": "2", "done": "rolled back to 1, which is healthy", "count": 1})
    true(f"the incident says why: {incident['reason']}", "503" in incident["reason"])
    true(f"the incident has what it logged: {incident['lines']}", "release 2: the database is gone" in incident["lines"][-1])
    explained = app.machine.run("journalctl --catalog -u safe-deploy-watch@demo")
    says(explained, "Release 2 of demo failed on probation")

    # A watch that failed is settled by the next deploy that goes well.
    app.probation("3", duration="1s")
    app.machine.until("release-mark --app demo --is idle")
    app.settle()
    app.runs("3", good=["1", "3"], bad=["2"])
    app.is_at_rest()
