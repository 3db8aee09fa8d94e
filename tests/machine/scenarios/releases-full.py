"""The disk of the links and releases is full, by blocks or by inodes, at each step of a deploy: refused, or ended as on an empty one."""

from app import equal
from faults import Deploys, SmallFileSystem


def test(app):
    app.running("100")
    disk = SmallFileSystem(app, "/srv/demo")
    deploys = Deploys(app)

    # A link needs no block of its own here, but an inode: without one there is no swap, and the record says so.
    disk.becomes("inodes", "before-swap")
    deploys.refused("/srv/demo", "No space left on device")
    disk.is_free_again()
    equal("the last outcome", app.ledger()["last"]["outcome"], "abandoned")
    deploys.good()

    for kind in ("blocks", "inodes"):
        for moment, deploy in (("swapped", deploys.good), ("swapped", deploys.bad), ("rolling-back", deploys.bad)):
            disk.becomes(kind, moment)
            deploy()
            disk.is_free_again()
        deploys.good()
