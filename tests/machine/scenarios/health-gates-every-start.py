"""Every start is gated by the health of the app, not only a deploy: an unhealthy one fails."""

from app import equal, exits, true


def test(app):
    app.running("1")
    app.machine.write({"/srv/demo/releases/1/behaviour": "status 503"})

    finished = app.machine.run("systemctl restart demo.service")

    exits(finished, 1)
    app.settle()
    equal("the unit", app.property("ActiveState"), "failed")
    equal("the link", app.link(), "1")
    equal("the good releases", app.verdicts("good"), ["1"])
    true("the journal says why", "503" in app.machine.journal("--unit=demo.service"))
