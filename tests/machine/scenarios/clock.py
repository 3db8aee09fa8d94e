"""The clock is set back a year or forward ten, before a deploy, within one and across a reboot: nothing is decided by it."""

from app import equal, exits, true
from faults import Deploys, reboot

SERVICES = True
UNITS = ("safe-deploy@", "safe-deploy-rollback@", "safe-deploy-failed@", "safe-deploy-stuck@", "safe-deploy-reconcile@", "safe-deploy-prune@", "safe-deploy-watch@",
         "demo")
# The wall clock only, for our tools; the files' times are the real ones, and so is the app's clock.
CLOCK = "[Service]\nEnvironment=LD_PRELOAD=/usr/$LIB/faketime/libfaketime.so.1 FAKETIME_NO_CACHE=1 FAKETIME_DONT_FAKE_MONOTONIC=1 NO_FAKE_STAT=1\n"


def test(app):
    machine = app.machine
    app.running("100")
    deploys = Deploys(app)
    machine.write({f"/etc/systemd/system/{unit}.service.d/30-clock.conf": CLOCK for unit in UNITS})
    machine.write({"/etc/systemd/system/demo.service.d/40-app.conf":
                   f"[Service]\nExecStart=\nExecStart=/usr/bin/env --unset=LD_PRELOAD {app.home}/current/server {app.port}\n"})
    machine.must("systemctl daemon-reload")

    def set_clock(offset):
        machine.write({"/etc/faketimerc": offset + "\n"})

    def year():
        return int(app.history()[-1]["at"][:4])

    now = year()
    for offset, years in (("-365d", -1), ("+3653d", 10), ("-365d", -1)):
        set_clock(offset)
        deploys.good()
        equal("the year that is recorded", year(), now + years)
        deploys.bad()

        # While the candidate is awaited, it is set to now.
        release = str(100 + len(deploys.verdicts))
        app.release(release, "slow 3")
        deploy = machine.start(["safe-deploy", "deploy", "demo"])
        machine.until("release-mark --app demo --is swapped && pgrep -x health-wait")
        set_clock("+0d")
        equal("the deploy's exit code", deploy.wait(60), 0)
        deploys.verdicts[release] = "good"
        deploys.are_known()

        # Nor after a reboot.
        release = str(100 + len(deploys.verdicts))
        app.release(release, "slow 30")
        machine.start(["safe-deploy", "deploy", "demo"])
        machine.until("release-mark --app demo --is swapped && pgrep -x health-wait")
        set_clock(offset)
        reboot(app)
        equal("the last outcome", app.ledger()["last"]["outcome"], "interrupted")
        deploys.are_known()
    exits(app.rollback(), 0)
    true("the newest good release is the last by name", app.link() < max(name for name, verdict in deploys.verdicts.items() if verdict == "good"))
