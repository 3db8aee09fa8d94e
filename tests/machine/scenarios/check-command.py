"""`safe-deploy check` asks what a deploy would ask, as it would, and answers with preflight's table and exit code."""

import json

from app import equal, exits, true

CHECK = "[check flag]\nexec = /bin/sh -c 'test -e /run/flag || exit 2'\n"


def test(app):
    machine = app.machine
    app.running("1", config=CHECK)
    app.release("2")
    failed = machine.run("safe-deploy check demo")
    exits(failed, 1, "flag", "FAIL")
    equal("preflight's exit code", machine.run("preflight --app demo").code, 1)
    machine.must("touch /run/flag")
    before = app.snapshot()
    exits(machine.run("safe-deploy check demo"), 0, "flag", "unit-file", "start-timeout")

    told = json.loads(machine.must("safe-deploy check demo --json"))
    asked = json.loads(machine.must("preflight --app demo --json"))
    equal("the checks", [each["name"] for each in told["checks"]], [each["name"] for each in asked["checks"]])
    only = json.loads(machine.must("safe-deploy check demo --only flag --only port --json"))
    equal("the checks of --only", sorted(each["name"] for each in only["checks"]), ["flag", "port"])
    quiet = machine.run("safe-deploy check demo --quiet")
    equal("what --quiet tells", (quiet.code, quiet.out, quiet.err), (0, "", ""))
    exits(machine.run("safe-deploy check demo --only nosuch"), 2, "nosuch")
    exits(machine.run("safe-deploy check nosuch"), 78, "nosuch.conf")
    exits(machine.run("safe-deploy check"), 2, "an app is needed")
    equal("everything", app.snapshot(), before)

    # Somebody else may ask as well, and is told what may be answered otherwise.
    somebody = "setpriv --reuid=www-data --clear-groups safe-deploy check demo"
    exits(machine.run(f"{somebody} --only flag"), 0, "not asked as root", "another one for flag")
    true("nothing is told of what is the same for all", "not asked as root" not in machine.run(f"{somebody} --only unit").err)

    # The deploy's unit restarts what it was told to: with another unit in the configuration it would refuse, and so does this.
    machine.must("sed -i 's/^unit = .*/unit = other.service/' /etc/safe-deploy/demo.conf && "
                 "cp /etc/systemd/system/demo.service /etc/systemd/system/other.service && systemctl daemon-reload")
    exits(machine.run("safe-deploy check demo"), 78, "the deploy would restart demo.service", "safe-deploy enable demo")
