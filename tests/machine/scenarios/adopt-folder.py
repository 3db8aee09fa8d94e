"""A host that was deployed by hand, its releases in a folder of their own, the link relative or absolute: adopted, deployed, rolled back."""

from app import equal, exits


def test(app):
    app.install()
    for number, base in enumerate(("releases/", "/srv/demo/releases/")):
        old, good, bad = (f"v1.{minor}.0" for minor in (9 + 3 * number, 10 + 3 * number, 11 + 3 * number))
        app.machine.must("rm -rf /srv/demo/current /srv/demo/previous /var/lib/safe-deploy/demo; systemctl stop demo.service")
        app.release("v1.2.0")
        app.release(old)
        app.machine.must(f"ln -s {base}{old} /srv/demo/current && systemctl start demo.service")

        exits(app.machine.run("safe-deploy enable demo"), 0)
        app.runs(old, good=[old])
        app.release(good)
        exits(app.deploy(), 0)
        app.release(bad, "exit 3")
        exits(app.deploy(), 3)

        app.settle()
        app.runs(good, good=[old, good], bad=[bad])
        equal("the text of the links", app.machine.must("readlink /srv/demo/current /srv/demo/previous").split(), [base + good, base + good])
        equal("v1.2.0, of which nothing is known, is kept", "v1.2.0" in app.folders(), True)
