"""The process of a release on probation dies, and systemd starts it again: that ends the probation at once."""

from app import equal, says_why


def test(app):
    app.running("1", service="Restart=on-failure\nRestartSec=100ms")
    app.probation("2")
    app.watches()
    app.machine.until("test -e /var/lib/safe-deploy/demo/checks/watch.json")
    app.machine.must("systemctl kill --signal=KILL --kill-who=main demo.service")
    app.machine.until("release-mark --app demo --is idle")
    app.settle()
    app.runs("1", good=["1"], bad=["2"])
    says_why(app, "2", "killed by SIGKILL")
    equal("rollbacks", [event["event"] for event in app.history()].count("rollback-intended"), 1)
    equal("incidents", [(each["kind"], each["release"]) for each in app.incidents()], [("rolled-back", "2")])
