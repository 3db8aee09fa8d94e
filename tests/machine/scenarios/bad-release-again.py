"""A release that was found bad is not deployed again by itself, and nobody is told that all is well; once cleared it is."""

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

    app.machine.must("release-mark --app demo clear 2")
    exits(app.deploy(), 0)
    app.runs("2", good=["1", "2"])
