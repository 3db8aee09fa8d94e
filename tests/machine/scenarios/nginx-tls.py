"""nginx in front of the app: its certificate with 60 and 10 days left and expired; a deploy whose health is asked through it."""

from app import equal, exits, says_why, true

SERVICES = True

# An authority of our own, and `/srv/pki/issue FROM TO` for a certificate of those days, counted from now.
ISSUE = """\
#!/bin/sh -e
day() { date --utc --date="$1 days" +%y%m%d%H%M%SZ; }
cd /srv/pki
openssl ca -batch -config ca.conf -in server.csr -out server.pem -notext -startdate "$(day "$1")" -enddate "$(day "$2")"
systemctl restart nginx.service
"""

AUTHORITY = """\
[ca]
default_ca = demo
[demo]
database = /srv/pki/index
new_certs_dir = /srv/pki
certificate = /srv/pki/ca.pem
private_key = /srv/pki/ca.key
rand_serial = yes
unique_subject = no
default_md = sha256
copy_extensions = copy
policy = names
[names]
commonName = supplied
"""

MAKE = """\
set -e
cd /srv/pki
touch index
new="-newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes"
openssl req -x509 $new -keyout ca.key -out ca.pem -days 3650 -subj /CN=demo-ca
openssl req -x509 $new -keyout other.key -out other.pem -days 3650 -subj /CN=another-ca
openssl req $new -keyout server.key -out server.csr -subj /CN=localhost -addext subjectAltName=DNS:localhost,IP:127.0.0.1
rm /etc/nginx/sites-enabled/default
systemctl daemon-reload
"""

NGINX = """\
log_format demo '$status $server_protocol $http_user_agent';
server {
  listen 127.0.0.1:443 ssl http2;
  listen [::1]:443 ssl http2;
  ssl_certificate /srv/pki/server.pem;
  ssl_certificate_key /srv/pki/server.key;
  access_log /var/log/nginx/demo demo;
  location / { proxy_pass http://127.0.0.1:8080; }
}
"""

CONFIG = """\
[check proxy]
when = preflight, health
http = https://localhost/health
cacert = /srv/pki/ca.pem
expect-json = .release == "${release}"

[check certificate]
certificate = 127.0.0.1:443
cacert = /srv/pki/ca.pem
valid-for = 30d

[check certificate-by-name]
certificate = localhost:443
cacert = /srv/pki/ca.pem
valid-for = 30d

[check certificate-file]
certificate = /srv/pki/server.pem
valid-for = 30d
"""
CERTIFICATES = ("certificate", "certificate-by-name", "certificate-file")


def log(app):
    """What nginx has answered since this was last asked: (status, protocol) of each request."""
    lines = app.machine.must("cat /var/log/nginx/demo && truncate --size=0 /var/log/nginx/demo").splitlines()
    return [tuple(line.split()[:2]) for line in lines]


def test(app):
    app.machine.write({"/srv/pki/issue": ISSUE, "/srv/pki/ca.conf": AUTHORITY, "/etc/nginx/conf.d/demo.conf": NGINX,
                       "/etc/systemd/system/nginx.service.d/often.conf": "[Unit]\nStartLimitIntervalSec=0\n"})
    app.machine.must(MAKE)
    app.machine.must("/srv/pki/issue -30 60")
    app.running("1", config=CONFIG)
    log(app)

    for name in ("proxy", *CERTIFICATES):
        app.check(name, "ok")
    equal("the requests", log(app), [("200", "HTTP/2.0")])

    # While the app starts nginx answers 502, which is no answer of the app's: two of them would end the deploy.
    app.release("2", "slow 1")
    exits(app.deploy(), 0)
    app.runs("2", good=["1", "2"])
    requests = log(app)
    true(f"no 502 among {requests}", {status for status, _ in requests} == {"200"})

    app.release("3", "status 503")
    exits(app.deploy(), 3, "503")
    app.settle()
    app.runs("2", good=["1", "2"], bad=["3"])
    says_why(app, "3", "503")

    # Ten days are enough for the requests, and not for the checks of the certificate.
    app.machine.must("/srv/pki/issue -80 10")
    app.release("4")
    app.check("proxy", "ok")
    for name in CERTIFICATES:
        app.check(name, "failed", "expires on")
    app.refuses("certificate", "expires on")

    app.machine.must("/srv/pki/issue -90 -1")
    app.check("proxy", "failed", "https://localhost/health", "certificate has expired")
    for name in CERTIFICATES:
        app.check(name, "failed", "expired on")

    # What another authority has signed is nobody's.
    app.machine.must("/srv/pki/issue -30 60")
    app.configure("".join(f"[check {name}]\ncacert = /srv/pki/other.pem\n" for name in ("proxy", "certificate")))
    app.check("proxy", "failed", "certificate")
    app.check("certificate", "failed", "not trusted")
    app.check("certificate-by-name", "ok")

    # nginx itself is gone.
    app.configure("")
    app.machine.must("systemctl stop nginx.service")
    app.check("proxy", "failed")
    app.check("certificate", "failed", "127.0.0.1:443")
    app.check("certificate-file", "ok")
    app.refuses("certificate")
    app.machine.must("systemctl start nginx.service")
    exits(app.deploy(), 0)
    app.runs("4", good=["1", "2", "4"], bad=["3"])
