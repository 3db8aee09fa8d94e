"""A release that exits with 0 before systemd has seen it begin, which skips the unit's own gate: noticed at once all the same."""

from app import exits, says_why, true


def test(app):
    app.running("1", service="Type=exec")
    for name in ("2", "3", "4"):  # which of the two is quicker is a matter of luck
        app.release(name, server="#!/bin/sh\nexit 0\n")

        finished = app.deploy()

        exits(finished, 3, name, "exited with status 0")
        true("the time of the health gate is not waited for", finished.seconds < 15)
        says_why(app, name, "exited with status 0")
        app.settle()
        app.runs("1", good=["1"], bad=[str(bad) for bad in range(2, int(name) + 1)])
