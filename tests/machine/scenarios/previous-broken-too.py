"""The release to roll back to is broken as well: stuck, and nothing is tried a third time."""

from app import equal, exits


def test(app):
    app.running("0")
    app.release("1")
    exits(app.deploy(), 0)
    app.machine.write({"/srv/demo/releases/1/behaviour": "status 500"})
    app.release("2", "status 503")

    exits(app.deploy(), 4, "500")

    app.settle()
    app.is_stuck(good=["0", "1"], bad=["2"])
    equal("the link", app.link(), "1")
    equal("swaps and rollbacks", [event["event"] for event in app.history() if "intended" in event["event"]],
          ["swap-intended", "swap-intended", "rollback-intended"])
    app.is_at_rest()
    equal("the unit", app.property("ActiveState"), "failed")
    equal("the HTTP answer", app.answer(), None)

    # It takes a person, who says that the cause is gone and deploys a good release.
    app.release("3")
    exits(app.deploy(), 1, "systemctl reset-failed demo.service")
    app.machine.must("systemctl reset-failed demo.service")
    exits(app.deploy(), 0)
    app.runs("3", good=["0", "1", "3"], bad=["2"])
    app.machine.must("! systemctl is-failed safe-deploy@demo safe-deploy-rollback@demo safe-deploy-stuck@demo")
