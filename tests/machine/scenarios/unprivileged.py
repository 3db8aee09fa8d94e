"""Before the deploy and in the health gate, what needs no rights is done by a user who has none."""

from app import equal, exits, true

# Answers "healthy", and writes down whose socket asked: the kernel's table of sockets tells the uid of its other end.
WITNESS = """\
#!/usr/bin/python3 -IS
import http.server
class Witness(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        ours, theirs = (f"0100007F:{port:04X}" for port in (9999, self.client_address[1]))
        rows = [row.split() for row in open("/proc/net/tcp")]
        uid = next(row[7] for row in rows if (row[1], row[2]) == (theirs, ours))
        with open("/run/asked-by", "a") as file:
            print(self.path, uid, file=file)
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b'{"status": "healthy"}')
http.server.HTTPServer(("127.0.0.1", 9999), Witness).serve_forever()
"""

CHECKS = """\
[check witness]
when = preflight, health
http = http://127.0.0.1:9999/free
[check with-a-filter]
when = preflight, health
http = http://127.0.0.1:9999/filter
expect-json = [.[] | ascii_downcase] == ["healthy"]
[check with-a-token]
when = preflight, health
http = http://127.0.0.1:9999/token
bearer = /etc/token
[check program]
when = preflight, health
exec = /bin/sh -c 'echo program $(id -u) >> /run/asked-by'
user = nobody
[check root]
when = preflight, health
exec = /bin/sh -c 'echo root $(id -u) >> /run/asked-by'
"""


def test(app):
    machine = app.machine
    machine.write({"/usr/local/lib/witness": WITNESS, "/etc/token": "secret\n"})
    machine.must("chmod 600 /etc/token && touch /run/asked-by && chmod 666 /run/asked-by && systemd-run --quiet /usr/local/lib/witness")
    machine.until("curl --silent --fail http://127.0.0.1:9999/ready")
    app.running("1", config=CHECKS)
    machine.must(": > /run/asked-by")

    app.release("2")
    exits(app.deploy(), 0)

    ours, nobody = (machine.must(["id", "-u", user]).strip() for user in ("_safe-deploy", "nobody"))
    asked = {}
    for line in machine.must("cat /run/asked-by").splitlines():
        what, uid = line.split()
        asked.setdefault(what, set()).add(uid)
    true("who asks is no member of the group that may deploy", "safe-deploy" not in machine.must(["id", "-Gn", "_safe-deploy"]).split())
    equal("who asked", asked, {"/free": {ours}, "/filter": {ours}, "/token": {"0"}, "program": {nobody}, "root": {"0"}})
    count = len([line for line in machine.must("cat /run/asked-by").splitlines() if line.startswith("/free")])
    true(f"asked in the preflight and in both gates: {count} times", count >= 3)
    app.runs("2", good=["1", "2"])
