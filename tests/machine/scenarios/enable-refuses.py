"""`enable` says what is wrong before it changes anything: units that cannot be guarded, no root, no bus, a read-only /etc."""

from app import equal, exits

CONF = "/etc/safe-deploy/demo.conf"


def test(app):
    machine = app.machine
    app.install()
    app.release("1")
    machine.must("ln -s releases/1 /srv/demo/current && systemctl start demo.service")
    machine.until("curl --silent --fail http://127.0.0.1:8080/health")
    machine.write({"/etc/systemd/system/idle.service": "[Service]\nType=oneshot\nExecStop=/bin/true\nRemainAfterExit=yes\n",
                   "/etc/systemd/system/two.service": "[Service]\nExecStart=/usr/bin/python3 /srv/two/current/server\n",
                   "/srv/two/releases/1/server": "import socket, time\na = socket.create_server(('127.0.0.1', 7001))\n"
                                                 "b = socket.create_server(('', 7002))\ntime.sleep(1e6)\n"})
    machine.must("ln -s releases/1 /srv/two/current && systemctl daemon-reload && systemctl start two.service && systemctl --quiet mask nginx.service")
    machine.until("ss --listening --no-header --tcp 'sport = 7002' | grep -q .")

    def everything():
        return machine.must("find /etc /var/lib/safe-deploy /run/safe-deploy -printf '%p %l %m %T@\\n' | sort")

    before = everything()
    for command, code, *words in (
            ("enable nosuch --url http://127.0.0.1/ ", 1, "nosuch.service", "there is no such unit", "--unit"),
            ("enable nginx --url http://127.0.0.1/", 1, "it is masked", "systemctl unmask nginx.service"),
            ("enable idle --url http://127.0.0.1/", 1, "idle.service", "no ExecStart="),
            ("enable two --url http://127.0.0.1:7001/", 1, "two.service", "several ports", "--port", "127.0.0.1:7001, 7002"),
            ("enable two --url http://127.0.0.1:7001/ --port x", 2, "--port"),
            ("enable two --url ftp://127.0.0.1/ --port 7001", 2, "--url"),
            ("enable two --url http://127.0.0.1:7001/ --releases releases", 2, "--releases", "no absolute path"),
            ("enable two --url http://127.0.0.1:7001/ --unit a/b", 2, "--unit"),
            ("enable two --url http://127.0.0.1:7001/ --port 7001 --releases /nowhere", 1, "/nowhere"),
            ("enable ../x --url http://127.0.0.1/", 2, "../x"),
            ("enable other --unit demo --url http://127.0.0.1:8080/ ", 78, "demo.service is the unit of demo, too"),
            ("enable demo --url http://127.0.0.1:8080/", 1, CONF, "is there already"),
            ("enable demo --only x", 2, "does not go with enable"),
            ("disable demo --limits", 2, "does not go with disable"),
            ("enable demo --state-dir /tmp", 2, "/tmp", "is not where the units look")):
        exits(machine.run(f"safe-deploy {command}"), code, *words)
        equal(f"everything after {command}", everything(), before)

    # As somebody else nothing is tried; what would be done may be asked.
    for command in ("enable", "disable"):
        exits(machine.run(f"setpriv --reuid=www-data --clear-groups safe-deploy {command} demo"), 71, "needs root", f"sudo safe-deploy {command} demo")
    exits(machine.run("setpriv --reuid=www-data --clear-groups safe-deploy enable demo --dry-run"), 0, "would link")

    exits(machine.run("unshare --mount sh -c 'mount --bind /etc /etc && mount -o remount,bind,ro /etc && safe-deploy enable demo'"), 71,
          "/etc/systemd/system", "Read-only file system")
    exits(machine.run("unshare --mount sh -c 'mount -t tmpfs none /run/dbus && mount -t tmpfs none /run/systemd && safe-deploy enable demo'"), 71,
          "system bus", "cannot connect")
    equal("everything", everything(), before)
