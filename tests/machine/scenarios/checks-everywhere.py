"""Every kind of check, each at every time that it can be asked: preflight, health, watch and monitor."""

import json
import re

from app import equal, exits, says_why, true

SERVICES = True

# A server with what every instrumented Python program tells of itself, and a counter that nothing moves.
METRICS = """\
import signal
from prometheus_client import Counter, start_http_server
Counter("idle", "Never moves.")
start_http_server(9100, "127.0.0.1")
signal.pause()
"""

METRICS_UNIT = "[Service]\nExecStart=/usr/bin/python3 /srv/metrics.py\nUser=www-data\n"

# A name that begins so is none of the checks that always exist.
KINDS = {
    "a-http": "http = http://127.0.0.1:8080/health\nexpect-json = .status == \"healthy\"",
    "a-tcp": "tcp = 127.0.0.1:8080\nsend = GET /health HTTP/1.0\\r\\n\\r\\n\nexpect = \"healthy\"",
    "a-listening": "listening = 127.0.0.1:8080",
    "a-port-free": "port-free = 127.0.0.1:8079",
    "a-unit": "unit = metrics.service",
    "a-restarts": "restarts = metrics.service",
    "a-disk": "disk = /srv\nused-max = 99%",
    "a-inodes": "inodes = /srv\nused-max = 99%",
    "a-memory": "memory = 1M",
    "a-load": "load = 1000",
    "a-pressure": "pressure = memory\nmax = 90%",
    "a-certificate": "certificate = /srv/server.pem\nvalid-for = 30d",
    "a-environment": "environment = DATABASE",
    "a-exec": "exec = /usr/lib/nagios/plugins/check_dummy 0 'all is well'",
    "a-path": "path = /srv/demo/current/data\nowner = root\nmode = 0644\nage-max = 2h",
    "a-journal": "journal = demo.service",
    "a-unit-memory": "unit-memory = demo.service\nmax = 500M",
    "a-metric": "metric = process_resident_memory_bytes\nurl = http://127.0.0.1:9100/metrics\nmax = 500000000",
    # 0 / 0: there is nothing to judge.
    "a-idle": "metric = rate(idle_total[100ms]) / rate(idle_total[100ms])\nurl = http://127.0.0.1:9100/metrics\nmax = 0.1",
}
WHEN = ("preflight", "health", "watch", "monitor")
CONFIG = "".join(f"[check {name}]\nwhen = {', '.join(WHEN)}\n{text}\n\n" for name, text in KINDS.items())
# What the kernel of the machine that runs the tests may lack.
MAY_BE_SKIPPED = {"a-pressure"}


def test(app):
    machine = app.machine
    machine.write({"/srv/metrics.py": METRICS, "/etc/systemd/system/metrics.service": METRICS_UNIT})
    machine.must("openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj /CN=demo -days 60 "
                 "-keyout /srv/server.key -out /srv/server.pem")
    machine.must("systemctl daemon-reload && systemctl start metrics.service")
    app.install(config=CONFIG, service="Environment=DATABASE=demo")
    app.release("1", data="1")
    machine.must("ln -s releases/1 /srv/demo/current && systemctl start demo.service")
    machine.until("(for at in 8080/health 9100/metrics; do curl --silent --fail --output /dev/null http://127.0.0.1:$at || exit 1; done)")
    machine.must("safe-deploy enable demo")

    # The guard of each start and the deploy's own unit ask all of them in their sandboxes.
    app.release("2", data="2")
    exits(app.deploy(), 0)
    app.runs("2", good=["1", "2"])

    for when in WHEN:
        finished = machine.run(["preflight", "--app", "demo", "--when", when, "--json"])
        exits(finished, 0)
        is_well(f"preflight --when {when}", json.loads(finished.out)["checks"])
        table = machine.must(["preflight", "--app", "demo", "--when", when])
        true(f"the table tells why it was skipped:\n{table}", re.search(r"^a-idle +SKIP +\S.* \S", table, re.MULTILINE))
    waited = json.loads(machine.must("health-wait --app demo --json"))
    equal("health-wait's outcome", waited["outcome"], "healthy")
    equal("the checks that health-wait asked", {each["name"] for each in waited["checks"]} & set(KINDS), set(KINDS))

    # Each of them alone is asked, and nothing else.
    for name in KINDS:
        told = json.loads(machine.must(["preflight", "--app", "demo", "--only", name, "--json"]))["checks"]
        equal("the checks asked", [each["name"] for each in told], [name])

    # A no of a kind that is not HTTP ends a deploy at each of its gates.
    app.release("3")
    exits(app.deploy(), 3, "/srv/demo/current/data")
    app.settle()
    app.runs("2", good=["1", "2"], bad=["3"])
    says_why(app, "3", "/srv/demo/current/data")
    machine.must("rm /srv/demo/releases/2/data")
    for when in WHEN:
        app.check("a-path", "failed", "/srv/demo/current/data", when=when)
    exits(machine.run("health-wait --app demo --attempts 1"), 1, "/srv/demo/current/data")
    app.release("4", data="4")
    app.refuses("a-path")

    # What cannot be asked is an objection only where it is required.
    machine.must("touch /srv/demo/releases/2/data")
    app.configure("[check a-idle]\nrequired = yes\n")
    for when in WHEN:
        app.check("a-idle", "failed", when=when)
    app.refuses("a-idle")
    app.configure("")
    exits(app.deploy(), 0)
    app.runs("4", good=["1", "2", "4"], bad=["3"])


def is_well(what, checks):
    """All of KINDS were asked, and said yes as far as they could be asked."""
    verdicts = {each["name"]: each["verdict"] for each in checks}
    equal(f"{what}: not asked", set(KINDS) - set(verdicts), set())
    equal(f"{what}: the idle one", verdicts["a-idle"], "skipped")
    wrong = [each for each in checks if each["name"] in KINDS and each["name"] != "a-idle" and each["verdict"] != "ok"
             and not (each["verdict"] == "skipped" and each["name"] in MAY_BE_SKIPPED)]
    equal(f"{what}: what is not ok", wrong, [])
