"""`enable` starts the monitor's timer where a check is for it, and stops it where none is any more; `disable` stops it."""

from app import equal, exits, true

TIMER = "safe-deploy-monitor@demo.timer"
CHECK = "[check disk-of-app]\nwhen = monitor\ndisk = /srv/demo\n"


def test(app):
    machine = app.machine

    def timer():
        return (machine.run(f"systemctl is-enabled {TIMER}").out.strip(), machine.run(f"systemctl is-active {TIMER}").out.strip())

    app.running("1")
    if machine.run(f"systemctl cat {TIMER}").code != 0:
        app.configure(CHECK)
        exits(machine.run("safe-deploy enable demo"), 0, "is not installed", "demo.service is guarded")
        machine.write({"/etc/systemd/system/safe-deploy-monitor@.timer": "[Timer]\nOnActiveSec=5min\n[Install]\nWantedBy=timers.target\n",
                       "/etc/systemd/system/safe-deploy-monitor@.service": "[Service]\nType=oneshot\nExecStart=/bin/true\n"})
        machine.must("rm -r /etc/safe-deploy/demo.conf.d && systemctl daemon-reload && safe-deploy enable demo")
    equal("the timer without such a check", timer(), ("disabled", "inactive"))

    app.configure(CHECK)
    exits(machine.run("safe-deploy enable demo --dry-run"), 0, f"would enable {TIMER}\n", f"would start {TIMER}\n")
    equal("the timer after a dry run", timer(), ("disabled", "inactive"))
    exits(machine.run("safe-deploy enable demo"), 0)
    machine.until(f"systemctl is-active {TIMER}")
    equal("the timer", timer(), ("enabled", "active"))
    equal("what would be changed now", machine.must("safe-deploy enable demo --dry-run"), "nothing would be changed\n")

    machine.must("rm -r /etc/safe-deploy/demo.conf.d")
    exits(machine.run("safe-deploy enable demo"), 0)
    machine.until(f"! systemctl is-active {TIMER}")
    equal("the timer without such a check", timer(), ("disabled", "inactive"))

    app.configure(CHECK)
    exits(machine.run("safe-deploy enable demo"), 0)
    told = machine.must("safe-deploy disable demo --dry-run")
    for line in (f"would disable {TIMER}", f"would stop {TIMER}"):
        true(f"{line}:\n{told}", line in told.splitlines())
    exits(machine.run("safe-deploy disable demo"), 0)
    machine.until(f"! systemctl is-active {TIMER}")
    equal("the timer", timer(), ("disabled", "inactive"))
