"""A prune that cannot remove a release is told as a failure of its own unit, and changes nothing of the deploy."""

from app import equal, exits, true


def test(app):
    app.running("1")
    app.configure("[app]\nkeep = 1\n")
    # What is mounted cannot be removed, nor what is in it.
    app.machine.must("mkdir /srv/demo/releases/1/mounted && mount -t tmpfs tmpfs /srv/demo/releases/1/mounted && touch /srv/demo/releases/1/mounted/file")
    app.release("2")
    exits(app.deploy(), 0)
    app.release("3")
    exits(app.deploy(), 0)

    app.settle()
    app.runs("3", good=["2", "3"], previous="2")
    equal("the prune", app.property("Result", unit="safe-deploy-prune@demo.service"), "exit-code")
    true("what is mounted is untouched", app.machine.run("test -e /srv/demo/releases/*1*/mounted/file || test -e /srv/demo/releases/.*1*/mounted/file").code == 0)

    app.machine.must("umount /srv/demo/releases/*1*/mounted || umount /srv/demo/releases/.*1*/mounted")
    exits(app.machine.run("systemctl start safe-deploy-prune@demo.service"), 0)
    equal("what is there", app.machine.must("ls -A /srv/demo/releases").split(), ["2", "3"])
    app.runs("3", good=["2", "3"], previous="2")
