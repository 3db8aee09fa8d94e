"""The port is held by a foreign process: refused before anything is changed, and the holder is named."""

from app import equal, exits


def test(app):
    app.running("1")
    app.release("2")
    app.machine.must("systemctl stop demo.service")
    app.machine.must("systemd-run --unit=foreign /usr/bin/python3 -c "
                     "'import socket, signal; held = socket.create_server((\"127.0.0.1\", 8080)); signal.pause()'")
    app.machine.until("ss -ltn | grep -q 127.0.0.1:8080")
    before = app.snapshot()

    exits(app.deploy(), 1, "127.0.0.1:8080", "python3", "foreign.service")

    app.settle()
    equal("everything", app.snapshot(), before)
