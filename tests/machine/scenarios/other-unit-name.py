"""The app and its unit have different names: a good and a bad release, and the app's own failure."""

import app as app_module
from app import exits, says_why


def test(machine):
    app = app_module.App(machine, name="shop", unit="shop-web-production.service")
    app.running("1")
    app.release("2")
    exits(app.deploy(), 0)
    app.runs("2", good=["1", "2"])

    app.release("3", "status 503")
    exits(app.deploy(), 3, "503")
    app.runs("2", good=["1", "2"], bad=["3"])
    says_why(app, "3", "503")
