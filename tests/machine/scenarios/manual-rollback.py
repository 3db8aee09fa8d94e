"""A rollback by hand: back to the release before, or to the one that is named."""

from app import equal, exits, says


def test(app):
    app.running("1")
    for name in ("2", "3"):
        app.release(name)
        exits(app.deploy(), 0)

    exits(app.rollback(), 0, "2")
    app.runs("2", good=["1", "2"], bad=["3"])

    exits(app.rollback("--to", "1"), 0, "1")
    app.runs("1", good=["1"], bad=["2", "3"])
    app.is_at_rest()

    # What is asked for and can't be done is refused before the app is stopped for it.
    before = app.snapshot()
    app.machine.must("mkdir -p /run/safe-deploy/demo && ln -sfn 7 /run/safe-deploy/demo/rollback")
    exits(app.machine.run("systemctl start safe-deploy-rollback@demo"), 0)
    equal("everything", app.snapshot(), before)
    equal("the request", app.machine.run("readlink /run/safe-deploy/demo/rollback").out, "")
    says(app.machine.run("journalctl -u safe-deploy-rollback@demo"), "refused: /srv/demo/releases/7: no such release")
    app.is_at_rest()
