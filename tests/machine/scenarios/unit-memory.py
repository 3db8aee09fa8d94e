"""The memory of a unit is measured by systemd or by its processes, held against its limits, and skipped where it cannot be."""

import json

from app import equal, true

HOG = """\
#!/usr/bin/python3
import subprocess, sys, time
held = bytearray(b"x") * (60 << 20)
if len(sys.argv) == 1:
    subprocess.Popen([sys.executable, __file__, "child"])
open(f"/run/hog/{len(sys.argv)}", "w").close()
time.sleep(1000)
"""


def test(app):
    machine = app.machine

    def ask(*keys, unit="hog.service", user=""):
        app.configure("".join(f"{line}\n" for line in ("[check memory-of]", f"unit-memory = {unit}", *keys)))
        finished = machine.run(f"{user} preflight --app demo --only memory-of --json")
        told = json.loads(finished.out)["checks"][0]
        return told["verdict"], told["reason"], told["message"], told["figures"]

    app.install()
    machine.write({"/usr/local/bin/hog": HOG, "/etc/systemd/system/hog.service": "[Service]\nExecStart=/usr/local/bin/hog\nUser=www-data\n"
                                                                                 "RuntimeDirectory=hog\n"})
    machine.must("systemctl daemon-reload")
    equal("a unit that does not run", ask("max = 1G")[:2], ("skipped", "inactive"))
    equal("a unit that is not there", ask("max = 1G", unit="no.service")[:2], ("failed", "not-loaded"))

    machine.must("systemctl start hog.service")
    machine.until("test -e /run/hog/1 && test -e /run/hog/2")
    by_kernel = app.property("MemoryCurrent", unit="hog.service").isdigit()
    verdict, reason, message, figures = ask("max = 1G")
    equal("enough is allowed", (verdict, reason), ("ok", "ok"))
    true(f"both processes count, and little else: {message}", 120 << 20 <= figures["unit-memory"] <= 200 << 20)
    equal("the processes are asked where systemd does not measure", "PSS" in message, not by_kernel)
    equal("too much", ask("max = 100M")[:2], ("failed", "high"))
    equal("one ask sees no growth", ask("growth-max = 1M")[:2], ("skipped", "no-earlier"))
    if not by_kernel:
        # Nobody may look into the processes of another user.
        verdict, reason, message, _ = ask("max = 1G", user="setpriv --reuid=nobody --clear-groups")
        equal("without permission", (verdict, reason), ("skipped", "not-measured"))
        true(f"it is told why: {message}", "Permission denied" in message)
    equal("no limit is an error of the configuration", machine.run("preflight --app demo --list").code, 0)
    app.configure("[check memory-of]\nunit-memory = hog.service\n")
    equal("no limit is an error of the configuration", machine.run("preflight --app demo --list").code, 78)
