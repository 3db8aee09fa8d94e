"""A start that takes longer than TimeoutStartSec= goes on where systemd may be asked for more time, and says for what."""

from app import equal, exits

SERVICE = """\
Type=notify
NotifyAccess=all
TimeoutStartSec=3s
ExecStart=
ExecStart=/bin/sh -c 'systemd-notify --ready && exec /srv/demo/current/server 8080'
"""


def test(app):
    app.running("1", service=SERVICE)
    app.release("2", "slow 7")

    app.machine.must("systemctl start --no-block safe-deploy@demo.service")
    app.machine.until("systemctl show --property=StatusText demo.service | grep -q 'health-wait: .*nothing listens on'")
    app.machine.until("curl --silent --fail http://127.0.0.1:8080/health | grep -q '\"release\": \"2\"'")
    app.settle()

    app.runs("2", good=["1", "2"])
    equal("the start limit", app.property("TimeoutStartUSec"), "3s")

    # Where it may not, the wait ends before systemd would end it.
    app.machine.write({"/etc/systemd/system/demo.service.d/90-test.conf": "[Service]\nType=exec\n"})
    app.machine.must("systemctl daemon-reload")
    app.release("2")  # to be gone back to in time
    app.release("3", "slow 7")
    exits(app.deploy(), 3, "3", "TimeoutStartSec= is 3s")
    app.runs("2", good=["1", "2"], bad=["3"])
