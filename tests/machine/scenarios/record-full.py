"""The record's disk is full, by blocks or by inodes, at each step of a deploy: refused, or ended as on an empty one."""

from app import equal
from faults import Deploys, SmallFileSystem


def test(app):
    app.running("100")
    disk = SmallFileSystem(app, "/var/lib/safe-deploy")
    deploys = Deploys(app)

    for kind in ("blocks", "inodes"):
        for moment in ("now", "before-swap"):
            before = app.ledger()
            disk.becomes(kind, moment)
            deploys.refused("/var/lib/safe-deploy", "No space left on device")
            disk.is_free_again()
            equal(f"the record, the disk being full of {kind} {moment}", app.ledger(), before)
            deploys.good()
        for moment, deploy in (("swapped", deploys.good), ("swapped", deploys.bad), ("rolling-back", deploys.bad)):
            disk.becomes(kind, moment)
            deploy()
            disk.is_free_again()
        deploys.good()
