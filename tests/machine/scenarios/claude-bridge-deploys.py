"""claude-bridge as its README sets it up: deploys to staging and to production, an emergency rollback, all of it removed."""

from app import equal, exits, true
from examples import follow, removed, set_up

SERVICES = True
OLD, NEW = "dist.20260203-123600", "dist.20260203-151116"
PROBATION = "[watch]\nduration = {}\n"


def test(machine):
    readme, staging, production = set_up(machine, "claude-bridge")
    for app in (staging, production):
        app.runs(OLD, good=[OLD])
        app.configure(PROBATION.format("1s"))
        # What there is to be monitored is, every five minutes.
        timer = app.properties("ActiveState", "TimersMonotonic", "TimersCalendar", unit=f"safe-deploy-monitor@{app.name}.timer")
        equal("the monitor's timer", timer["ActiveState"], "active")
        true(f"it goes off every five minutes: {timer}", "5min" in timer["TimersMonotonic"] or "0/5" in timer["TimersCalendar"])

    follow(machine, readme, 1)
    staging.settle()
    staging.runs(NEW, good=[OLD, NEW], previous=OLD)
    production.runs(OLD, good=[OLD])

    exits(staging.deploy(), 0)
    exits(staging.deploy(NEW), 0)
    equal("nothing was deployed twice", len([event for event in staging.history() if event["event"] == "swap-intended"]), 1)

    follow(machine, readme, 2)
    production.settle()
    production.runs(NEW, good=[OLD, NEW], previous=OLD)

    follow(machine, readme, 3)
    production.runs(OLD, good=[OLD], bad=[NEW])
    staging.runs(NEW, good=[OLD, NEW])

    # What somebody has rolled back from is deployed again only by force.
    exits(production.deploy(NEW), 1, "bad")
    production.runs(OLD, good=[OLD], bad=[NEW])
    exits(production.deploy(NEW, "--force"), 0)
    production.settle()
    production.runs(NEW, good=[OLD, NEW])

    # By name, and while the release is on probation.
    exits(production.rollback("--to", OLD), 0, OLD)
    production.build("dist.20260204-090000")
    production.configure(PROBATION.format("1h"))
    exits(production.deploy(), 0)
    production.runs("dist.20260204-090000", good=[OLD], bad=[NEW], phase="probation")
    exits(production.rollback(), 0, OLD)
    production.runs(OLD, good=[OLD], bad=[NEW, "dist.20260204-090000"])

    removed(machine, readme, 4)
