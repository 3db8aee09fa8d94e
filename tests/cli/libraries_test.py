"""A tool loads only the libraries that it needs: each one costs every run its time."""

import re
import subprocess
import unittest

from cli import TOOLS, AppTest

OFTEN = ("port-wait", "atomic-link", "rollback-link", "release-mark", "safe-deploy")


def needed(tool):
    out = subprocess.run(["readelf", "--dynamic", TOOLS / tool], capture_output=True, text=True, check=True).stdout
    return re.findall(r"\(NEEDED\).*\[(.+)\]", out)


class Libraries(unittest.TestCase):
    def test_what_is_run_often_loads_neither_libcurl_nor_libjq(self):
        for tool in OFTEN:
            self.assertTrue(needed(tool), tool)
            self.assertEqual([library for library in needed(tool) if re.match(r"lib(curl|jq)", library)], [], tool)

    def test_no_tool_loads_openssl_before_it_is_needed(self):
        for tool in (*OFTEN, "health-wait", "drain-wait", "preflight"):
            self.assertEqual([library for library in needed(tool) if re.match(r"lib(ssl|crypto)", library)], [], tool)

    def test_the_others_do(self):
        for tool, libraries in (("health-wait", ("libcurl", "libjq")), ("drain-wait", ("libcurl", "libjq")),
                                ("preflight", ("libjq",))):
            for library in libraries:
                self.assertTrue(any(each.startswith(library) for each in needed(tool)), (tool, library))


class LoadedOnDemand(AppTest):
    """preflight loads libcurl when there is a URL to ask."""

    def loaded(self, *lines):
        """What the loader opened (ld.so(8), LD_DEBUG)."""
        self.configure("\n".join(["[app]", f"link = {self.link}", f"releases = {self.releases}", "[check x]", *lines, ""]))
        self.release_once()
        self.environment.update(LD_DEBUG="files", LD_DEBUG_OUTPUT=str(self.scratch / "loader"))
        self.tool("preflight", "--app", "demo", "--only", "x")
        traces = list(self.scratch.glob("loader.*"))
        self.assertTrue(traces)
        text = "".join(trace.read_text() for trace in traces)
        for trace in traces:
            trace.unlink()
        return set(re.findall(r"calling init: \S*/(\S+?)\.so", text))

    def release_once(self):
        if not any(self.releases.iterdir()):
            self.release("v1")

    def test_libcurl(self):
        without = self.loaded("disk = /")
        self.assertIn("libjq", without)
        self.assertNotIn("libcurl", without)
        self.assertNotIn("libssl", without)
        self.assertIn("libcurl", self.loaded("http = http://127.0.0.1:1/"))


if __name__ == "__main__":
    unittest.main()
