"""Units that are masked, a unit that does not go through the link, and a machine without a bus: told before anything is changed."""

from app import equal, exits


def test(app):
    machine = app.machine
    app.running("1")
    app.release("2")
    before = app.snapshot()

    exits(machine.run("DBUS_SYSTEM_BUS_ADDRESS=unix:path=/nowhere safe-deploy deploy demo"), 71, "system bus: cannot connect")
    equal("everything", app.snapshot(), before)

    # A member of the group, where there is no polkit to ask.
    machine.must("printf 'u ann\\nm ann safe-deploy\\n' | systemd-sysusers -")
    exits(machine.run("runuser -u ann -- safe-deploy deploy demo"), 71, "safe-deploy@demo.service", "the group safe-deploy where polkitd is installed")
    equal("what is left", machine.must("ls -A /run/safe-deploy/demo"), "")

    machine.must("systemctl mask --quiet safe-deploy@demo.service")
    exits(app.deploy(), 1, "safe-deploy@demo.service: is masked", "systemctl unmask safe-deploy@demo.service")
    machine.must("systemctl unmask --quiet safe-deploy@demo.service")

    machine.must("mv /etc/systemd/system/demo.service /root && systemctl mask --quiet demo.service && systemctl daemon-reload")
    exits(app.deploy(), 1, "demo.service: is masked")
    exits(app.rollback("--to", "2"), 1, "demo.service: is masked")
    machine.must("systemctl unmask --quiet demo.service && mv /root/demo.service /etc/systemd/system && systemctl daemon-reload")
    equal("everything", app.snapshot(), before)
    equal("what is left", machine.must("ls -A /run/safe-deploy/demo"), "")

    # It runs the same whatever is deployed, which is told before; that it is not 2 which answers is for a check.
    machine.must("sed -i 's,/current/server,/releases/1/server,' /etc/systemd/system/demo.service && systemctl daemon-reload")
    exits(app.deploy(), 0, "neither its ExecStart= nor its WorkingDirectory= goes through /srv/demo/current")
