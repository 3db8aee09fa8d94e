"""The deploy itself is killed in the middle of the health wait: the old release is brought back."""

from app import exits


def test(app):
    app.running("1", attempts=1000)
    app.release("2", "status 503")
    deploy = app.machine.start(["safe-deploy", "deploy", "demo"])
    app.machine.until("pgrep -x health-wait")

    app.machine.must("systemctl kill --signal=KILL safe-deploy@demo.service")

    app.settle()
    exits_with = deploy.wait(60)
    app.runs("1", good=["1"], bad=["2"])
    assert exits_with == 3, exits_with
