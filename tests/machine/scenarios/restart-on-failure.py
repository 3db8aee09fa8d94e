"""An app with Restart=on-failure, whose OnFailure= fires at each attempt on newer systemd: one rollback, one step back."""

from app import equal, exits


def test(app):
    app.running("1", service="Restart=on-failure\nRestartSec=200ms")
    for name, behaviour, code in (("2", "healthy", 0), ("3", "exit 3", 3), ("4", "status 503", 3)):
        app.release(name, behaviour)
        exits(app.deploy(), code)
        app.settle()

    app.runs("2", good=["1", "2"], bad=["3", "4"])
    equal("rollbacks", len([event for event in app.history() if event["event"] == "rollback-intended"]), 2)
