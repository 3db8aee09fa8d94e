"""alive as its README sets it up: staging, production, a rollback; a crash is restarted; all of it removed."""

from app import exits
from examples import follow, removed, set_up

SERVICES = True


def test(machine):
    readme, staging, production = set_up(machine, "alive")
    for app in (staging, production):
        app.runs("dist.1", good=["dist.1"])
        app.configure("[watch]\nduration = 0\n")

    follow(machine, readme, 1)
    for app in (staging, production):
        app.settle()
    staging.runs("dist.2", good=["dist.1", "dist.2"])
    production.runs("dist.1", good=["dist.1"], bad=["dist.2"])

    # One that crashes is there again soon, behind the same gate; the release is not blamed.
    machine.write({f"/etc/systemd/system/{staging.unit}.d/90-soon.conf": "[Service]\nRestartSec=100ms\n"})
    machine.must("systemctl daemon-reload")
    before = staging.property("InvocationID")
    machine.must(f"systemctl kill --signal=KILL {staging.unit}")
    machine.until(f"systemctl show --property=InvocationID --property=ActiveState {staging.unit} | grep -qv {before} "
                  f"&& test $(systemctl show --property=NRestarts --value {staging.unit}) = 1 && systemctl is-active --quiet {staging.unit}")
    staging.settle()
    staging.runs("dist.2", good=["dist.1", "dist.2"])

    exits(production.rollback(), 1, "no good release to roll back to")
    production.runs("dist.1", good=["dist.1"], bad=["dist.2"])
    removed(machine, readme, 2)
