"""Bad input: one clear line, the contract's exit code, and nothing is changed."""

from app import equal, exits, true

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

    # As somebody who may not read it: for root everything is readable.
    app.machine.must(f"chmod 600 {CONF}")
    unreadable = app.machine.run(["setpriv", "--reuid=www-data", "--clear-groups", "preflight", "--app", "demo"])
    one_line("an unreadable configuration", unreadable, 71, [CONF, "Permission denied"])
    true("the app still runs", app.answer())
