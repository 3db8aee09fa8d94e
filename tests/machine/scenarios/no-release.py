"""There is no release to deploy: refused, with the directory that was searched."""

from app import equal, exits


def test(app):
    app.install()
    app.machine.must("mkdir -p /srv/demo/releases")

    exits(app.deploy(), 1, "/srv/demo/releases")

    app.settle()
    equal("the link", app.link(), None)
    equal("the unit", app.property("ActiveState"), "inactive")
    equal("the ledger", app.ledger(), None)
    equal("the HTTP answer", app.answer(), None)
