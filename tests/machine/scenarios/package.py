"""The package: installed it starts nothing, removed it leaves the record, purged it leaves only what is the admin's."""

from app import App, equal, exits, true

PACKAGE = False
# What every installation of any package changes, and what a running system does.
OTHERS = r"^/(proc|sys|dev|run|tmp|root|var/(cache|log|tmp)|var/lib/(dpkg|apt|systemd)|etc/ld.so.cache)(/|$)"


def files(machine):
    return set(machine.must(f"find / -xdev | grep -Ev '{OTHERS}'").splitlines())


def install(machine, package):
    machine.write({f"/root/{package.name}": package.read_bytes()})
    machine.must(f"DEBIAN_FRONTEND=noninteractive apt-get install --yes --no-install-recommends /root/{package.name}")


def ours(machine):
    return machine.must("systemctl list-units --all --plain --no-legend 'safe-deploy*'; systemctl list-jobs --no-legend")


def test(machine, package):
    bare = files(machine)
    install(machine, package)
    equal("units that were started", ours(machine), "")
    known = machine.must("systemctl list-unit-files --no-legend 'safe-deploy*'")
    equal("known units", sorted(line.split()[0] for line in known.splitlines()),
          [f"safe-deploy{kind}" for kind in ("-failed@.service", "-monitor@.service", "-monitor@.timer", "-prune@.service",
                                             "-reconcile@.service", "-rollback@.service", "-stuck@.service", "-watch@.service", "@.service")])
    machine.must("journalctl --list-catalog | grep -q safe-deploy")

    # Removed and purged again: as if it had never been there.
    machine.must("apt-get purge --yes safe-deploy")
    equal("files left", files(machine) - bare, set())
    equal("files missing", bare - files(machine), set())

    # The same with an app that uses it.
    install(machine, package)
    app = App(machine)
    app.running("1")
    app.release("2")
    exits(app.deploy(), 0)
    app_files = files(machine)

    machine.must("apt-get remove --yes safe-deploy")
    machine.must("systemctl restart demo.service")  # unguarded, but it goes on
    machine.until("curl --silent --fail http://127.0.0.1:8080/health")
    install(machine, package)
    machine.must("systemctl restart demo.service")
    true("the guard is back", "safe-deploy-failed@" in app.property("OnFailure"))
    app.runs("2", good=["1", "2"])
    equal("files after removing and installing", files(machine) ^ app_files, set())

    # Not while a deploy is under way.
    app.release("3", "slow 9")  # longer than apt takes on a busy machine
    deploy = machine.start("safe-deploy deploy demo")
    machine.until("systemctl is-active demo.service | grep -q activating")
    exits(machine.run("apt-get remove --yes safe-deploy"), 100, "a deploy is under way", "safe-deploy@demo.service")
    equal("the deploy's exit code", deploy.wait(60), 0)

    machine.must("apt-get purge --yes safe-deploy")
    machine.must("systemctl restart demo.service")
    left = files(machine) - bare
    own = ("/srv/demo", "/etc/safe-deploy", "/etc/systemd/system/demo.service",
           "/etc/systemd/system/multi-user.target.wants/demo.service")
    equal("files left besides the app's own", {path for path in left if not path.startswith(own)}, set())
    equal("the drop-ins of the app's unit", app.property("DropInPaths"), "")
    equal("failed units", machine.must("systemctl --failed --plain --no-legend"), "")
