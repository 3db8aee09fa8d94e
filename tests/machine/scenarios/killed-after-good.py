"""The app is killed long after a good deploy: no rollback, for the release is good."""

from app import equal, exits


def test(app):
    app.running("1", service="Restart=no")
    app.release("2")
    exits(app.deploy(), 0)

    app.machine.must("systemctl kill --signal=KILL demo.service")
    app.machine.until("systemctl is-failed demo.service")
    app.settle()

    equal("the link", app.link(), "2")
    equal("the good releases", app.verdicts("good"), ["1", "2"])
    app.machine.must("systemctl reset-failed demo.service && systemctl start demo.service")
    app.runs("2", good=["1", "2"])
