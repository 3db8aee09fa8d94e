"""port-wait tells whose a port is: another unit's, or a socket unit's; and that a unit will not come to listen."""

import json

from app import equal, exits, true

LISTEN = """\
#!/usr/bin/python3 -IS
import signal, socket, sys
held = socket.create_server(("127.0.0.1", int(sys.argv[1])))
signal.pause()
"""

UNITS = {
    "mine.service": "[Service]\nExecStart=/srv/listen 9000\nUser=www-data\n"
                    "ExecStartPre=/usr/bin/port-wait --free 127.0.0.1:9000\n"
                    "ExecStartPost=/usr/bin/port-wait --unit %n 127.0.0.1:9000\n",
    "exits.service": "[Service]\nExecStart=/bin/sh -c 'sleep 0.3; exit 3'\nExecStartPost=/usr/bin/port-wait 9001\n",
    "loops.service": "[Service]\nExecStart=/bin/sh -c 'sleep 0.3; exit 3'\nRestart=on-failure\nRestartSec=30\n",
    "wakes.socket": "[Socket]\nListenStream=127.0.0.1:9100\nListenStream=/run/wakes\nListenDatagram=9101\n",
    "wakes.service": "[Service]\nExecStart=/bin/sleep infinity\n",
}


def holder(machine, target):
    (target,) = json.loads(machine.must(["port-wait", "--json", target]))["targets"]
    return target["holder"]


def test(machine):
    machine.write({"/srv/listen": LISTEN, **{f"/etc/systemd/system/{name}": text for name, text in UNITS.items()}})
    machine.must("systemctl daemon-reload && systemctl start mine.service wakes.socket")

    # The unit's, and nobody else's, also for somebody without rights.
    anybody = "setpriv --reuid=nobody --regid=nogroup --clear-groups "
    for user in ("", anybody):
        exits(machine.run(user + "port-wait --unit mine 9000"), 0, "mine.service")
        exits(machine.run(user + "port-wait --unit wakes 9000"), 1, "held by listen (pid ", "mine.service", "not by wakes.service")
    equal("the command", holder(machine, "9000")["command"], "listen")
    equal("the unit", holder(machine, "9000")["unit"], "mine.service")

    # What systemd holds for a socket unit, before and after the service runs.
    for _ in range(2):
        for target in ("9100", "unix:/run/wakes", "udp:9101"):
            equal(f"the unit of {target}", holder(machine, target)["unit"], "wakes.socket")
            exits(machine.run(["port-wait", "--unit", "wakes.service", target]), 0, "wakes.socket")
            exits(machine.run(["port-wait", "--unit", "mine.service", target]), 1, "wakes.socket")
        machine.must("systemctl start wakes.service")

    # A unit that has failed, or is about to be started again, is not waited for.
    exits(machine.run("systemctl start exits.service"), 1)
    true("why is told", "process" in machine.journal("--unit=exits.service", "--identifier=port-wait"))
    machine.must("systemctl start --no-block loops.service")
    finished = machine.run("port-wait --unit loops 9001")
    exits(finished, 1, "loops.service failed: exited with status 3; systemd starts it again")
    true("at once", finished.seconds < 5)
    exits(machine.run("port-wait --unit no-such 9001"), 1, "there is no unit no-such.service")
