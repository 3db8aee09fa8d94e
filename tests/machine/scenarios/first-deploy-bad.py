"""The first deploy ever fails: there is nothing to go back to, so the link goes, a person is called, and a good release gets it out."""

from app import equal, exits


def test(app):
    app.install()
    app.release("1", "status 503")
    exits(app.machine.run("safe-deploy enable demo"), 0)

    exits(app.deploy(), 4, "503", "removed")

    app.settle()
    app.is_stuck(bad=["1"])
    app.is_at_rest()
    equal("the link", app.link(), None)
    equal("the unit", app.property("ActiveState"), "failed")
    equal("the HTTP answer", app.answer(), None)
    app.machine.must("systemctl reset-failed demo.service")
    app.release("2")
    exits(app.deploy(), 0)
    app.runs("2", good=["2"], bad=["1"])
