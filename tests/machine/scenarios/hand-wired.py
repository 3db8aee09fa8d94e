"""All by hand, as safe-deploy(7) says, without the command `safe-deploy`: the guard, a good deploy, a bad one, a rollback."""

from app import equal, exits, true
from pages import blocks


def test(app):
    machine = app.machine
    enable, monitor, deploy, rollback = blocks("safe-deploy.7", "BY HAND")
    for script in (enable, monitor, deploy, rollback):
        true(f"no safe-deploy in it:\n{script}", not any(line.startswith("safe-deploy ") for line in script.splitlines()))
    app.install(config="[check again]\nwhen = monitor\nhttp = http://127.0.0.1:8080/health")
    app.release("1")
    machine.must("ln -s releases/1 /srv/demo/current && systemctl start demo.service")

    machine.must(f"set -e\n{enable}")
    machine.must(f"set -e\n{monitor}")
    app.runs("1", good=["1"])
    true("the unit is guarded", "safe-deploy-failed@demo" in app.property("OnFailure"))
    equal("it has limits", app.property("StartLimitBurst"), "3")
    # As `enable` would have it: there is nothing left to do.
    told = machine.must("safe-deploy enable demo --dry-run")
    equal("what is lacking", told.splitlines(), ["nothing would be changed"])

    app.release("2")
    app.release("3")  # newer, but not what is asked for
    exits(machine.run(f"set -e\n{deploy}"), 0)
    app.settle()
    app.runs("2", good=["1", "2"])

    app.release("4", "status 503")
    exits(machine.run(f"set -e\n{deploy.replace(' 2 ', ' 4 ')}"), 1)
    machine.until("release-mark --app demo --is idle")
    app.settle()
    app.runs("2", good=["1", "2"], bad=["4"])

    exits(machine.run(f"set -e\n{rollback}"), 0)
    app.settle()
    app.runs("1", good=["1"], bad=["2", "4"])
