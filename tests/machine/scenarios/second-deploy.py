"""A second deploy while one is under way: refused with 75, the first one goes on."""

from app import equal, exits


def test(app):
    app.running("1")
    app.release("2", "slow 4")
    first = app.machine.start("safe-deploy deploy demo")
    app.machine.until("systemctl is-active demo.service | grep -q activating")

    exits(app.deploy(), 75, "demo", "2")

    equal("the first deploy's exit code", first.wait(30), 0)
    app.runs("2", good=["1", "2"])
