"""The machine goes down in the middle of a deploy: the next boot starts the last good release."""

from app import equal


def test(app):
    app.running("1")
    app.release("2", "slow 30")
    app.machine.start(["safe-deploy", "deploy", "demo"])
    app.machine.until("pgrep -x health-wait && readlink /srv/demo/current | grep -q 2")

    app.machine.crash()
    app.machine.boot()

    app.machine.until("systemctl is-active --quiet demo.service")
    equal("the last outcome", app.ledger()["last"]["outcome"], "interrupted")
    app.runs("1", good=["1"])
