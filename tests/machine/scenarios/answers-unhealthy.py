"""A release that answers 200 but says that it is unhealthy is rolled back."""

from app import exits, says_why


def test(app):
    app.running("1")
    app.release("2", "unhealthy")

    exits(app.deploy(), 3, "2", '.status == "healthy"')

    app.runs("1", good=["1"], bad=["2"])
    says_why(app, "2", '.status == "healthy"')
    app.is_at_rest()
