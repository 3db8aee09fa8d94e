"""A host that was deployed by hand, its releases beside the link: adopted as it is, then deployed, rolled back and pruned."""

from app import equal, exits

OLD = ["dist.20260131-090000", "dist.20260201-101500", "dist.20260202-234500"]
NOW, GOOD, BAD = "dist.20260203-123600", "dist.20260203-151116", "dist.20260204-080000"
FOREIGN = ["dist.20260203-140000.tmp", "node_modules"]


def test(app):
    app.releases = app.home
    app.install()
    app.configure("[app]\npattern = dist.*\n")
    for name in (*OLD, NOW, *FOREIGN):
        app.release(name)
    app.machine.must(f"ln -s {NOW} {app.home}/current && chown -R --no-dereference www-data:www-data {app.home} && systemctl start demo.service")
    look = f"find {app.home} -printf '%p %U %i %l\\n' | sort"
    before = app.machine.must(look)

    exits(app.machine.run("safe-deploy enable demo"), 0)

    equal("the files", app.machine.must(look), before)
    app.runs(NOW, good=[NOW])

    app.release(GOOD)
    exits(app.deploy(), 0)
    app.release(BAD, "status 503")
    exits(app.deploy(), 3, "503")

    app.settle()
    app.runs(GOOD, good=[NOW, GOOD], bad=[BAD])
    equal("the text of the links", app.machine.must(f"readlink {app.home}/current {app.home}/previous").split(), [GOOD, GOOD])
    equal("what is there", app.folders(), sorted([*OLD, NOW, GOOD, BAD, *FOREIGN]))

    # Once there are as many good ones as are to be kept, the old ones go, and nothing else.
    exits(app.machine.run("release-prune --app demo --keep 2"), 0, *OLD)
    equal("what is there", app.folders(), sorted([NOW, GOOD, BAD, *FOREIGN]))
    app.runs(GOOD, good=[NOW, GOOD], bad=[BAD])
