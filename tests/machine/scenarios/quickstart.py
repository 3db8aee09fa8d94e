"""The quickstart of the README, line by line, and a bad release after it."""

from pathlib import Path

from app import exits

SCRIPT = Path(__file__).resolve().parents[3] / "debian/tests/quickstart"


def test(machine):
    machine.write({"/root/quickstart": SCRIPT.read_text()})
    exits(machine.run("sh /root/quickstart"), 0)
