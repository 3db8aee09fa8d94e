"""Redis, asked for a PONG: running, behind a password, stopped; and an app that says itself whether it has its Redis."""

from app import equal, exits, says_why

SERVICES = True

# An app that asks the Redis at the port in its release's file `redis`.
SERVER = """\
#!/usr/bin/python3 -IS
import http.server, json, os, socket, sys

here = os.path.dirname(os.path.realpath(__file__))

def redis():
    with open(f"{here}/redis") as file:
        where = ("127.0.0.1", int(file.read()))
    try:
        with socket.create_connection(where, timeout=2) as connection:
            connection.sendall(b"PING\\r\\n")
            return "connected" if connection.recv(64) == b"+PONG\\r\\n" else "rejected"
    except OSError:
        return "disconnected"

class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        body = json.dumps({"status": "healthy", "services": {"redis": {"status": redis()}}}).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

http.server.ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Handler).serve_forever()
"""

# The first line is one more of [check answer].
CONFIG = r"""expect-json = .services.redis.status == "connected"

[check redis]
tcp = 127.0.0.1:6379
send = PING\r\n
expect = +PONG
timeout = 2s

[check redis-unit]
unit = redis-server.service
"""


def test(app):
    app.machine.must("systemctl start redis-server.service")
    app.install(config=CONFIG)
    app.release("1", server=SERVER, redis="6379")
    app.machine.must("ln -s releases/1 /srv/demo/current && systemctl start demo.service && safe-deploy enable demo")
    app.check("redis", "ok", "+PONG")
    app.check("redis-unit", "ok", "redis-server.service")
    app.release("2", server=SERVER, redis="6379")
    exits(app.deploy(), 0)
    equal("the link", app.link(), "2")

    app.release("3", server=SERVER, redis="6380")
    exits(app.deploy(), 3, "disconnected")
    app.settle()
    equal("the link", app.link(), "2")
    equal("the verdicts", (app.verdicts("good"), app.verdicts("bad")), (["1", "2"], ["3"]))
    says_why(app, "3", ".services.redis.status", '"disconnected"')

    app.release("4", server=SERVER, redis="6379")
    app.machine.must("redis-cli config set requirepass secret")
    app.check("redis", "failed", "-NOAUTH")
    app.refuses("redis", "-NOAUTH")

    app.machine.must("systemctl stop redis-server.service")
    app.check("redis", "failed", "127.0.0.1:6379")
    app.check("redis-unit", "failed", "redis-server.service")
    app.refuses("redis")

    # Started anew it knows of no password.
    app.machine.must("systemctl start redis-server.service")
    exits(app.deploy(), 0)
    equal("the link", app.link(), "4")
