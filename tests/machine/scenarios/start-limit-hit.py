"""The app has used up its starts when the rollback begins: it is started all the same."""

from app import exits


def test(app):
    app.running("1", unit="StartLimitIntervalSec=300\nStartLimitBurst=2",
                service="Restart=on-failure\nRestartSec=100ms")
    app.release("2", "exit 3")

    exits(app.deploy(), 3)

    app.settle()
    app.runs("1", good=["1"], bad=["2"])
