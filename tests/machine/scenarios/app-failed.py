"""An app that fails outside of a deploy, each time it is started: one incident, for root to read and to close."""

from app import equal, exits, says, true


def test(app):
    app.running("1", unit="StartLimitIntervalSec=300\nStartLimitBurst=3", service="Restart=on-failure\nRestartSec=100ms")
    app.machine.write({"/srv/demo/releases/1/behaviour": "exit 3"})
    app.machine.must("systemctl kill --signal=KILL --kill-who=main demo.service")
    app.machine.until("journalctl --quiet --output=cat --unit demo.service | grep -q 'repeated too quickly'")
    app.settle()

    (incident,) = app.incidents()
    equal("the incident", (incident["kind"], incident["release"]), ("failed", "1"))
    true(f"it says why: {incident['reason']}", incident["reason"].startswith("demo.service failed"))
    true(f"it has what the app logged: {incident['lines']}", any("release 1: cannot go on" in line for line in incident["lines"]))
    equal("the phase", app.ledger()["phase"], "idle")
    equal("bad releases", app.verdicts("bad"), [])
    says(app.machine.run("journalctl --catalog SAFE_DEPLOY_APP=demo"), "demo failed, and not in a deploy")

    name = incident["id"]
    nobody = ["setpriv", "--reuid=nobody", "--regid=nogroup", "--clear-groups"]
    for arguments in ([], ["demo", name], ["--close", name, "--note", "x"]):
        exits(app.machine.run([*nobody, "safe-deploy", "incidents", *arguments]), 71, "only root may")
    exits(app.machine.run([*nobody, "safe-deploy", "status", "demo"]), 0, "only root may read them")
    exits(app.machine.run(["safe-deploy", "incidents"]), 0, name)
    exits(app.machine.run(["safe-deploy", "incidents", "demo", name]), 0, "cannot go on", "to close it")
    exits(app.machine.run(["safe-deploy", "incidents", "--close", name]), 2, "--note")
    exits(app.machine.run(["safe-deploy", "incidents", "--close", name, "--note", "the disk was full"]), 0, "is closed")
    exits(app.machine.run(["safe-deploy", "incidents"]), 0, "no open incidents")
    exits(app.machine.run(["safe-deploy", "incidents", "demo", name]), 0, "closed", "by root", "the disk was full")
    exits(app.machine.run(["safe-deploy", "incidents", "--close", name, "--note", "x"]), 1, "is closed since")
