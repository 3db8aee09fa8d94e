"""What is seen of a deploy: on a terminal of 20 columns or none, in a pipe that is closed, as one object; and Ctrl-C leaves it running."""

import json

from app import equal, exits, true

TERMINAL = """#!/usr/bin/python3
# terminal COLUMNS COMMAND...: runs it on a terminal of so many columns, and prints what it wrote there.
import fcntl, os, pty, struct, sys, termios
pid, terminal = pty.fork()
if pid == 0:
    fcntl.ioctl(0, termios.TIOCSWINSZ, struct.pack("HHHH", 24, int(sys.argv[1]), 0, 0))
    os.execvp(sys.argv[2], sys.argv[2:])
while True:
    try:
        written = os.read(terminal, 4096)
    except OSError:
        break
    if not written:
        break
    os.write(1, written)
sys.exit(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
"""


def pieces(text):
    """What stood in a line of the terminal at one time or another."""
    return [piece for piece in text.replace("\x1b[K", "\n").replace("\r", "\n").splitlines() if piece]


def test(app):
    machine = app.machine
    app.running("1")
    machine.write({"/root/terminal": TERMINAL})

    # The answer is told whole, whatever the width is; all else fits.
    app.release("2", "slow 1")
    narrow = machine.run("/root/terminal 20 safe-deploy deploy demo")
    exits(narrow, 0, "demo: 2 is good")
    *live, answer = pieces(narrow.out)
    equal("the answer", answer, "demo: 2 is good")
    true(f"nothing is wider than the terminal: {live}", max(map(len, live)) < 20)
    app.release("3", "slow 1")
    wide = machine.run("/root/terminal 0 safe-deploy deploy demo")  # as of a terminal that does not tell
    exits(wide, 0, "demo: 3 is good")
    live = pieces(wide.out)
    for phase in ("checks", "swap", "restart", "health", "verdict"):
        true(f"the phase {phase} is told when it is over: {live}", any(piece.startswith(phase) and "s " in piece for piece in live))
    true(f"what is awaited is told: {live}", any("restart" in piece and "health gate" in piece for piece in live))
    true(f"the time goes on: {live}", len({piece for piece in live if "health gate" in piece}) > 5)

    # Nobody reads what is told.
    app.release("4")
    closed = machine.run("bash -c 'set -o pipefail; safe-deploy deploy demo 2>&1 | true'")
    exits(closed, 0)
    app.runs("4", good=["1", "2", "3", "4"])
    app.release("5", "status 503")
    exits(machine.run("bash -c 'set -o pipefail; safe-deploy deploy demo 2>&1 | true'"), 3)

    # One object.
    def told(code, *arguments):
        finished = app.deploy(*arguments, "--json")
        exits(finished, code)
        answer = json.loads(finished.out)
        return answer, {phase["phase"]: phase["seconds"] for phase in answer["phases"]}

    app.release("6", "slow 1")
    answer, phases = told(0)
    equal("the object", [answer[key] for key in ("app", "outcome", "release", "from", "current", "phase", "forced")],
          ["demo", "good", "6", "4", "6", "idle", False])
    equal("the number", answer["number"], app.ledger()["last"]["number"])
    equal("when it began", answer["started"], app.ledger()["last"]["started"])
    equal("the phases", list(phases), ["checks", "swap", "restart", "health", "verdict"])
    true(f"the restart took its second: {phases}", 1 <= phases["restart"] < answer["seconds"])
    app.release("7", "status 503")
    answer, phases = told(3)
    equal("the object", [answer[key] for key in ("outcome", "release", "from", "current")], ["rolled-back", "7", "6", "6"])
    true(f"the reason: {answer['reason']}", "503" in answer["reason"])
    true(f"the rollback is a phase: {phases}", "rollback" in phases)
    answer, _ = told(1, "7")
    equal("the object", [answer[key] for key in ("outcome", "release", "number", "phases")], ["refused", "7", 0, []])
    app.configure("[check room]\npath = /nonexistent/room\n")
    app.release("8")
    answer, phases = told(1)
    equal("the object", (answer["outcome"], answer["current"], list(phases)), ("refused", "6", ["checks"]))
    true(f"the reason: {answer['reason']}", "/nonexistent/room" in answer["reason"])
    machine.must("rm /etc/safe-deploy/demo.conf.d/50-test.conf && systemctl reset-failed")

    # Ctrl-C, and a second deploy meanwhile.
    app.release("9", "slow 3")
    interrupted = machine.start("exec timeout --preserve-status --signal=INT 1.5 safe-deploy deploy demo 9 > /root/told 2>&1")
    machine.until("systemctl is-active demo.service | grep -q activating")
    answer, _ = told(75, "8")
    equal("the object", answer["outcome"], "busy")
    equal("the exit code", interrupted.wait(30), 130)
    told_last = machine.must("cat /root/told")
    true(f"how to look at it is told: {told_last}", "the deploy goes on: 'safe-deploy status demo', journalctl -fu" in told_last)
    app.settle()
    app.runs("9", good=app.verdicts("good"), bad=["5", "7"])
