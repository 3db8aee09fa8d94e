"""The disk of the links and releases is read-only before a deploy, or becomes so within one: refused, or stuck until it is mended."""

from app import equal, exits
from faults import Deploys, SmallFileSystem


def test(app):
    app.running("100")
    disk = SmallFileSystem(app, "/srv/demo")
    deploys = Deploys(app)

    app.release("101")
    disk.becomes("ro")
    exits(app.deploy(), 1, "/srv/demo", "Read-only file system")
    app.settle()
    deploys.are_known()
    equal("the last outcome", app.ledger()["last"]["outcome"], "abandoned")
    disk.becomes("rw")
    deploys.good()

    # The link cannot be taken back from a release that failed.
    app.release("102", "status 503")
    disk.becomes("ro", "swapped")
    exits(app.deploy(), 4, "Read-only file system")
    app.settle()
    disk.faults.have_come()
    app.is_stuck(good=["100", "101"], bad=["102"])
    equal("the link", app.link(), "102")

    disk.becomes("rw")
    exits(app.rollback(), 0)
    deploys.verdicts["102"] = "bad"
    deploys.are_known()
    deploys.good()
