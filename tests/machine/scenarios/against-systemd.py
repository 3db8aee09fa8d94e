"""preflight asks systemd itself: the unit's file, the time of its start, a pending reload, and what there is to go back to."""

import json

from app import equal, exits, true

NAMES = ("unit", "restarts", "unit-file", "start-timeout", "rollback")


def test(app):
    machine = app.machine

    def ask(*names):
        """{check: (verdict, reason, sentence)}"""
        only = [word for name in names or NAMES for word in ("--only", name)]
        finished = machine.run(["preflight", "--app", "demo", "--json", *only])
        return {told["name"]: (told["verdict"], told["reason"], told["message"]) for told in json.loads(finished.out)["checks"]}

    def drop_in(text, reload=True):
        machine.write({"/etc/systemd/system/demo.service.d/test.conf": text})
        if reload:
            machine.must("systemctl daemon-reload")

    # Before the first deploy.
    app.install()
    app.release("1")
    told = ask()
    equal("what ExecStart= names is not there yet", told["unit-file"][:2], ("skipped", "no-release"))
    equal("there is no gate yet", told["start-timeout"][:2], ("skipped", "no-gate"))
    equal("a first deploy", told["rollback"][:2], ("warning", "none"))

    # It runs, is good, and another release is there.
    machine.must("ln -s releases/1 /srv/demo/current && systemctl start demo.service")
    machine.until(f"curl --silent --fail http://127.0.0.1:{app.port}/health")
    machine.must("safe-deploy enable demo")
    app.release("2")
    told = ask()
    equal("all is well", {name: verdict for name, (verdict, *_) in told.items()}, dict.fromkeys(NAMES, "ok"))
    equal("where to", told["rollback"][2], "should 2 fail, 1 is gone back to")

    # A unit file with a mistake in it, of which systemd was not told yet.
    drop_in("[Service]\nTimeoutStratSec=5\n", reload=False)
    told = ask()
    equal("the mistake", told["unit-file"][:2], ("warning", "verify"))
    true(f"its line is told: {told['unit-file'][2]}", "test.conf:2: " in told["unit-file"][2] and "TimeoutStratSec" in told["unit-file"][2])
    equal("a reload is pending", told["unit"][:2], ("warning", "reload"))

    drop_in("[Service]\nTimeoutStartSec=5\n")
    told = ask()
    equal("the file", told["unit-file"][0], "ok")
    equal("no reload is pending", told["unit"][0], "ok")
    equal("the budget of the health gate", told["start-timeout"],
          ("warning", "health-timeout", "[health] timeout (20s) is more than TimeoutStartSec=5s of demo.service: health-wait ends just before that"))
    drop_in("[Service]\nTimeoutStartSec=infinity\n")
    equal("any time", ask()["start-timeout"][0], "ok")

    # Each command of a start has the whole of the time: three times two seconds fit into four.
    machine.write({"/etc/systemd/system/slow.service": "[Service]\nTimeoutStartSec=4\nExecStartPre=/bin/sleep 2\nExecStart=/bin/sleep 1000\n"
                                                       "ExecStartPost=/bin/sleep 2\nExecStartPost=/bin/sleep 2\n"})
    machine.must("systemctl daemon-reload && systemctl start slow.service")

    # One that is not to be gone back from.
    machine.must("touch /srv/demo/releases/2/.irreversible")
    equal("an irreversible release", ask()["rollback"][:2], ("warning", "irreversible"))
    machine.must("rm /srv/demo/releases/2/.irreversible && release-mark --app demo bad 1")
    equal("no good release", ask()["rollback"][:2], ("warning", "none"))

    # Warnings refuse nothing; and all can be asked within the sandbox of the deploy, too.
    machine.must("release-mark --app demo good 1")
    machine.write({"/etc/systemd/system/safe-deploy@demo.service.d/show.conf":
                   "[Service]\nExecStartPre=/bin/sh -c 'preflight --app demo --json > /run/asked'\n"})
    machine.must("systemctl daemon-reload")
    exits(app.deploy(), 0)
    app.runs("2", good=["1", "2"])
    asked = {check["name"]: check["verdict"] for check in json.loads(machine.must("cat /run/asked"))["checks"]}
    equal("the verdicts within the sandbox", {name: asked[name] for name in NAMES}, dict.fromkeys(NAMES, "ok"))
