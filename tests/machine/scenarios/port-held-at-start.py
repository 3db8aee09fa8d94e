"""The port is held by a foreign process: the app's start fails in time, and its status names the holder."""

from app import equal, exits, true


def test(app):
    app.running("1")
    app.configure("[port]\nfree-timeout = 1s\n")
    app.machine.must("systemctl stop demo.service")
    app.machine.must("systemd-run --quiet --unit=foreign /usr/bin/python3 -c "
                     "'import socket, signal; held = socket.create_server((\"127.0.0.1\", 8080)); signal.pause()'")
    app.machine.must("port-wait --unit foreign 127.0.0.1:8080")

    finished = app.machine.run("systemctl start demo.service")

    exits(finished, 1)
    true("it failed in time", 1 <= finished.seconds < 3)
    equal("the unit", app.property("ActiveState"), "failed")
    status = app.machine.run("systemctl status --full demo.service").out
    for word in ("127.0.0.1:8080 is held by python3 (pid ", "foreign.service", "waited 1.0s"):
        true(f"the status tells {word!r}:\n{status}", word in status)
    app.settle()
    equal("the link", app.link(), "1")
    equal("the good releases", app.verdicts("good"), ["1"])

    app.machine.must("systemctl stop foreign.service && systemctl start demo.service")
    app.runs("1", good=["1"])
