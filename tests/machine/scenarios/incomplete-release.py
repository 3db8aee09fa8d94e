"""A release that lacks a required file is refused, and the file is named."""

from app import equal, exits


def test(app):
    app.running("1")
    app.release("2")
    app.machine.must("rm /srv/demo/releases/2/server")
    before = app.snapshot()

    exits(app.deploy(), 1, "2", "server")

    app.settle()
    equal("everything", app.snapshot(), before)
