"""What the app logs at a bad priority is told, and what systemd or our own tools say of it is not held against it."""

import json

from app import equal, exits, true

CHECK = """\
[check log]
journal = demo.service
"""


def log(app, text, priority="err", identifier=None, count=1):
    """A message from within the app's unit, as its stderr makes it."""
    prefix = {"err": "<3>", "warning": "<4>", "info": ""}[priority]
    name = f" --identifier={identifier}" if identifier else ""
    group = app.machine.must("systemctl show --property=ControlGroup --value demo.service").strip()
    # A process of the unit: in its cgroup, and there until the journal, which asks who wrote a line when it reads it, has done so.
    app.machine.must(
        "root=$(findmnt --first-only --noheadings --types cgroup2 --output TARGET);"
        f"echo $$ > $root{group}/cgroup.procs; systemd-cat --priority=info{name} "
        f"sh -c 'for i in $(seq {count}); do echo \"{prefix}{text}\"; done; journalctl --sync'")


def test(app):
    machine = app.machine

    def ask(*keys, user=""):
        app.configure(CHECK + "".join(f"{key}\n" for key in keys))
        finished = machine.run(f"{user} preflight --app demo --only log --json")
        told = json.loads(finished.out)["checks"][0]
        return told["verdict"], told["reason"], told["message"]

    app.running("1")
    machine.must("journalctl --sync")
    equal("a clean log", ask(), ("ok", "ok", "demo.service logged nothing of priority err or worse since it was started"))
    verdict, reason, _ = ask(user="setpriv --reuid=nobody --clear-groups")
    equal("somebody who may not read it", (verdict, reason), ("skipped", "journal"))

    log(app, "a warning", "warning")
    equal("less than asked for", ask()[0], "ok")
    equal("a warning, asked for", ask("priority = warning")[2],
          'demo.service logged 1 message of priority warning or worse since it was started: "a warning"')

    log(app, "health-wait: not healthy", identifier="health-wait")
    equal("our own tool", ask()[0], "ok")
    # systemd says about the unit, at a bad priority, what is not the app's.
    machine.must("systemctl kill --signal=KILL --kill-whom=main demo.service; ! systemctl is-active --quiet demo.service || sleep 0.2")
    machine.must("systemctl reset-failed demo.service; systemctl start demo.service; journalctl --sync")
    equal("another invocation", ask(), ("ok", "ok", "demo.service logged nothing of priority err or worse since it was started"))

    log(app, "no database")
    log(app, "no cache")
    equal("errors", ask(), ("failed", "logged", "demo.service logged 2 messages of priority err or worse since it was started, "
                            'the first: "no database", the last: "no cache"'))
    equal("what is known", ask("ignore = ^no data", "ignore = cache$")[0], "ok")
    equal("in the last minute", ask("since = 1m", "ignore = cache")[2],
          'demo.service logged 1 message of priority err or worse in the last 1m: "no database"')
    machine.must("systemctl restart demo.service; journalctl --sync")
    equal("it was started anew", ask()[0], "ok")
    equal("in the last hour", ask("since = 1h")[0], "failed")

    # A flood costs neither memory nor time.
    log(app, "flood", count=100_000)
    equal("the flood", ask()[:2], ("failed", "logged"))
    measured = machine.run("python3 -c 'import resource, subprocess; subprocess.run([\"preflight\", \"--app\", \"demo\", \"--only\", \"log\"]);"
                           "print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)'")
    true(f"the flood is told: {measured}", "logged 1000 or more messages" in measured.out)
    true(f"less than 64 MB: {measured}", int(measured.out.split()[-1]) < 64 * 1024)

    # A deploy is refused by it.
    app.release("2")
    exits(app.deploy(), 1, "flood")
    equal("the link", app.link(), "1")
