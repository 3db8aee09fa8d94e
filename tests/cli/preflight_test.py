"""preflight: the table, its verdicts and its exit status."""

import json
import os
import socket
import subprocess
import unittest

from cli import TOOLS, AppTest, examples
from health_wait_test import elapsed, silent_server
from web import Web, json_answer

STANDARD = ["unit", "restarts", "port", "disk", "memory", "health", "releases"]
MARKS = {"ok", "WARN", "FAIL", "SKIP"}


class Preflight(AppTest):
    def setUp(self):
        super().setUp()
        self.release("v1", "v2")
        self.deploy("v1")

    def configure_with(self, *lines):
        self.configure("\n".join(["[app]", f"link = {self.link}", f"releases = {self.releases}", *lines, ""]))

    def ask(self, *arguments):
        return self.tool("preflight", "--app", "demo", *arguments)

    def rows(self, result):
        """{name: (mark, sentence)}"""
        rows = {}
        for line in result.out.splitlines():
            name, mark, sentence = line.split(None, 2)
            self.assertIn(mark, MARKS, result)
            rows[name] = (mark, sentence)
        return rows

    def row(self, name, *arguments):
        """The one row of a check, and the exit status."""
        result = self.ask("--only", name, *arguments)
        (row,) = self.rows(result).values()
        return (*row, result.status)

    def test_seven_checks_always_exist(self):
        result = self.ask("--list")
        self.check(result, 0, err="")
        self.assertEqual([line.split()[0] for line in result.out.splitlines()], STANDARD)
        listed = json.loads(self.ask("--list", "--json").out)["checks"]
        self.assertEqual([check["name"] for check in listed], STANDARD)
        self.assertEqual({check["level"] for check in listed if check["name"] == "health"}, {"warning"})

    def test_each_is_answered_in_the_table(self):
        result = self.ask()
        rows = self.rows(result)
        self.assertEqual(list(rows), STANDARD)
        self.assertEqual(rows["memory"][0], "ok")
        self.assertEqual(rows["releases"], ("ok", "v2 is next, v1 is current"))
        self.assertEqual(rows["port"], ("SKIP", "[port] listen is not set"))

    def test_json_holds_the_same_and_more(self):
        told = json.loads(self.ask("--json", "--only", "disk", "--only", "releases").out)
        self.assertTrue(told["ok"])
        disk, releases = told["checks"]
        self.assertEqual((disk["name"], disk["verdict"], disk["level"], disk["reason"]), ("disk", "ok", "critical", "ok"))
        self.assertGreaterEqual(disk["figures"]["disk-used"], 0)
        self.assertEqual(releases["figures"]["releases"], 2)

    def test_a_critical_no_is_1_and_one_line_says_why(self):
        self.configure_with("[preflight]", "memory-available-min = 900T", "[check more]", "memory = 901T")
        result = self.ask("--only", "memory", "--only", "more")
        self.assertEqual([mark for mark, _ in self.rows(result).values()], ["FAIL", "FAIL"])
        self.one_line(result, 1, "preflight: memory: ")
        self.assertRegex(result.err, "at least 900T wanted; more: .*, at least 901T wanted")
        self.check(self.ask("-q", "--only", "memory"), 1, out="", err="preflight: memory: ")
        self.assertFalse(json.loads(self.ask("--json", "--only", "more").out)["ok"])

    def test_no_release_to_deploy(self):
        for name in ("v1", "v2"):
            (self.releases / name).rmdir()
        mark, sentence, status = self.row("releases")
        self.assertEqual((mark, status), ("FAIL", 1))
        self.assertIn(f"{self.releases}: no release to deploy", sentence)

    def test_a_release_that_lacks_something(self):
        self.configure_with("require = bin/server")
        self.assertIn("v2 is incomplete: it lacks bin/server", self.row("releases")[1])

    def test_nothing_newer_is_a_warning(self):
        (self.releases / "v2").rmdir()
        self.assertEqual(self.row("releases"), ("WARN", "v1 is current already, and nothing newer can be deployed", 0))

    def test_a_bad_release_is_not_next(self):
        self.check(self.tool("release-mark", "--app", "demo", "bad", "v2"), 0)
        self.assertEqual(self.row("releases")[0], "FAIL")
        (self.scratch / "run/demo").mkdir()
        (self.scratch / "run/demo/next").symlink_to("v2")
        mark, sentence, status = self.row("releases")
        self.assertEqual((mark, status), ("FAIL", 1))
        self.assertIn("v2: is bad since", sentence)

    def test_a_link_that_is_a_directory_and_releases_that_are_gone(self):
        self.link.unlink()
        self.link.mkdir()
        self.assertIn(str(self.link), self.row("releases")[1])
        self.configure_with("[check x]", "disk = /")
        self.configure(f"[app]\nlink = {self.link}\nreleases = {self.scratch}/gone\n")
        result = self.ask("--only", "releases", "--only", "disk")
        self.assertEqual(result.status, 1)
        self.assertEqual({name: mark for name, (mark, _) in self.rows(result).items()}, {"disk": "SKIP", "releases": "FAIL"})

    def test_a_port_that_somebody_holds_is_told_with_the_holder(self):
        with socket.create_server(("127.0.0.1", 0)) as held:
            self.configure_with("[port]", f"listen = 127.0.0.1:{held.getsockname()[1]}")
            mark, sentence, status = self.row("port")
            self.assertEqual((mark, status), ("FAIL", 1))
            self.assertIn(f"(pid {os.getpid()}, ", sentence)
        self.assertEqual(self.row("port")[0], "ok")

    def test_the_checks_of_a_phase(self):
        with Web(json_answer('{"n": 1}')) as web:
            self.configure_with("[check a]", f"http = {web.url}", "expect-json = .n == 2", "level = warning",
                                "[check b]", "when = monitor, watch", f"http = {web.url}", "description = the second one")
            self.assertEqual(self.row("a")[::2], ("WARN", 0))
            self.assertIn("gave false (it is 1)", self.row("a")[1])
            self.assertEqual(list(self.rows(self.ask("--when", "monitor"))), ["b"])
            self.check(self.ask("--when", "watch", "--list"), 0, out="b  critical  the second one\n")
            self.check(self.ask("--when", "health"), 0, out="")

    def test_a_check_that_hangs_costs_its_own_time_only(self):
        with silent_server() as url:
            checks = [line for n in range(20) for line in (f"[check c{n}]", f"http = {url}", "timeout = 300ms")]
            self.configure_with(*checks)
            with elapsed(0.3, 1.5):
                rows = self.rows(self.ask())
        self.assertIn("connected, but no answer within 300ms", rows["c19"][1])

    def test_attempts_are_repeated(self):
        with Web((503, {}, b""), (200, {}, b"")) as web:
            self.configure_with("[check a]", f"http = {web.url}", "attempts = 2", "interval = 10ms")
            self.assertEqual(self.row("a")[0], "ok")
            self.assertEqual(len(web.requests), 2)

    def test_a_check_that_wants_a_release_is_skipped_where_there_is_none(self):
        self.link.unlink()
        self.configure_with("[check a]", "http = http://127.0.0.1:1/${release}")
        self.assertEqual(self.row("a")[0], "SKIP")
        self.assertIn("no release is deployed", self.row("a")[1])

    def test_a_filter_that_does_not_compile_is_an_error_of_the_configuration(self):
        self.configure_with("[check a]", "http = http://127.0.0.1:1/", "expect-json = .a ==")
        self.one_line(self.ask(), 78, f"{self.scratch}/etc/demo.conf:6: expect-json: '.a =='")

    def test_wrong_usage(self):
        self.one_line(self.tool("preflight"), 2, "--app is needed")
        self.one_line(self.ask("x"), 2, "x: takes no argument")
        self.one_line(self.ask("--when", "lunch"), 2, "'lunch': is none of preflight, health, watch and monitor")
        self.one_line(self.ask("--only", "nothing"), 2, "'nothing': is none of the checks")
        self.one_line(self.ask("--nagios"), 2, "--nagios: no such option")
        self.one_line(self.tool("preflight", "--app", "../x"), 2, "is not an app's name")
        self.one_line(self.tool("preflight", "--app", "other"), 78, "other.conf")

    def test_the_examples_of_the_page_work(self):
        environment = {**self.environment, "PATH": f"{TOOLS}:{os.environ['PATH']}"}
        lines = examples("preflight")
        self.assertGreaterEqual(len(lines), 4)
        for line in lines:
            with self.subTest(line):
                done = subprocess.run(line, shell=True, env=environment, capture_output=True, text=True, timeout=20)
                self.assertEqual((done.returncode, done.stderr), (0, ""))

    def test_no_colour_where_nobody_sees_it(self):
        self.assertNotIn("\x1b", self.ask().out)


if __name__ == "__main__":
    unittest.main()
