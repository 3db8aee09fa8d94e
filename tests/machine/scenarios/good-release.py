"""A good release replaces the one that runs, and is known to be good."""

from app import exits


def test(app):
    app.running("1")
    app.release("2")

    exits(app.deploy(), 0)

    app.runs("2", good=["1", "2"], previous="1")
    app.is_at_rest()
