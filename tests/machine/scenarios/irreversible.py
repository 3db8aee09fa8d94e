"""A release with a one-way migration fails: it is not rolled back, a person is called."""

from app import equal, exits


def test(app):
    app.running("1")
    app.release("2", "status 503", **{".irreversible": ""})

    exits(app.deploy(), 4, "irreversible")

    app.settle()
    app.is_stuck(good=["1"], bad=["2"])
    equal("the link", app.link(), "2")

    # Who knows better says so.
    exits(app.rollback("--to", "1"), 0)
    app.runs("1", good=["1"], bad=["2"])
