"""One good deploy after the other: the start limit of the unit is not used up by them."""

from app import equal, exits, says


def test(app):
    app.running("1")
    app.configure("[app]\nkeep = infinity\n")
    app.machine.must("ln -s /usr/lib/safe-deploy/limits.conf /etc/systemd/system/demo.service.d/40-safe-deploy-limits.conf"
                     " && systemctl daemon-reload")
    equal("StartLimitBurst=", app.property("StartLimitBurst"), "3")
    names = [str(number) for number in range(2, 8)]
    for name in names:
        app.release(name)
        exits(app.deploy(), 0)
    app.runs("7", good=["1", *names])

    # And the limit still holds for a unit that fails by itself.
    app.machine.write({"/srv/demo/releases/7/behaviour": "exit 3"})
    for _ in range(5):
        app.machine.run("systemctl restart demo.service")
    says(app.machine.run("journalctl --unit=demo.service"), "Start request repeated too quickly")
    app.machine.must("systemctl reset-failed demo.service")
