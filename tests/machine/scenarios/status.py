"""What status, history and plot tell after a good deploy and a bad one, to root and to nobody."""

import json
import xml.etree.ElementTree as ElementTree

from app import equal, exits, true

SVG = "{http://www.w3.org/2000/svg}"
NOBODY = "setpriv --reuid=nobody --regid=nogroup --clear-groups "


def texts(svg):
    return [text.text for text in svg.iter(f"{SVG}text")]


def dots(svg):
    """What is told of each dot on a bar; the marks beside the words below are no dots."""
    told = [title.text for kind in ("circle", "g") for each in svg.iter(SVG + kind) for title in each.findall(f"{SVG}title")]
    return [text for text in told if text not in ("yes", "no")]


def test(app):
    machine = app.machine
    app.running("1")
    app.release("2")
    exits(app.deploy(), 0)
    app.release("3", "status 503")
    exits(app.deploy(), 3)
    app.settle()

    def plot(*arguments):
        finished = machine.run(["safe-deploy", "plot", "demo", *arguments])
        exits(finished, 0)
        equal("what plot complains of", finished.err, "")
        return ElementTree.fromstring(finished.out)

    # The history.
    bad, good = json.loads(machine.must("safe-deploy history demo --json"))["deploys"][:2]
    equal("the deploys", [(each["release"], each["from"], each["outcome"]) for each in (bad, good)],
          [("3", "2", "rolled-back"), ("2", "1", "good")])
    true(f"why it was rolled back: {bad['reason']}", "503" in bad["reason"])
    table = machine.must("safe-deploy history demo").splitlines()
    true(f"the table has the newest first: {table}", table[1].split()[3:5] == ["3", "2"] and "503" in table[1])

    # The pictures: each phase, and a dot for each answer of a gate that the journal has.
    answers = [json.loads(line) for line in machine.must(
        "journalctl --output=json SYSLOG_IDENTIFIER=health-wait SYSLOG_IDENTIFIER=port-wait --since "
        f"'{good['started'][:10]} {good['started'][11:19]} UTC'").splitlines()]
    answers = [each["MESSAGE"] for each in answers if each["PRIORITY"] != "4"]
    second, first = plot(), plot("2")
    phases = ["checks", "swap", "stop", "port", "start", "health"]
    equal("the phases of a good deploy", [text for text in texts(first) if text in [*phases, "rollback", "restart"]], phases)
    told = texts(second)
    equal("the phases of a bad one", [text for text in told[told.index("checks"):told.index("rollback")] if text in phases], phases)
    rollback = told[told.index("rollback"):]
    for phase in ("swap", "port", "start", "health"):
        true(f"the rollback has {phase}: {rollback}", phase in rollback)
    shown = dots(first) + dots(second)
    true(f"healthy answers and others: {shown}", any("503" in each for each in shown) and any("healthy" in each for each in shown))
    for answer in answers:
        true(f"a dot for {answer!r} of {shown}", any(answer in each for each in shown))
    equal("the number of dots", len(shown), len(answers))

    # How it stands.
    status = machine.must("safe-deploy status demo")
    pid = app.property("MainPID")
    for words in ("current: 2 (good)", f"(pid {pid}, uid 33, demo.service)", "3 from 2, rolled-back", "active (running)"):
        true(f"status tells {words!r}:\n{status}", words in status)
    told = json.loads(machine.must("safe-deploy status demo --json"))
    equal("the releases", [(each["release"], each["verdict"]) for each in told["all_releases"]], [("3", "bad"), ("2", "good"), ("1", "good")])
    equal("who holds the port", (told["port"]["holder"]["pid"], told["port"]["holder"]["unit"]), (int(pid), "demo.service"))

    # A release on probation, and its picture when that is over.
    app.configure("[watch]\nduration = 4s\n")
    app.release("4")
    machine.must("systemctl start safe-deploy@demo.service")
    told = json.loads(machine.must("safe-deploy status demo --json"))
    equal("the phase", (told["phase"], told["candidate"], told["last_deploy"]["outcome"]), ("probation", "4", "probation"))
    true(f"what is left of it: {told['probation_left']}", 0 < told["probation_left"] <= 4)
    true(f"nothing is to be done about it: {told['next']}", not any("probation" in each["why"] for each in told["next"]))
    true("its picture goes on", "probation" in texts(plot()) and any("so far" in text for text in texts(plot())))
    machine.until("release-mark --app demo --is idle")
    app.settle()
    equal("what came of it", json.loads(machine.must("safe-deploy history demo --json -n 1"))["deploys"][0]["outcome"], "good")
    true("the probation is drawn", "probation" in texts(plot()) and not any("so far" in text for text in texts(plot())))
    app.configure("")

    # Nobody gets to see the same, but for what only root may look at.
    for command in ("status", "status demo", "history demo"):
        exits(machine.run(f"{NOBODY}safe-deploy {command}"), 0, "4")
    blind = machine.run(f"{NOBODY}safe-deploy plot demo")
    exits(blind, 0)
    true(f"what nobody is told: {blind.err}", "journal: cannot be read" in blind.err)
    told = texts(ElementTree.fromstring(blind.out))
    true(f"drawn from the history: {told}", "restart" in told and "probation" in told)

    # What is wrong comes with what to do.
    machine.must("systemctl stop demo.service")
    told = json.loads(machine.must(f"{NOBODY}safe-deploy status demo --json"))
    equal("what to do", told["next"][0], {"why": "demo.service does not run", "commands": ["systemctl start demo.service"]})
    machine.must(told["next"][0]["commands"][0])
    next_steps = json.loads(machine.must("safe-deploy status demo --json"))["next"]
    true(f"nothing is to be done for the unit: {next_steps}", all("demo.service" not in each["why"] for each in next_steps))
