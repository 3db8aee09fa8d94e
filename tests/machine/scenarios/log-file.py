"""The drop-in of safe-deploy(7) for a file in /var/log: the messages of all steps are in it, in order, none twice."""

from app import exits, true
from pages import blocks


def test(app):
    machine = app.machine
    journal, log_file = blocks("safe-deploy.7", "LOGS")
    app.running("1")
    machine.must(f"set -e\n{log_file}")

    app.release("2")
    exits(app.deploy(), 0)
    app.settle()
    app.release("3", "status 503")
    exits(app.deploy(), 3)
    app.settle()
    app.runs("2", good=["1", "2"], bad=["3"])

    log = machine.must("cat /var/log/safe-deploy-demo.log")
    rest = log
    for message in ("preflight[", "/srv/demo/current: releases/1 -> releases/2", "2 is good", "/srv/demo/current: releases/2 -> releases/3",
                    "503", "rolling back", "/srv/demo/current: releases/3 -> releases/2", "rolled back from 3 to 2"):
        true(f"{message!r} is told in its place:\n{log}", message in rest)
        rest = rest.split(message, 1)[1]
    # What systemd itself says at the end of a unit comes with the next one.
    told = machine.must(f"{journal.strip()} -q -o short-iso")
    true(f"the file is the journal, as far as it goes:\n{log}\n---\n{told}", told.startswith(log))
    # Nothing is lost by it: the command has its show, and the journal its fields.
    true("the journal has the messages", "rolled back" in machine.must("journalctl SAFE_DEPLOY_APP=demo SAFE_DEPLOY_RELEASE=2"))
