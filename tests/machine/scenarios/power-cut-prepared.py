"""The machine goes down between the intent and the record of a swap, with the link moved or not: as if it had not begun."""

from app import equal, exits
from faults import cut_power

# The swap's second writing of the record is when it says that the link has been moved.
MOMENTS = ("previous", "current", "state.json:2")


def test(app):
    app.running("1")
    app.release("2")
    for name, moment in enumerate(MOMENTS, 3):
        app.release(str(name))
        good = ["1", *map(str, range(3, name))]

        cut_power(app, moment, "atomic-link", "--app", "demo", str(name))

        equal("the last outcome", app.ledger()["last"]["outcome"], "abandoned")
        app.runs(good[-1], good=good)
        exits(app.deploy(), 0)
        app.runs(str(name), good=[*good, str(name)], previous=good[-1])
        equal("what is left over of the record", app.machine.must("find /var/lib/safe-deploy -name '*.new'"), "")
