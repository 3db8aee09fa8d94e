"""PostgreSQL, asked by a Nagios plugin and at its port: a deploy needs it, and each release a database of its own."""

from app import exits, says_why

SERVICES = True
PLUGIN = "/usr/lib/nagios/plugins/check_pgsql"

CONFIG = f"""\
[check database]
exec = {PLUGIN} -d demo

[check postgres]
tcp = 127.0.0.1:5432

[check migrated]
when = health
exec = {PLUGIN} -d demo${{release}}
"""


def test(app):
    app.machine.must("systemctl start postgresql.service && runuser -u postgres -- "
                     "sh -c 'cd / && createuser root && createdb demo && createdb demo1 && createdb demo2'")
    app.running("1", config=CONFIG)
    app.check("database", "ok", "database demo")
    app.check("postgres", "ok", "127.0.0.1:5432")
    app.release("2")
    exits(app.deploy(), 0)
    app.runs("2", good=["1", "2"])

    # The health gate asks it too: nobody has made the database of release 3.
    app.release("3")
    exits(app.deploy(), 3, "demo3")
    app.settle()
    app.runs("2", good=["1", "2"], bad=["3"])
    says_why(app, "3", "no connection to 'demo3'")

    # A connection that takes longer than the plugin likes is its warning, which stops nothing.
    app.configure(f"[check database]\nexec = {PLUGIN} -d demo -w 0.000001\n")
    app.check("database", "warning", "database demo")

    app.configure(f"[check database]\nexec = {PLUGIN} -d nonesuch\n")
    app.release("4")
    app.machine.must("runuser -u postgres -- sh -c 'cd / && createdb demo4'")
    app.check("database", "failed", "no connection to 'nonesuch'")
    app.refuses("database", "nonesuch")

    app.configure("")
    app.machine.must("systemctl stop postgresql.service 'postgresql@*.service'")
    app.check("database", "failed", "no connection to 'demo'")
    app.check("postgres", "failed", "127.0.0.1:5432")
    app.refuses("database", "postgres")

    app.machine.must("systemctl start postgresql.service")
    exits(app.deploy(), 0)
    app.runs("4", good=["1", "2", "4"], bad=["3"])
