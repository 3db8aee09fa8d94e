"""A release that was found bad is not deployed again by itself; with --force, or once cleared, it is."""

from app import equal, exits


def test(app):
    app.running("1")
    app.release("2", "status 503")
    exits(app.deploy(), 3)
    app.machine.write({"/srv/demo/releases/2/behaviour": "healthy"})
    before = app.snapshot()

    exits(app.deploy(), 1, "2", "bad")
    app.settle()
    equal("everything", app.snapshot(), before)

    exits(app.deploy("2", "--force"), 0)
    app.runs("2", good=["1", "2"])
