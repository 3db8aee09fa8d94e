"""A rollback by hand: back to the release before, or to the one that is named."""

from app import exits


def test(app):
    app.running("1")
    for name in ("2", "3"):
        app.release(name)
        exits(app.deploy(), 0)

    exits(app.rollback(), 0, "2")
    app.runs("2", good=["1", "2"], bad=["3"])

    exits(app.rollback("--to", "1"), 0, "1")
    app.runs("1", good=["1"], bad=["2", "3"])
    app.is_at_rest()
