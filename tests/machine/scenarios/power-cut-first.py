"""The machine goes down in the middle of the first deploy of all: a person is called, and nobody is blamed."""

from app import exits, true


def test(app):
    app.install()
    app.release("1", "slow 4")
    exits(app.machine.run("safe-deploy enable demo"), 0)
    app.machine.start(["safe-deploy", "deploy", "demo"])
    app.machine.until("pgrep -x health-wait && readlink /srv/demo/current | grep -q 1")

    app.machine.crash()
    app.machine.boot()

    app.machine.until("systemctl is-failed --quiet safe-deploy-reconcile@demo.service")
    app.is_stuck()
    true("the journal calls for a person", "a person is needed" in app.machine.must("journalctl --boot --catalog -u safe-deploy-reconcile@demo"))
