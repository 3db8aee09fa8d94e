"""A release that answers 503 is rolled back."""

from app import exits, says_why


def test(app):
    app.running("1")
    app.release("2", "status 503")

    exits(app.deploy(), 3, "2", "503")

    app.runs("1", good=["1"], bad=["2"])
    says_why(app, "2", "503")
    app.is_at_rest()
