"""Too little disk is left: refused before anything is changed."""

from app import equal, exits


def test(app):
    app.running("1")
    # The directory of the releases becomes a small file system, and is filled.
    app.machine.must("cp -a /srv/demo /tmp/kept && mount -t tmpfs -o size=1M tmpfs /srv/demo && cp -a /tmp/kept/. /srv/demo")
    app.release("2")
    app.machine.must("head -c 900k /dev/zero > /srv/demo/ballast")
    before = app.snapshot()

    exits(app.deploy(), 1, "disk", "%")

    app.settle()
    equal("everything", app.snapshot(), before)
    app.runs("1", good=["1"])
