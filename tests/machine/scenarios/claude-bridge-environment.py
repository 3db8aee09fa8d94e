"""claude-bridge: too little memory or disk, a unit in failed state, Redis and the database down, before a deploy and in the middle of one."""

from app import equal, exits, true
from examples import quick, set_up

SERVICES = True
OLD, NEW = "dist.20260203-123600", "dist.20260203-151116"
DATABASES = "postgresql.service 'postgresql@*.service'"


def connected(app):
    """The HTTP status, and which of the services the app says it has."""
    status, answer = app.answer()
    return status, {name: service["status"] for name, service in answer["services"].items()}


def incidents(app):
    return app.machine.must(f"safe-deploy incidents {app.name}")


def test(machine):
    machine.must("mount -t tmpfs -o size=20m tmpfs /srv")  # small, so that it is soon full
    _, staging, app = set_up(machine, "claude-bridge")
    app.build(NEW, 'exec "$(dirname "$0")/real"')

    for name, threshold in (("memory", "500M"), ("disk", "80%")):
        true(f"{threshold} is told", threshold in app.check(name, "ok")["message"])
    machine.must("fallocate --length 17M /srv/ballast")
    app.refuses("disk", "80%")
    machine.must("rm /srv/ballast")
    app.configure(quick(limits="memory-available-min = 1000T"))
    app.refuses("memory", "1000")
    exits(machine.run(f"safe-deploy check {app.name}"), 1, "memory")
    app.configure(quick())
    exits(machine.run(f"safe-deploy check {app.name}"), 0)

    # Redis goes, and the database: the answer says so, a deploy is refused, and what runs goes on running.
    machine.must("systemctl stop redis-server.service")
    equal("the answer", connected(app), (503, {"redis": "disconnected", "database": "connected"}))
    app.check("redis", "failed", "127.0.0.1:6379")
    app.refuses("health", ".services.redis.status")
    machine.must(f"systemctl start safe-deploy-monitor@{app.name}.service")
    for check in ("redis", "api"):
        true(f"an incident tells of {check}", f"{check}:" in incidents(app))
    machine.must(f"systemctl start redis-server.service && systemctl stop {DATABASES}")
    equal("the answer", connected(app), (503, {"redis": "connected", "database": "disconnected"}))
    app.check("database", "failed")
    app.refuses("health", ".services.database.status")
    machine.must("systemctl start postgresql.service")
    machine.must(f"systemctl start safe-deploy-monitor@{app.name}.service")
    for check in ("redis", "api", "database"):
        true(f"no incident is open about {check} when all is well again", f"{check}:" not in incidents(app))
    exits(app.deploy(), 0)
    app.settle()
    app.runs(NEW, good=[OLD, NEW])

    # Without Redis no start is healthy: after three of them the unit stays down, and a deploy says what to do.
    before = app.starts(NEW)
    machine.write({f"/etc/systemd/system/{app.unit}.d/90-soon.conf": "[Service]\nRestartSec=100ms\n"})
    machine.must("systemctl daemon-reload && systemctl mask --quiet --runtime --now redis-server.service")
    machine.must(f"systemctl reset-failed {app.unit} && systemctl kill --signal=KILL {app.unit}")
    machine.until(f"test $(systemctl show --property=ActiveState --value {app.unit}) = failed")
    app.settle()
    equal("how often it was started", app.starts(NEW) - before, 3)
    equal("the verdicts", (app.verdicts("good"), app.verdicts("bad")), ([OLD, NEW], []))
    app.build("dist.20260204-090000")
    app.refuses("unit", f"systemctl reset-failed {app.unit}")
    machine.must(f"systemctl unmask --quiet --runtime redis-server.service && systemctl start redis-server.service "
                 f"&& systemctl reset-failed {app.unit} && systemctl start {app.unit}")
    app.runs(NEW, good=[OLD, NEW])
    exits(app.deploy(), 0)
    app.settle()
    app.runs("dist.20260204-090000", good=[OLD, NEW, "dist.20260204-090000"])

    # In the middle of a deploy: nobody can tell whose fault it is. Neither release is healthy, so a person is called.
    machine.write({f"/etc/systemd/system/safe-deploy@{app.name}.service.d/hook.conf":
                   "[Service]\nExecStartPre=+/usr/bin/systemctl mask --runtime --now redis-server.service\n"})
    machine.must("systemctl daemon-reload")
    app.build("dist.20260205-090000")
    exits(app.deploy(), 4, ".services.redis.status")
    app.settle()
    app.is_stuck(good=[OLD, NEW, "dist.20260204-090000"], bad=["dist.20260205-090000"])
    machine.must(f"rm /etc/systemd/system/safe-deploy@{app.name}.service.d/hook.conf && systemctl daemon-reload && "
                 f"systemctl unmask --quiet --runtime redis-server.service && systemctl start redis-server.service && "
                 f"systemctl reset-failed {app.unit} && release-mark --app {app.name} clear dist.20260205-090000")
    exits(app.deploy(), 0)
    app.settle()
    app.runs("dist.20260205-090000", good=[OLD, NEW, "dist.20260204-090000", "dist.20260205-090000"])
    staging.settle()
