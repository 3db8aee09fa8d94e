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
    app.machine.must("rm /etc/safe-deploy/twin.conf")

    before = app.property("InvocationID")
    exits(app.machine.run("safe-deploy disable demo"), 0)

    equal("OnFailure=", app.property("OnFailure"), "")
    equal("drop-ins", app.property("DropInPaths"), "")
    equal("the invocation: nothing was restarted", app.property("InvocationID"), before)
    equal("what is left in /etc/systemd", app.machine.must("find /etc/systemd/system -name '*safe-deploy*'"), "")
