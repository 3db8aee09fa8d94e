"""A member of the group safe-deploy deploys and rolls back without being root, and can do nothing else; what he leaves is hostile."""

from app import equal, exits, says, true

SERVICES = True  # polkitd

# Of these none is a member's to do.
FORBIDDEN = [
    "systemctl restart demo.service", "systemctl stop demo.service", "systemctl start demo.service", "systemctl kill demo.service",
    "systemctl stop safe-deploy@demo.service", "systemctl restart safe-deploy@demo.service", "systemctl reload-or-restart safe-deploy@demo.service",
    "systemctl start safe-deploy-prune@demo.service", "systemctl start safe-deploy-stuck@demo.service", "systemctl start safe-deploy@demo.target",
    "systemctl start systemd-reboot.service", "systemctl start 'safe-deploy@.demo.service'", "systemctl start 'safe-deploy@a:b.service'",
    "systemctl daemon-reload", "systemctl reset-failed", "systemctl enable demo.service", "systemctl set-property demo.service CPUWeight=1",
    "systemd-run --unit=safe-deploy@evil.service true", "systemd-run --unit=evil true",
    "atomic-link --app demo 1", "rollback-link --app demo --to 1", "release-mark --app demo bad 1",
    "rm -r /run/safe-deploy/demo", "mv /run/safe-deploy/demo /run/safe-deploy/other", "mkdir /run/safe-deploy/other",
]

# What a member may put in the place of a request; each is to be refused.
HOSTILE = [
    "ln -s ../../etc next", "ln -s /etc/passwd next", "ln -s /srv/demo/releases/../../../etc next", "ln -s . next", "ln -s -- -x next",
    "ln -s $(head -c 4000 /dev/zero | tr '\\0' x) next", "mkfifo next", "mkdir -p next/deep/er", "echo 2 > next",
    "ln -s 7 next; head -c 1M /dev/zero | tr '\\0' x > next.asked", "ln -s 7 next; mkfifo next.asked", "ln -s 7 next; ln -s /etc/shadow next.asked",
    "ln -s 7 next; mkdir next.asked",
]


def test(app):
    machine = app.machine
    app.running("1")
    app.release("2")
    machine.must("useradd --create-home --groups safe-deploy ann && useradd --create-home bob && useradd --create-home --groups safe-deploy,adm eve")

    def of(user, command):
        return machine.run(["runuser", "-u", user, "--", "sh", "-c", command])

    # Somebody else.
    before = app.snapshot()
    exits(of("bob", "safe-deploy deploy demo"), 71, "it takes root, or a member of the group safe-deploy")
    exits(of("bob", "systemctl --no-ask-password start safe-deploy@demo.service"), 1)
    equal("everything", app.snapshot(), before)

    # A member, who may not read the journal.
    told = of("ann", "CI=true safe-deploy deploy demo")
    exits(told, 0, "2 is good", "group systemd-journal", "] checks", "] restart", "] health")
    equal("it is said once", told.err.count("group systemd-journal"), 1)
    app.runs("2", good=["1", "2"])
    by = [line for line in app.history() if line["event"] == "swap-intended"][-1]["by"]
    ann = int(machine.must("id -u ann"))
    equal("who asked", by, {"uid": ann, "user": "ann", "job": "CI"})
    exits(of("ann", "safe-deploy deploy demo 1 --force"), 1, "--force: is believed of root only")
    # One who may.
    told = of("eve", "safe-deploy rollback demo --to 1")
    exits(told, 0, "rolled back to 1")
    true("the journal is shown", "rollback-link: " in told.err and "systemd-journal" not in told.err)
    app.runs("1", good=["1"], bad=["2"])
    equal("who asked", [line for line in app.history() if line["event"] == "rollback-intended"][-1]["by"]["user"], "eve")
    equal("what is left", machine.must("ls -A /run/safe-deploy/demo"), "")

    machine.must("release-mark --app demo clear 2")
    before = app.snapshot()
    for command in FORBIDDEN:
        refused = of("ann", command.replace("systemctl ", "systemctl --no-ask-password ").replace("systemd-run ", "systemd-run --no-ask-password "))
        true(f"it is refused: {refused}", refused.code not in (0, 127))
    equal("everything", app.snapshot(), before)

    for plant in HOSTILE:
        planted = of("ann", f"set -e; cd /run/safe-deploy/demo; {plant}")
        equal(f"planted: {planted}", planted.code, 0)
        exits(of("ann", "systemctl --no-ask-password start safe-deploy@demo.service"), 1)
        app.settle()
        equal(f"{plant}: everything", app.snapshot(), before)
        equal(f"{plant}: what is left", machine.must("ls -A /run/safe-deploy/demo"), "")
        machine.must("systemctl reset-failed")
    # Nobody's file but his own is a member's to move: root's request stays what it is, and root's word root's.
    machine.must("ln -s 1 /run/safe-deploy/demo/rollback")
    for command in ("mv /run/safe-deploy/demo/rollback /run/safe-deploy/demo/next", "rm /run/safe-deploy/demo/rollback",
                    "ln -f -P /run/safe-deploy/demo/rollback /run/safe-deploy/demo/next"):
        true(f"{command} is refused", of("ann", command).code != 0)
    machine.must("rm /run/safe-deploy/demo/rollback")
    # His own word is not believed.
    of("ann", "cd /run/safe-deploy/demo && ln -s 1 next && echo '{\"release\": \"1\", \"force\": true, \"sudo_user\": \"root\"}' > next.asked")
    exits(of("ann", "systemctl --no-ask-password start safe-deploy@demo.service"), 0)
    equal("everything", app.snapshot(), before)

    # A rollback that is due is not kept by garbage.
    app.release("3", "status 503")
    of("ann", "ln -s ../../etc /run/safe-deploy/demo/rollback")
    exits(app.deploy("3"), 3, "rolled back to 1")
    says(machine.run("journalctl -u safe-deploy-rollback@demo"), "passed over")
    app.runs("1", good=["1"], bad=["3"])

    # A reboot takes the directory of the requests away; it is there again before anybody asks.
    machine.crash()
    machine.boot()
    exits(of("ann", "safe-deploy deploy demo 2 --json"), 0, '"outcome":"good"')
    app.runs("2", good=["1", "2"], bad=["3"])
    true("its group may write there", "drwxrwxr-t root safe-deploy" in machine.must("stat --format='%A %U %G' /run/safe-deploy/demo"))
