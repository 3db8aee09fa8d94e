"""An app that listens on a unix socket as a user of its own: whose socket it is can be told within the sandbox."""

from app import equal, exits

SOCKET = "/run/demo/http"

CONFIG = f"""\
[app]
link = /srv/demo/current
releases = /srv/demo/releases

[port]
listen = unix:{SOCKET}

[health]
timeout = 20s
attempts = 2

[check answer]
when = health, preflight
http = http://demo/health
unix-socket = {SOCKET}
expect-json = .status == "healthy"
"""

UNIT = f"""\
[Service]
ExecStart=/srv/demo/current/server {SOCKET}
User=www-data
RuntimeDirectory=demo
"""


def test(app):
    app.machine.write({"/etc/safe-deploy/demo.conf": CONFIG, "/etc/systemd/system/demo.service": UNIT})
    app.release("1")
    app.machine.must("systemctl daemon-reload && ln -s releases/1 /srv/demo/current && systemctl start demo.service")
    app.machine.until(f"curl --silent --fail --unix-socket {SOCKET} http://demo/health")
    app.machine.must("safe-deploy enable demo")
    app.release("2")
    exits(app.deploy(), 0)
    equal("the link", app.link(), "2")
    app.release("3", "status 503")
    exits(app.deploy(), 3, "503")
    equal("the link", app.link(), "2")
    equal("the verdicts", (app.verdicts("good"), app.verdicts("bad")), (["1", "2"], ["3"]))
