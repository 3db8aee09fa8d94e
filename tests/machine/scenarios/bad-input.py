"""Bad input: one clear line, the contract's exit code, and nothing is changed."""

from app import equal, exits, says, true

CONF = "/etc/safe-deploy/demo.conf"

# What is wrong, how it is made so, the arguments of `safe-deploy deploy`, the exit code and what the line names.
CASES = [
    ("a slash in the name", "", ["a/b"], 2, ["a/b"]),
    ("dots for a name", "", [".."], 2, [".."]),
    ("a space in the name", "", ["a b"], 2, ["a b"]),
    ("a name of 200 characters", "", ["a" * 200], 2, ["128"]),
    ("no configuration", f"rm {CONF}", ["demo"], 78, [CONF]),
    ("the configuration is a directory", f"rm {CONF} && mkdir {CONF}", ["demo"], 78, [CONF]),
    ("the configuration is a FIFO", f"rm {CONF} && mkfifo {CONF}", ["demo"], 78, [CONF]),
    ("the configuration is not UTF-8", rf"printf '[app]\nlink = /srv/\377\n' > {CONF}", ["demo"], 78, [f"{CONF}:2"]),
    ("the configuration has 10 MB", f"head -c 10M /dev/zero | tr '\\0' x > {CONF}", ["demo"], 78, [CONF]),
    ("an unknown key", f"echo 'unti = x' >> {CONF}", ["demo"], 78, [CONF, "unti"]),
    ("the link is a real directory", "rm /srv/demo/current && mkdir /srv/demo/current", ["demo"], 1, ["/srv/demo/current"]),
    ("the releases do not exist", "mv /srv/demo/releases /srv/demo/gone", ["demo"], 71, ["/srv/demo/releases", "No such file"]),
    ("a release with a newline", "", ["demo", "2\n3"], 2, ["2\\x0a3"]),
    ("a drop-in that is a FIFO", f"mkdir {CONF}.d && mkfifo {CONF}.d/a.conf", ["demo"], 78, [f"{CONF}.d/a.conf"]),
    ("a release that is none", "", ["demo", "7"], 1, ["7"]),
]


def one_line(what, finished, code, words):
    exits(finished, code, *words)
    lines = [line for line in (finished.err + finished.out).splitlines() if "--help'" not in line]
    equal(f"{what}: lines told", len(lines), 1)


def test(app):
    app.running("1")
    app.release("2")
    app.machine.must("mkdir /var/kept && cp -a /etc/safe-deploy /srv/demo /var/kept")
    sound = app.snapshot()
    for what, arrange, arguments, code, words in CASES:
        app.machine.must(arrange or "true")
        before = app.snapshot()

        finished = app.machine.run(["safe-deploy", "deploy", *arguments], timeout=20)

        one_line(what, finished, code, words)
        app.settle()
        equal(f"{what}: everything", app.snapshot(), before)
        app.machine.must("rm -rf /etc/safe-deploy /srv/demo/* && cp -a /var/kept/safe-deploy /etc && cp -a /var/kept/demo/. /srv/demo")
    equal("everything", app.snapshot(), sound)

    # What is left in /run by hand is refused by the unit, with its reason, and the current release is no excuse.
    app.machine.must("rm -rf /srv/demo/releases/2")
    for request in ("2\\n3", "/etc", "../releases/1"):
        app.machine.must(f"mkdir -p /run/safe-deploy/demo && ln -sfn \"$(printf '{request}')\" /run/safe-deploy/demo/next")
        before = app.snapshot()
        exits(app.machine.run("systemctl start safe-deploy@demo.service"), 1)
        app.settle()
        equal(f"the request {request}: everything", app.snapshot(), before)
        says(app.machine.run("journalctl -u safe-deploy@demo.service -n 20"), "is not a release's name")
        app.machine.must("systemctl reset-failed")
    app.machine.must("rm -rf /srv/demo/* && cp -a /var/kept/demo/. /srv/demo")

    # The other commands, and the units themselves.
    app.machine.must("rm /srv/demo/current && mkdir /srv/demo/current")
    for command in ("enable", "status"):
        finished = app.machine.run(["safe-deploy", command, "demo"])
        exits(finished, 1, "/srv/demo/current: is a directory, not a symlink")
    app.machine.must("rm -rf /srv/demo/* && cp -a /var/kept/demo/. /srv/demo && mv /srv/demo/releases /srv/demo/gone")
    one_line("enable without releases", app.machine.run("safe-deploy enable demo"), 71, ["/srv/demo/releases", "No such file"])
    exits(app.machine.run("systemctl start safe-deploy@demo.service"), 1)
    app.settle()
    app.machine.must("systemctl reset-failed; rm -rf /srv/demo/* && cp -a /var/kept/demo/. /srv/demo")
    for name in ("a/b", "..", "a b", "a" * 200):
        one_line(f"disable {name}", app.machine.run(["safe-deploy", "disable", name]), 2, [name[:40]])
    equal("everything", app.snapshot(), sound)

    # As somebody who may not read it: for root everything is readable.
    app.machine.must(f"chmod 600 {CONF}")
    unreadable = app.machine.run(["setpriv", "--reuid=www-data", "--clear-groups", "preflight", "--app", "demo"])
    one_line("an unreadable configuration", unreadable, 71, [CONF, "Permission denied"])
    true("the app still runs", app.answer())
