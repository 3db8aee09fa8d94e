"""The watch is stopped, or the release is called bad: what is on probation is rolled back."""

from app import exits, says_why


def rolled_back(app, release, *bad):
    app.machine.until("release-mark --app demo --is idle")
    app.settle()
    app.runs("1", good=["1"], bad=[*bad, release])
    app.is_at_rest()


def test(app):
    app.running("1")
    app.probation("2")
    app.watches()
    exits(app.machine.run("systemctl stop safe-deploy-watch@demo"), 0)
    rolled_back(app, "2")

    app.probation("3")
    app.watches()
    app.machine.must("release-mark --app demo bad --reason 'it leaks'")
    rolled_back(app, "3", "2")
    says_why(app, "3", "it leaks")
