"""A deploy of an app that was never enabled: no guard, and a unit that nothing refers to."""

from app import equal, exits


def test(app):
    app.install()
    app.machine.must("systemctl --quiet disable demo.service")
    app.release("1")
    app.machine.must("ln -s releases/1 /srv/demo/current && systemctl start demo.service")
    app.machine.until("curl --silent --fail http://127.0.0.1:8080/health")
    exits(app.machine.run("release-mark --app demo good 1"), 0)

    app.release("2", "status 503")
    exits(app.deploy(), 3, "503")
    app.settle()
    app.runs("1", good=["1"], bad=["2"])

    # With a unit of another name the deploy would restart the wrong one: refused, until the app is enabled.
    app.machine.must("sed -i 's/^unit = .*/unit = other.service/' /etc/safe-deploy/demo.conf && "
                     "cp /etc/systemd/system/demo.service /etc/systemd/system/other.service && systemctl daemon-reload")
    app.release("3")
    before = app.snapshot()
    exits(app.deploy(), 1)
    app.settle()
    equal("everything", app.snapshot(), before)
    app.machine.must("journalctl -u safe-deploy@demo | grep -q \"run 'safe-deploy enable demo'\"")
