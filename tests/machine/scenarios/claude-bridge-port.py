"""claude-bridge: another process has the port before a deploy, takes it in the middle of one, and keeps it."""

from app import equal, exits, says_why, true
from examples import quick, set_up

SERVICES = True
OLD = "dist.20260203-123600"

# Takes the port as soon as the old server has let it go, and keeps it until the file is gone.
THIEF = """\
#!/usr/bin/python3
import os, socket, time
while True:
    try:
        held = socket.create_server(("127.0.0.1", 8998))
        break
    except OSError:
        time.sleep(0.0002)
open("/run/stolen", "w").close()
while os.path.exists("/run/keep"):
    time.sleep(0.01)
"""


def test(machine):
    _, app, _ = set_up(machine, "claude-bridge")
    app.configure(quick())

    # Before the deploy.
    app.build("dist.20260301")
    machine.write({"/usr/local/bin/thief": THIEF})
    machine.must(f"touch /run/keep && systemctl stop {app.unit} && systemd-run --quiet --unit=thief /usr/local/bin/thief")
    machine.until("test -e /run/stolen")
    app.refuses("127.0.0.1:8998 is held by thief (pid ", "thief.service")
    machine.must(f"rm /run/keep && systemctl start {app.unit}")
    app.runs(OLD, good=[OLD])

    # In the middle of it, for a while: it is waited for.
    app.configure(quick(free="30s"))
    machine.must("rm /run/stolen && touch /run/keep && systemd-run --quiet --unit=thief-2 /usr/local/bin/thief")
    machine.must(f"systemctl start --no-block safe-deploy@{app.name}.service")
    machine.until("test -e /run/stolen")
    machine.until(f"journalctl --unit={app.unit} | grep -q 'is held by thief (pid .*thief-2.service)'")
    machine.must("rm /run/keep")
    app.settle()
    app.runs("dist.20260301", good=[OLD, "dist.20260301"])

    # And for good: no release can be started, so a person is called.
    app.build("dist.20260302")
    app.configure(quick(free="1s"))
    machine.must("rm /run/stolen && touch /run/keep && systemd-run --quiet --unit=thief-3 /usr/local/bin/thief")
    exits(app.deploy(), 4, "127.0.0.1:8998 is held by thief")
    app.settle()
    equal("the phase", app.ledger()["phase"], "stuck")
    says_why(app, "dist.20260302", "127.0.0.1:8998 is held by thief", "thief-3.service")
    told = machine.journal(f"--unit={app.unit}", "--grep=thief-3.service")
    true("who has it is what somebody reads who looks", "127.0.0.1:8998 is held by thief (pid " in told)
    machine.must(f"rm /run/keep && systemctl reset-failed {app.unit}")
    exits(app.rollback("--to", "dist.20260301"), 0, "dist.20260301")
    app.settle()
    equal("the link", app.link(), "dist.20260301")
    equal("the phase", app.ledger()["phase"], "idle")
    # It had its chance, as far as can be told.
    equal("the verdicts", (app.verdicts("good"), app.verdicts("bad")), ([OLD, "dist.20260301"], ["dist.20260302"]))
