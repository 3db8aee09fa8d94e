"""The machine goes down while a release is on probation: that begins again, and is a watched one."""

from app import equal, says, true


def test(app):
    app.running("1")
    app.probation("2", "turns 503")
    app.watches()
    before = app.ledger()["since"]

    app.machine.crash()
    app.machine.boot()

    # The boot is over, and does not wait for the end of the probation.
    app.machine.until("systemctl is-system-running | grep -qx running")
    app.watches()
    app.runs("2", good=["1"], phase="probation")
    true("it began in this boot", app.ledger()["since"]["boot"] != before["boot"])
    says(app.machine.run("journalctl -b --output=cat SAFE_DEPLOY_APP=demo"), "the probation of 2 begins again")
    equal("incidents", app.incidents(), [])

    app.machine.must("touch /srv/demo/releases/2/sick")
    app.machine.until("release-mark --app demo --is idle")
    app.settle()
    app.runs("1", good=["1"], bad=["2"])
