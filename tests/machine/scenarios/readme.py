"""The commands of the README's quickstart and of the example that it leads to, line by line as they stand there."""

import re
from pathlib import Path

from app import App, equal, true

PACKAGE = False
ROOT = Path(__file__).resolve().parents[3]


def commands(file, number):
    """The lines of a file's code blocks in sh, of the block with that number: (command, exit code)."""
    block = re.findall(r"^```sh\n(.*?)^```", (ROOT / file).read_text(), re.MULTILINE | re.DOTALL)[number]
    for line in block.splitlines():
        told = re.search(r"# exits with (\d+)", line)
        yield line.split(" # ")[0].strip(), int(told[1]) if told else 0


def follow(machine, file, number):
    for command, code in commands(file, number):
        finished = machine.run(f"cd /root/source && {command}")
        if finished.code != code:
            raise AssertionError(f"{file}: expected the exit code {code}: {finished}")


def test(machine, package):
    # Who reads it is in the source directory, with the package built beside it, and has sudo.
    machine.write({"/usr/local/bin/sudo": '#!/bin/sh\nexec "$@"\n', f"/root/{package.name}": package.read_bytes(),
                   "/root/source/README.md": "here"})
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
