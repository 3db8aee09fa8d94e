"""The app's user owns the releases and plants links to places that are not its own: nothing outside is touched, and it is refused clearly."""

from app import equal, exits
from faults import Faults


def test(app):
    app.running("1")
    app.configure("[app]\nkeep = 1\n")
    faults = Faults(app)
    machine = app.machine
    machine.must("mkdir -p /root/outside/server /root/outside/behaviour && touch /root/outside/server/file && chown -R www-data:www-data /srv/demo")
    look = "find /etc /root/outside -printf '%p %U %m %C@ %l\\n' | sort"
    outside = machine.must(look)

    def plant(command):
        machine.must(["runuser", "-u", "www-data", "--", "sh", "-ec", f"cd /srv/demo; {command}"])

    def nothing_outside_is_touched():
        app.settle()
        equal("what is outside", machine.must(look), outside)

    # A release that is a link is none.
    plant("ln -s /root/outside releases/2")
    exits(app.deploy(), 0, "1 is current already")
    exits(app.deploy("2"), 1, "/srv/demo/releases/2: no such release")
    nothing_outside_is_touched()

    # What lies where a prune puts aside what it deletes, and in it: the links are deleted, and not where they lead.
    plant("cd releases; ln -s /root/outside .1.safe-deploy-pruned; mkdir .0.safe-deploy-pruned; ln -s /root/outside .0.safe-deploy-pruned/a; "
          "ln -s /root/outside/server 1/b")
    for name in ("3", "4"):
        app.release(name)
        exits(app.deploy(), 0)
    nothing_outside_is_touched()
    equal("what is there", machine.must("ls -A /srv/demo/releases").split(), ["2", "3", "4"])

    # A good release has become a link when it is to be rolled back to.
    app.release("5", "status 503")
    faults.at("swapped", "cd /srv/demo/releases && mv 4 .4 && ln -s /root/outside 4")
    exits(app.deploy(), 3, "503")
    nothing_outside_is_touched()
    equal("the link", app.link(), "3")
    plant("cd releases; rm 4; mv .4 4")

    # So have all releases.
    app.release("6")
    plant("mv releases kept; ln -s /root/outside releases")
    for command in ("safe-deploy deploy demo", "atomic-link --app demo 6", "rollback-link --app demo --to server", "release-prune --app demo",
                    "safe-deploy rollback demo --to server", "release-mark --app demo good server"):
        finished = machine.run(command)
        equal(f"{finished} is refused", finished.code in (1, 71) and "/srv/demo/releases" in finished.err, True)
    nothing_outside_is_touched()
    equal("the link", app.link(), "3")
    plant("rm releases; mv kept releases")

    # The link has become a directory.
    plant("mv current kept; cp -r releases/3 current")
    before = app.snapshot()
    exits(app.deploy(), 1, "/srv/demo/current: is a directory, not a symlink")
    exits(app.rollback("--to", "4"), 1, "/srv/demo/current: is a directory, not a symlink")
    app.settle()
    equal("everything", app.snapshot(), before)
    plant("rm -r current; mv kept current")

    exits(app.deploy(), 0)
    app.settle()
    nothing_outside_is_touched()
    app.runs("6", good=app.verdicts("good"), bad=["5"])
