"""The deploy is stopped in the middle, by a person or by a shutdown: what has been moved is rolled back."""

from app import exits


def test(app):
    app.running("1", attempts=1000)
    app.release("2", "status 503")
    deploy = app.machine.start(["safe-deploy", "deploy", "demo"])
    app.machine.until("pgrep -x health-wait && readlink /srv/demo/current | grep -q 2")

    exits(app.machine.run("systemctl stop safe-deploy@demo.service"), 0)

    app.settle()
    exits_with = deploy.wait(60)
    app.runs("1", good=["1"], bad=["2"])
    assert exits_with == 3, exits_with
    app.is_at_rest()
