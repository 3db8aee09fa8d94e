"""The first deploy ever: there was no link and nothing ran."""

from app import equal, exits, true


def test(app):
    app.install()
    app.release("1")
    exits(app.machine.run("safe-deploy enable demo"), 0)

    exits(app.deploy(), 0)

    app.runs("1", good=["1"])


