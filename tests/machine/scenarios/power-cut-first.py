"""The machine goes down in the middle of the first deploy of all: as if it had not begun, and nobody is blamed."""

from app import equal, exits, says


def test(app):
    app.install()
    app.release("1", "slow 30")
    exits(app.machine.run("safe-deploy enable demo"), 0)
    app.machine.start(["safe-deploy", "deploy", "demo"])
    app.machine.until("pgrep -x health-wait && readlink /srv/demo/current | grep -q 1")

    app.machine.crash()
    app.machine.boot()

    app.machine.until("systemctl is-active --quiet safe-deploy-reconcile@demo.service")
    says(app.machine.run("journalctl --boot -u safe-deploy-reconcile@demo.service"), "interrupted")
    equal("the link", app.link(), None)
    equal("the phase", app.ledger()["phase"], "idle")
    equal("the last outcome", app.ledger()["last"]["outcome"], "interrupted")
    equal("the verdicts", app.ledger()["releases"], {})
    app.release("1")
    app.machine.run("systemctl reset-failed demo.service")
    exits(app.deploy(), 0)
    app.runs("1", good=["1"])
