"""Old releases are removed after a deploy: `keep` good ones stay, and one that a process uses, which is told."""

from app import equal, exits, says, true


def test(app):
    app.running("1")
    app.configure("[app]\nkeep = 2\n")
    app.machine.must("systemd-run --quiet --unit=user --property=WorkingDirectory=/srv/demo/releases/1 sleep infinity")
    for name in ("2", "3"):
        app.release(name)
        exits(app.deploy(), 0)
    app.settle()
    equal("what is there", app.folders(), ["1", "2", "3"])
    says(app.machine.run("journalctl --output=cat -u safe-deploy-prune@demo.service"), "1: kept, since sleep")

    app.release("4", "status 503")
    exits(app.deploy(), 3)
    app.settle()
    equal("a rollback prunes nothing", app.folders(), ["1", "2", "3", "4"])

    app.machine.must("systemctl stop user.service")
    app.release("5")
    exits(app.deploy(), 0)

    app.settle()
    app.runs("5", good=["3", "5"], bad=["4"], previous="3")
    equal("what is there", app.folders(), ["3", "5"])
    true("what is left aside", app.machine.must("find /srv/demo -name '.*'") == "")
    app.is_at_rest()
