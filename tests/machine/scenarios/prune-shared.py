"""Two apps share a directory of releases: neither prunes what the other one needs."""

from app import App, equal, exits


def test(app):
    machine = app.machine
    apps = {name: App(machine, name, port=port) for name, port in (("production", 8081), ("staging", 8082))}
    for each in apps.values():
        each.releases = "/srv/builds"
        each.install()
        each.configure("[app]\nkeep = 1\n")
        machine.must(f"mkdir -p {each.home}")
    app.releases = "/srv/builds"
    app.release("1")
    for each in apps.values():
        machine.must(f"ln -s /srv/builds/1 {each.home}/current && systemctl start {each.unit}")
        machine.until(f"curl --silent --fail http://127.0.0.1:{each.port}/health")
        machine.must(f"safe-deploy enable {each.name}")

    # Staging goes ahead; production stays where it is, and may take any of these next.
    for name in ("2", "3", "4"):
        app.release(name)
        exits(apps["staging"].deploy(), 0)
        app.settle()
    equal("what is there", app.folders(), ["1", "2", "3", "4"])
    apps["production"].runs("1", good=["1"])

    # Production follows, and takes nothing from staging, which is back at 3.
    exits(apps["staging"].rollback(), 0, "3")
    exits(apps["production"].deploy("4"), 0)
    app.settle()
    equal("what is there", app.folders(), ["1", "3", "4"])
    apps["staging"].runs("3", good=["1", "2", "3"], bad=["4"])
    apps["production"].runs("4", good=["1", "4"], previous="1")
