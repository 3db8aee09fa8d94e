"""An app that counts its requests for Prometheus: a ratio of rates, a quantile and a plain sample, each good and bad."""

from contextlib import contextmanager

import processes
from app import exits, says_why

SERVICES = True

SERVER = """\
#!/usr/bin/python3
import http.server, json, os, sys, time
from prometheus_client import CONTENT_TYPE_LATEST, Counter, Gauge, Histogram, generate_latest

here = os.path.dirname(os.path.realpath(__file__))
requests = Counter("app_requests", "Requests by their status.", ["status"])
latency = Histogram("app_latency_seconds", "How long they took.", buckets=[0.1, 0.5, 1, 5])
pending = Gauge("app_migrations_pending", "What is still to be done to the database.")
with open(f"{here}/pending") as file:
    pending.set(int(file.read()))

class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        path = self.path.split("?")[0]
        if path == "/metrics":
            return self.answer(200, CONTENT_TYPE_LATEST, generate_latest())
        if path == "/health":
            body = {"status": "healthy", "release": os.path.basename(here), "pid": os.getpid()}
            return self.answer(200, "application/json", json.dumps(body).encode())
        status = 503 if path == "/fails" else 200
        with latency.time():
            if path == "/slow":
                time.sleep(0.6)
        requests.labels(str(status)).inc()
        self.answer(status, "text/plain", b"")

    def answer(self, status, kind, body):
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass

class Server(http.server.ThreadingHTTPServer):
    request_queue_size = 128

Server(("127.0.0.1", int(sys.argv[1])), Handler).serve_forever()
"""

CONFIG = """\
[check errors]
metric = rate(app_requests_total{status=~"5.."}[1s]) / rate(app_requests_total[1s])
url = http://127.0.0.1:8080/metrics
max = 0.05

[check latency]
metric = histogram_quantile(0.95, app_latency_seconds_bucket)
url = http://127.0.0.1:8080/metrics
max = 0.5

[check migrated]
when = preflight, health
metric = app_migrations_pending
url = http://127.0.0.1:8080/metrics
max = 0
"""


@contextmanager
def requests(app, path):
    """Requests, some ten in a second, for as long as the block lasts."""
    asking = app.machine.start(["curl", "--silent", "--rate", "20/s", f"http://127.0.0.1:8080/{path}?[1-100000]"])
    try:
        yield
    finally:
        processes.end(asking)
        processes.finish(asking)


def release(app, name, pending=0):
    app.release(name, server=SERVER, pending=str(pending))


def test(app):
    app.install(config=CONFIG)
    release(app, "1")
    app.machine.must("ln -s releases/1 /srv/demo/current && systemctl start demo.service && safe-deploy enable demo")

    # Nobody asks for anything: there is nothing to judge, which is not the same as all being well.
    app.check("errors", "skipped")
    app.check("latency", "skipped")
    app.check("migrated", "ok")

    with requests(app, "works"):
        app.check("errors", "ok")
    app.check("latency", "ok")
    with requests(app, "works"), requests(app, "fails"):
        release(app, "2")
        app.check("errors", "failed", "0.05")
        app.refuses("errors")
    # Much of what was asked for since the start was slow.
    app.machine.must("curl --silent --parallel --parallel-max 50 'http://127.0.0.1:8080/slow?[1-50]'")
    app.check("latency", "failed", "0.5")
    app.refuses("latency")
    app.configure("[check latency]\nlevel = warning\n")
    app.check("latency", "warning")

    exits(app.deploy(), 0)
    app.runs("2", good=["1", "2"])
    app.check("latency", "skipped")  # it has been counted anew since the start

    # The health gate reads them too.
    release(app, "3", pending=4)
    exits(app.deploy(), 3, "app_migrations_pending", "4")
    app.settle()
    app.runs("2", good=["1", "2"], bad=["3"])
    says_why(app, "3", "app_migrations_pending")

    app.configure("[check migrated]\nmetric = app_no_such_metric\n")
    app.check("migrated", "failed", "app_no_such_metric")
    app.machine.must("systemctl stop demo.service")
    app.check("errors", "failed", "127.0.0.1:8080")
