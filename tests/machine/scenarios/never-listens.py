"""A release that runs but never listens is rolled back when the time for its start is over."""

from app import exits, says_why


def test(app):
    app.running("1")
    app.configure("[health]\ntimeout = 3s\n")
    app.release("2", "deaf")

    exits(app.deploy(), 3, "2")

    app.runs("1", good=["1"], bad=["2"])
    says_why(app, "2", "127.0.0.1:8080")
    app.is_at_rest()
