"""The machine goes down in the middle of a rollback, before the link has moved or after: the next boot ends it."""

from app import equal, exits
from faults import cut_power, reboot


def test(app):
    app.running("1")

    def next_boot_ends_it(bad):
        equal("the last outcome", app.ledger()["last"]["outcome"], "interrupted")
        app.runs("1", good=["1"], bad=bad)

    # Before the link has moved.
    app.release("2")
    app.machine.must("atomic-link --app demo")
    cut_power(app, "current", "rollback-link", "--app", "demo", "--reason", "no good")
    next_boot_ends_it(bad=["2"])

    # The good release is starting.
    app.release("3", "status 503")
    app.machine.write({"/srv/demo/releases/1/behaviour": "slow 30"})
    app.machine.start(["safe-deploy", "deploy", "demo"])
    app.machine.until("release-mark --app demo --is rolling-back && pgrep -x health-wait && readlink /srv/demo/current | grep -q 1")
    app.machine.write({"/srv/demo/releases/1/behaviour": "healthy"})
    reboot(app)
    next_boot_ends_it(bad=["2", "3"])

    app.release("4")
    exits(app.deploy(), 0)
    app.runs("4", good=["1", "4"], bad=["2", "3"], previous="1")
