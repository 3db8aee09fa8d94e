"""`enable` writes the configuration of an app that has none, from its unit as it runs; a deploy goes by it, `disable` leaves it."""

from app import equal, exits, true

CONF = "/etc/safe-deploy/demo.conf"
ENABLE = "safe-deploy enable demo --url http://127.0.0.1:8080/health"


def test(app):
    machine = app.machine
    app.install()
    machine.must(f"rm {CONF}")
    app.release("1")

    def everything():
        return machine.must("find /etc /srv /var/lib/safe-deploy /run/safe-deploy -printf '%p %l %m %T@\\n' | sort"), app.snapshot()

    # What cannot be found out is asked for, with the option that tells it, and nothing is made.
    before = everything()
    exits(machine.run(ENABLE), 1, "--link")
    machine.must("ln -s releases/1 /srv/demo/current")
    exits(machine.run(ENABLE), 1, "demo.service", "is not running", "--port")
    machine.must("systemctl start demo.service")
    machine.until("curl --silent --fail http://127.0.0.1:8080/health")
    exits(machine.run("safe-deploy enable demo"), 78, CONF, "'safe-deploy enable demo --url URL' writes one")
    exits(machine.run("safe-deploy enable demo --url ftp://127.0.0.1/"), 2, "--url")
    true("no file was made", machine.run(f"test -e {CONF}").code != 0)

    before = everything()
    dry = machine.run(f"{ENABLE} --dry-run")
    exits(dry, 0, f"would write {CONF}\n", "    link = /srv/demo/current\n",
          "would link /etc/systemd/system/demo.service.d/50-safe-deploy.conf -> /usr/lib/safe-deploy/guard.conf\n",
          "would record 1 as good if it is healthy\n", "would enable safe-deploy-reconcile@demo.service\n")
    equal("everything after a dry run", everything(), before)

    exits(machine.run(ENABLE), 0, f"wrote {CONF}", "demo.service is guarded")
    conf = machine.must(f"cat {CONF}")
    for line in ("unit = demo.service", "link = /srv/demo/current", "releases = /srv/demo/releases", "require = server",
                 "listen = 127.0.0.1:8080", "timeout = 60s", "http = http://127.0.0.1:8080/health"):
        true(f"the configuration says {line}:\n{conf}", line in conf.splitlines())
    equal("what a dry run said of the file", [line[4:] for line in dry.out.splitlines() if line.startswith("    ")],
          [line for line in conf.splitlines() if line])
    equal("its owner and mode", machine.must(f"stat -c '%U %a' {CONF}"), "root 644\n")
    app.runs("1", good=["1"])
    equal("the directory for requests", machine.must("stat -c '%U %A' /run/safe-deploy/demo")[:14], "root drwxrwxr-x"[:14])

    # Another one would not be written over it.
    exits(machine.run(f"{ENABLE}?other"), 1, CONF, "is there already")
    equal("the configuration", machine.must(f"cat {CONF}"), conf)
    equal("what would be changed now", machine.must("safe-deploy enable demo --dry-run"), "nothing would be changed\n")

    app.release("2")
    exits(app.deploy(), 0)
    app.runs("2", good=["1", "2"])
    app.release("3", "exit 0")
    exits(app.deploy(), 3)
    app.settle()
    app.runs("2", good=["1", "2"], bad=["3"])

    before = everything()
    exits(machine.run("safe-deploy disable demo --dry-run"), 0, "would remove /etc/systemd/system/demo.service.d/50-safe-deploy.conf\n",
          "would disable safe-deploy-reconcile@demo.service\n", "would reload systemd\n")
    equal("everything after a dry run", everything(), before)
    exits(machine.run("safe-deploy disable demo"), 0)
    equal("what is left in /etc/systemd", machine.must("find /etc/systemd/system -name '*safe-deploy*'"), "")
    equal("the configuration", machine.must(f"cat {CONF}"), conf)
    equal("what would be changed now", machine.must("safe-deploy disable demo --dry-run"), "nothing would be changed\n")

    # A unit of another name, a link that is reached through a script, and no health endpoint.
    machine.must(f"rm -r {CONF} /var/lib/safe-deploy/demo && systemctl stop demo.service && ln -s /srv/demo/current/server /usr/local/bin/shop && "
                 "sed 's:^ExecStart=.*:ExecStart=/usr/local/bin/shop 8080:' /etc/systemd/system/demo.service > /etc/systemd/system/web.service && "
                 "systemctl daemon-reload && systemctl start web.service")
    machine.until("curl --silent --fail http://127.0.0.1:8080/health")
    told = machine.run("safe-deploy enable shop --unit web --port 8080")
    exits(told, 0, "no --url", "web.service is guarded")
    true(f"no warning of the link: {told}", "a deploy would change nothing" not in told.err)
    conf = machine.must("cat /etc/safe-deploy/shop.conf")
    for line in ("unit = web.service", "link = /srv/demo/current", "listen = 127.0.0.1:8080", ";[check answer]"):
        true(f"the configuration says {line}:\n{conf}", line in conf.splitlines())
    for unit, line in (("safe-deploy@shop", "Environment=SAFE_DEPLOY_UNIT=web.service"), ("safe-deploy-watch@shop", "After=web.service"),
                       ("safe-deploy-reconcile@shop", "Before=web.service")):
        true(f"{unit} knows the unit", line in machine.must(f"cat /etc/systemd/system/{unit}.service.d/50-safe-deploy.conf").splitlines())
    exits(machine.run("safe-deploy deploy shop 2"), 0)
    exits(machine.run("safe-deploy disable shop"), 0)
    equal("what is left in /etc/systemd", machine.must("find /etc/systemd/system -name '*safe-deploy*'"), "")
