r"""The app's unit has a backslash in its name, as systemd-escape makes them: that unit is restarted, and no other."""

import app as app_module
from app import equal, exits


def test(machine):
    app = app_module.App(machine, name="shop", unit="shop\\x2dweb.service")
    other = app_module.App(machine, name="other", unit="shop-web.service", port=8081)
    other.running("1")
    app.running("1")
    untouched = other.snapshot()
    app.release("2")
    exits(app.deploy(), 0)
    app.runs("2", good=["1", "2"])
    app.release("3", "status 503")
    exits(app.deploy(), 3, "503")
    app.runs("2", good=["1", "2"], bad=["3"])
    equal("the other app", other.snapshot(), untouched)

    exits(machine.run("safe-deploy disable shop"), 0)
    equal("the guard", app.property("OnFailure"), "")
