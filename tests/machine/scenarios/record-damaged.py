"""The record is emptied, cut off, garbage or a directory before a deploy: set aside and kept, what was bad stays so, nothing else is known."""

from app import equal, exits, true
from faults import DAMAGES, RECORD


def test(app):
    app.running("100")
    app.release("101", "status 503")
    exits(app.deploy(), 3)
    for number, damage in enumerate(DAMAGES, 1):
        before = app.link()
        app.machine.must(damage)

        app.release("101")
        exits(app.deploy("101"), 1, "101: is bad since", "it would be set aside")

        equal("the link", app.link(), before)
        app.release(str(101 + number))
        exits(app.deploy(), 0, "is good")
        app.settle()
        app.runs(str(101 + number), good=[str(101 + number)], bad=["101"])
        kept = app.machine.must(f"ls -d {RECORD}.unreadable-*").split()
        equal(f"the records that are kept after {damage}", len(kept), number)
        told = app.machine.must("journalctl --output=cat -u safe-deploy@demo.service")
        true(f"it is told where the damaged one is: {told}", kept[-1].rsplit("/", 1)[-1] in told)
