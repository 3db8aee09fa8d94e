"""A deploy ends when the probation begins, or with --wait-good at its end: good, or rolled back."""

import json

from app import equal, exits


def test(app):
    machine = app.machine
    app.running("1", config="[watch]\nduration = 3s\n")
    app.release("2")
    exits(app.deploy(), 0, "2 is healthy, on probation until", "(3s)")
    equal("the phase", app.ledger()["phase"], "probation")
    exits(app.deploy(), 75)
    app.is_proved()
    app.runs("2", good=["1", "2"])

    app.release("3")
    finished = app.deploy("--wait-good", "--json")
    exits(finished, 0)
    answer = json.loads(finished.out)
    equal("the object", (answer["outcome"], answer["release"], answer["phases"][-1]["phase"]), ("good", "3", "probation"))
    app.runs("3", good=["1", "2", "3"])

    # It falls ill while it is watched.
    app.release("4")
    app.configure("[watch]\nduration = 60s\n")
    deploy = machine.start("exec safe-deploy deploy demo --wait-good")
    machine.until("grep -q '\"phase\": \"probation\"' /var/lib/safe-deploy/demo/state.json")
    machine.must("systemctl kill --kill-whom=main --signal=KILL demo.service")
    equal("the exit code", deploy.wait(60), 3)
    app.runs("3", good=["1", "2", "3"], bad=["4"])
