"""`enable --limits` gives the unit the limits of limits.conf, and says where they are needed; `disable` takes them back."""

from app import equal, exits, true

LINK = "/etc/systemd/system/demo.service.d/40-safe-deploy-limits.conf"
ENDLESS = "Restart=always\nRestartSec=5s\nTimeoutStartSec=infinity\n"


def test(app):
    machine = app.machine
    app.running("1", service=ENDLESS)

    def limits():
        return app.properties("StartLimitBurst", "StartLimitIntervalUSec", "TimeoutStartUSec", "Restart", "RestartUSec")

    without = limits()
    exits(machine.run("safe-deploy enable demo"), 0, "is started for ever", "TimeoutStartSec= is infinity", "--limits")

    exits(machine.run("safe-deploy enable demo --limits --dry-run"), 0, f"would link {LINK} -> /usr/lib/safe-deploy/limits.conf\n")
    equal("the limits after a dry run", limits(), without)
    told = machine.run("safe-deploy enable demo --limits")
    exits(told, 0, "has the limits of limits.conf")
    true(f"no warning: {told}", told.err == "")
    wanted = {"StartLimitBurst": "3", "StartLimitIntervalUSec": "5min", "TimeoutStartUSec": "1min", "Restart": "on-failure", "RestartUSec": "10s"}
    equal("the limits", limits(), wanted)
    # They stay until somebody says otherwise, and deploys are none of the starts that they count.
    told = machine.run("safe-deploy enable demo")
    exits(told, 0, "has the limits of limits.conf")
    true(f"no warning: {told}", told.err == "")
    for release in ("2", "3", "4", "5"):
        app.release(release)
        exits(app.deploy(), 0)
    equal("the limits", limits(), wanted)

    # A gate that is longer than the start is told.
    app.configure("[health]\ntimeout = 2m\n")
    exits(machine.run("safe-deploy enable demo"), 0, "TimeoutStartSec= (1m) is over before [health] timeout", "(2m)")

    exits(machine.run("safe-deploy disable demo"), 0, "nor has it the limits of limits.conf")
    equal("the limits", limits(), without)
    equal("what is left in /etc/systemd", machine.must("find /etc/systemd/system -name '*safe-deploy*'"), "")

    # Who has changed a copy of them keeps it.
    machine.must("mkdir -p /etc/systemd/system/demo.service.d && sed s/=60s/=70s/ /usr/lib/safe-deploy/limits.conf > "
                 f"{LINK} && systemctl daemon-reload")
    exits(machine.run("safe-deploy enable demo && safe-deploy disable demo"), 0)
    equal("the copy's limit", limits()["TimeoutStartUSec"], "1min 10s")
