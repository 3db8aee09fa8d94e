"""The commands of the README's quickstart and of the example that it leads to, line by line as they stand there."""

from pathlib import Path

import examples
from app import App, equal, true

PACKAGE = False
ROOT = Path(__file__).resolve().parents[3]


def follow(machine, file, number):
    examples.follow(machine, (ROOT / file).read_text(), number, folder="/root/source")


def test(machine, package):
    # Who reads it is in the source directory, with the package built beside it.
    machine.write({f"/root/{package.name}": package.read_bytes(), "/root/source/README.md": "here"})
    app = App(machine)
    follow(machine, "README.md", 1)
    equal("the link", app.link(), "2")
    equal("the good releases", app.verdicts("good"), ["1", "2"])
    equal("the HTTP status", app.answer()[0], 200)
    true("the status tells what runs", "2" in machine.must("safe-deploy status demo"))

    follow(machine, "examples/demo/README.md", 0)
    equal("the link", app.link(), "2")
    equal("the bad releases", app.verdicts("bad"), ["3"])

    follow(machine, "examples/demo/README.md", 1)
    equal("failed units", machine.must("systemctl --failed --plain --no-legend | grep -v safe-deploy@ || true"), "")
