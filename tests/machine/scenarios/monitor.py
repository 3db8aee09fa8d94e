"""The monitor tells once of a check that fails and once that it has recovered, with an incident, and touches nothing."""

from app import equal, says, true

CHECK = """
[check flag]
when = monitor
path = /srv/fine
"""
FAILED, RECOVERED = "b0a2f9f54d2c4a0f8be1c7a9d35e6f18", "7d1c40b36a7e4f3c9a8452e0f6b91cd3"


def told(app, message):
    return app.machine.must(f"journalctl --sync && journalctl --quiet --output=cat MESSAGE_ID={message} SAFE_DEPLOY_APP=demo").splitlines()


def monitor(app, times=1):
    for _ in range(times):
        app.machine.must("systemctl start safe-deploy-monitor@demo")


def test(app):
    app.running("1", config=CHECK)
    app.release("2")
    app.machine.must("touch /srv/fine")
    equal("the timer", app.machine.must("systemctl is-enabled safe-deploy-monitor@demo.timer; systemctl is-active safe-deploy-monitor@demo.timer").split(),
          ["enabled", "active"])
    monitor(app)
    equal("incidents", app.incidents(), [])
    before = app.snapshot()

    app.machine.must("rm /srv/fine")
    monitor(app, 2)
    (line,) = told(app, FAILED)
    true(f"it says which and why: {line}", line.startswith("demo: flag: /srv/fine"))
    (incident,) = app.incidents()
    equal("the incident", (incident["kind"], incident["check"], incident["release"]), ("check", "flag", "1"))
    says(app.machine.run("journalctl --catalog -u safe-deploy-monitor@demo"), "The check flag of demo fails")
    equal("everything", app.snapshot(), before)

    app.machine.must("touch /srv/fine")
    monitor(app, 2)
    (line,) = told(app, RECOVERED)
    equal("incidents", app.incidents(), [])
    (incident,) = app.incidents("--all")
    true(f"it was closed by the monitor: {incident}", incident["closed_by"] == "safe-deploy monitor" and "recovered" in incident["note"])
    equal("everything", app.snapshot(), before)

    # An app that is down is a change; and somebody who starts or stops it is not disturbed.
    app.machine.must("systemctl stop demo.service")
    monitor(app)
    equal("incidents", [each["check"] for each in app.incidents()], ["port"])
    app.machine.must("systemctl start demo.service")
    monitor(app)
    equal("incidents", app.incidents(), [])
    equal("failed units", app.machine.must("systemctl --failed --plain --no-legend"), "")
