"""The record's disk is read-only before a deploy, or becomes so within one: refused, or left as it is until the disk is mended."""

from app import equal, exits
from faults import Deploys, SmallFileSystem


def test(app):
    app.running("100")
    disk = SmallFileSystem(app, "/var/lib/safe-deploy")
    deploys = Deploys(app)
    before = app.ledger()

    disk.becomes("ro")
    deploys.refused("/var/lib/safe-deploy", "Read-only file system")
    equal("the record", app.ledger(), before)
    disk.becomes("rw")
    deploys.good()

    # What was swapped cannot be confirmed, and no rollback be recorded: what runs is not stopped for nothing.
    app.release("102")
    disk.becomes("ro", "swapped")
    exits(app.deploy(), 4, "Read-only file system", "safe-deploy rollback demo")
    app.settle()
    disk.faults.have_come()
    equal("the phase", app.ledger()["phase"], "swapped")
    equal("what runs", app.answer() and app.answer()[1]["release"], "102")

    disk.becomes("rw")
    exits(app.rollback(), 0)
    deploys.verdicts["102"] = "bad"
    deploys.are_known()
    deploys.good()
