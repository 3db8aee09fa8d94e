"""A release that exits with 0 at start is rolled back, although systemd sees no failure in that."""

from app import exits, says_why


def test(app):
    app.running("1")
    app.release("2", "exit 0")

    exits(app.deploy(), 3, "2", "exited with status 0")

    app.runs("1", good=["1"], bad=["2"])
    says_why(app, "2", "exited with status 0")
    app.is_at_rest()
