"""`enable` guards the unit and records the release that runs as good; `disable` takes the guard away again."""

from app import equal, exits, true


def test(app):
    app.running("1")
    true("the unit is guarded", "safe-deploy-failed@demo.service" in app.property("OnFailure"))
    app.runs("1", good=["1"])
    exits(app.machine.run("safe-deploy enable demo"), 0)

    # Units that would lead the guard to another app are refused, with nothing changed.
    app.machine.write({"/etc/safe-deploy/twin.conf": "[app]\nunit = demo.service\nlink = /srv/demo/current\nreleases = /srv/demo/releases\n"})
    links = app.machine.must("find /etc/systemd/system -type l | sort")
    exits(app.machine.run("safe-deploy enable twin"), 78, "demo.service is the unit of demo, too")
    equal("the links in /etc/systemd", app.machine.must("find /etc/systemd/system -type l | sort"), links)
    app.machine.must("cp /etc/systemd/system/demo.service /etc/systemd/system/twin.service && systemctl daemon-reload && "
                     "sed -i /^unit/d /etc/safe-deploy/twin.conf")
    exits(app.machine.run("safe-deploy enable twin"), 78, "in the same directory as that of demo")
    equal("the links in /etc/systemd", app.machine.must("find /etc/systemd/system -type l | sort"), links)
    app.machine.must("rm /etc/safe-deploy/twin.conf /etc/systemd/system/twin.service && systemctl daemon-reload")

    before = app.property("InvocationID")
    exits(app.machine.run("safe-deploy disable demo"), 0)

    equal("OnFailure=", app.property("OnFailure"), "")
    equal("drop-ins", app.property("DropInPaths"), "")
    equal("the invocation: nothing was restarted", app.property("InvocationID"), before)
    # A guard whose configuration is gone keeps the app down; it can be taken off all the same.
    app.machine.must("safe-deploy enable demo && mv /etc/safe-deploy/demo.conf /root")
    exits(app.machine.run("systemctl restart demo.service"), 1)
    exits(app.machine.run("safe-deploy disable demo"), 0, "demo.conf")
    app.machine.must("mv /root/demo.conf /etc/safe-deploy && systemctl restart demo.service")

    # [app] unit changes: the guard moves with the next `enable`.
    app.machine.must("safe-deploy enable demo && cp /etc/systemd/system/demo.service /etc/systemd/system/demo-2.service && "
                     "systemctl daemon-reload && sed -i 's/^unit = .*/unit = demo-2.service/' /etc/safe-deploy/demo.conf")
    exits(app.machine.run("safe-deploy enable demo"), 0, "demo-2.service is guarded")
    equal("OnFailure= of the former unit", app.property("OnFailure"), "")
    true("the new unit is guarded", "safe-deploy-failed@" in app.property("OnFailure", unit="demo-2.service"))
    exits(app.machine.run("safe-deploy disable demo"), 0)

    # What the app's user can write must not be read by what runs as root.
    app.machine.must("echo A=1 > /srv/demo/env && chown www-data /srv/demo/env && mkdir -p /etc/systemd/system/demo-2.service.d && "
                     "printf '[Service]\\nEnvironmentFile=/srv/demo/env\\n' > /etc/systemd/system/demo-2.service.d/env.conf && "
                     "systemctl daemon-reload")
    exits(app.machine.run("safe-deploy enable demo"), 0, "EnvironmentFile= /srv/demo/env can be changed by others than root")
    exits(app.machine.run("safe-deploy disable demo"), 0)

    equal("what is left in /etc/systemd", app.machine.must("find /etc/systemd/system -name '*safe-deploy*'"), "")
