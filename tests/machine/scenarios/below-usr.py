"""An app whose link and releases are below /usr, which is read-only to our units otherwise: a good deploy and a bad one."""

from app import exits


def test(app):
    app.home = "/usr/lib/demo"
    app.releases = f"{app.home}/releases"
    app.running("1")

    app.release("2")
    exits(app.deploy(), 0)
    app.runs("2", good=["1", "2"], previous="1")

    app.release("3", "status 503")
    exits(app.deploy(), 3, "503", "rolled back to 2")
    app.settle()
    app.runs("2", good=["1", "2"], bad=["3"])
