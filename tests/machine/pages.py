"""The commands of the manual's pages, as they stand there."""

from pathlib import Path

MAN = Path(__file__).resolve().parents[2] / "man"


def blocks(page, section):
    """The literal blocks of a section, each a script for sh."""
    text = (MAN / page).read_text().split(f"\n.Sh {section}\n")[1].split("\n.Sh ")[0]
    return [part.split("\n.Ed")[0].replace(r"\e", "\\") for part in text.split("\n.Bd -literal -offset indent\n")[1:]]
