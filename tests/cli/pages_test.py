"""Help and man page of each tool say the same, and every help fits a terminal."""

import os
import re
import unittest
from pathlib import Path

from cli import TOOLS, run

MAN = Path(os.environ["MAN"])
NAMES = sorted(path.name for path in TOOLS.iterdir() if path.is_file() and os.access(path, os.X_OK))

HELP_LINE = re.compile(r"^  (?:-(\w), |    )--([a-z0-9-]+)(?: ([A-Z][\w:/%-]*|\S+))?(?:  |$)")


def help_options(text):
    """{long: (short, argument)} as --help has them."""
    options = {}
    for line in text.splitlines():
        if found := HELP_LINE.match(line):
            options[found[2]] = (found[1] or "", bool(found[3]))
    return options


def page_options(text):
    options = {}
    section = text.split("\n.Sh OPTIONS\n")[1].split("\n.Sh ")[0]
    for line in section.splitlines():
        if not line.startswith(".It Fl "):
            continue
        words = line.split()[2:]
        short = ""
        if len(words) > 1 and words[1] == ",":
            short, words = words[0], words[2:]
        assert words[0].startswith("-"), line
        options[words[0][1:]] = (short, "Ar" in words)
    return options


class Pages(unittest.TestCase):
    def test_there_are_tools(self):
        self.assertIn("port-wait", NAMES)

    def test_help_is_on_stdout_and_fits_80_columns(self):
        for name in NAMES:
            with self.subTest(name):
                for option in ("--help", "-h"):
                    result = run(name, option)
                    self.assertEqual((result.status, result.err), (0, ""))
                    self.assertTrue(result.out.startswith(f"Usage: {name} "))
                    self.assertLessEqual(max(map(len, result.out.splitlines())), 80)

    def test_version(self):
        for name in NAMES:
            with self.subTest(name):
                self.assertRegex(run(name, "--version").out, rf"^{name} \(safe-deploy\) \d+\.\d+\.\d+\n$")

    def test_page_and_help_have_the_same_options(self):
        for name in NAMES:
            with self.subTest(name):
                page = (MAN / f"{name}.1").read_text()
                self.assertEqual(page_options(page), help_options(run(name, "--help").out))
                for section in ("EXIT STATUS", "EXAMPLES", "FILES"):
                    self.assertIn(f"\n.Sh {section}\n", page)

    def test_unknown_options_are_usage_errors_at_once(self):
        for name in NAMES:
            with self.subTest(name):
                result = run(name, "--no-such-option")
                self.assertEqual((result.status, result.out), (2, ""))
                self.assertTrue(result.err.startswith(f"{name}: --no-such-option: no such option"))


if __name__ == "__main__":
    unittest.main()
