"""A service whose left-over child keeps the port for three seconds is restarted 20 times, and no start fails."""

from app import SERVER, equal, exits, true

# As a server with workers or hooks may be: what it forked outlives it, with the listening socket.
LISTENS = 'with listen(where) as listener:\n'
LEAVES_A_CHILD = LISTENS + """\
        ours, childs = socket.socketpair()
        if os.fork() == 0:
            ours.close()
            childs.recv(1)  # until its parent has ended
            time.sleep(3)
            os._exit(0)
"""


def test(app):
    app.running("1", service="KillMode=process")
    true("the server is as expected", LISTENS in SERVER)
    app.machine.write({"/srv/demo/releases/1/server": SERVER.replace(LISTENS, LEAVES_A_CHILD)})
    app.machine.must("systemctl restart demo.service")

    for _ in range(20):
        before = app.property("MainPID")
        finished = app.machine.run("systemctl restart demo.service")
        exits(finished, 0)
        true("the start waited for the port", finished.seconds > 2)
        equal("who answers", str(app.answer()[1]["pid"]), app.property("MainPID"))
        true("it is another process", app.property("MainPID") != before)

    app.runs("1", good=["1"])
    equal("automatic restarts", app.property("NRestarts"), "0")
    journal = app.machine.journal("--unit=demo.service")
    true("nobody met EADDRINUSE", "Address already in use" not in journal)
    true("who was waited for is told", "127.0.0.1:8080 is held by server (pid " in journal)
