"""A release that exits with 3 at start is rolled back, and what it said last is told."""

from app import exits, says_why


def test(app):
    app.running("1")
    app.release("2", "exit 3")

    exits(app.deploy(), 3, "2", "exited with status 3")

    app.runs("1", good=["1"], bad=["2"])
    says_why(app, "2", "exited with status 3", "it last logged: 'release 2: cannot go on'")
    app.is_at_rest()
