"""A tool loads only the libraries that it needs: each one costs every run its time."""

import re
import subprocess
import unittest

from cli import TOOLS

OFTEN = ("port-wait", "atomic-link", "rollback-link", "release-mark", "safe-deploy")


def needed(tool):
    out = subprocess.run(["readelf", "--dynamic", TOOLS / tool], capture_output=True, text=True, check=True).stdout
    return re.findall(r"\(NEEDED\).*\[(.+)\]", out)


class Libraries(unittest.TestCase):
    def test_what_is_run_often_loads_neither_libcurl_nor_libjq(self):
        for tool in OFTEN:
            self.assertTrue(needed(tool), tool)
            self.assertEqual([library for library in needed(tool) if re.match(r"lib(curl|jq)", library)], [], tool)

    def test_the_others_do(self):
        for tool in ("health-wait", "drain-wait", "preflight"):
            for library in ("libcurl", "libjq"):
                self.assertTrue(any(each.startswith(library) for each in needed(tool)), (tool, library))


if __name__ == "__main__":
    unittest.main()
