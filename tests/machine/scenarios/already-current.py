"""The release already runs: a success without a restart."""

from app import equal, exits


def test(app):
    app.running("1")
    before = app.snapshot()

    exits(app.deploy(), 0)
    exits(app.deploy("1"), 0)

    app.settle()
    equal("everything", app.snapshot(), before)
    app.runs("1", good=["1"])
