"""safe-deploy history and plot."""

import json
import os
import pty
import pwd
import subprocess
import unittest
import xml.etree.ElementTree as ElementTree

from cli import TOOLS, AppTest, examples

ME = pwd.getpwuid(os.getuid()).pw_name
SVG = "{http://www.w3.org/2000/svg}"


class HistoryTest(AppTest):
    def setUp(self):
        super().setUp()
        self.release("v1", "v2", "v3")

    def safe_deploy(self, *arguments, **options):
        return self.tool("safe-deploy", *arguments, **options)

    def bad_deploy(self, release, reason):
        self.check(self.tool("atomic-link", "--app", "demo", release), 0)
        self.check(self.tool("rollback-link", "--app", "demo", "--reason", reason), 0)
        self.check(self.tool("release-mark", "--app", "demo", "passed"), 0)

    def history(self, *arguments):
        result = self.check(self.safe_deploy("history", "demo", "--json", *arguments), 0, err="")
        told = json.loads(result.out)
        self.assertEqual(told["app"], "demo")
        return told["deploys"]

    def lines(self):
        return self.scratch / "state/demo/history.jsonl"

    def rewrite(self, change):
        """Changes each line of the record's history: `change(number, line)`."""
        told = [json.loads(line) for line in self.lines().read_text().splitlines()]
        for number, line in enumerate(told):
            change(number, line)
        self.lines().write_text("".join(json.dumps(line) + "\n" for line in told))

    def on_terminal(self, columns, *arguments):
        """What a terminal of so many columns gets to see."""
        master, slave = pty.openpty()
        self.addCleanup(os.close, master)
        import fcntl
        import struct
        import termios

        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
        done = subprocess.Popen([TOOLS / "safe-deploy", *arguments], env=self.environment, stdin=slave, stdout=slave, stderr=slave)
        os.close(slave)
        out = b""
        while True:
            try:
                got = os.read(master, 65536)
            except OSError:  # EIO: the last one who had it open has closed it
                break
            if not got:
                break
            out += got
        self.assertEqual(done.wait(20), 0, out)
        return out.decode().replace("\r\n", "\n").splitlines()


class History(HistoryTest):
    def test_the_newest_first_with_what_came_of_it(self):
        self.deploy("v1")
        self.bad_deploy("v2", "answers 503")
        head, second, first = self.check(self.safe_deploy("history", "demo"), 0, err="").out.splitlines()
        self.assertEqual(head.split(), ["NUMBER", "STARTED", "RELEASE", "FROM", "BY", "OUTCOME", "TOOK", "REASON"])
        self.assertRegex(second, r"^2 +\d{4}-\d\d-\d\d \d\d:\d\d:\d\d +v2 +v1 +" + ME + r" +rolled-back +[0-9.]+[mu]?s +answers 503$")
        self.assertRegex(first, r"^1 +\S+ \S+ +v1 +- +" + ME + r" +good +[0-9.]+[mu]?s$")

    def test_for_programs(self):
        self.deploy("v1")
        self.bad_deploy("v2", "answers 503")
        second, first = self.history()
        self.assertEqual((first["number"], first["release"], first["from"], first["outcome"], first["kind"]), (1, "v1", "", "good", "deploy"))
        self.assertEqual((second["number"], second["outcome"], second["reason"]), (2, "rolled-back", "answers 503"))
        self.assertEqual([step["event"] for step in second["steps"]], ["swap-intended", "swapped", "rollback-intended", "rolled-back"])
        seconds = [step["seconds"] for step in second["steps"]]
        self.assertEqual((seconds[0], seconds[-1]), (0, second["seconds"]))
        self.assertEqual(seconds, sorted(seconds))
        self.assertEqual((second["by"], second["forced"]), ({"uid": os.getuid(), "user": ME}, False))
        self.assertLess(second["started"], second["ended"])

    def test_a_deploy_that_is_under_way(self):
        self.check(self.tool("atomic-link", "--app", "demo", "v1"), 0)
        (only,) = self.history()
        self.assertEqual((only["outcome"], only["ended"], only["seconds"]), ("under way", "", None))

    def test_who_asked(self):
        self.deploy("v1")
        by = {"uid": 0, "user": "root", "sudo_user": "bob\x1b[31m", "job": "GitLab CI group/project#4711"}

        def ask(number, line):
            if number == 0:
                line.update(by=by, forced=True)

        self.rewrite(ask)
        self.check(self.safe_deploy("history", "demo"), 0, "root (bob\\x1b[31m), GitLab CI group/project#4711  good, forced")
        (only,) = self.history()
        self.assertEqual((only["by"], only["forced"]), (by, True))

    def test_how_many(self):
        for _ in range(4):
            self.deploy("v1")
            self.deploy("v2")
        numbers = lambda *arguments: [deploy["number"] for deploy in self.history(*arguments)]
        self.assertEqual(numbers(), [8, 7, 6, 5, 4, 3, 2, 1])
        self.assertEqual(numbers("-n", "3"), [8, 7, 6])
        self.assertEqual(numbers("--lines", "100"), [8, 7, 6, 5, 4, 3, 2, 1])
        for _ in range(4):
            self.deploy("v1")
            self.deploy("v2")
        self.assertEqual(len(numbers()), 10)
        self.assertEqual(len(numbers("--since", "1h")), 16)
        self.assertEqual(len(numbers("--since", "today", "-n", "2")), 2)

    def test_since(self):
        self.deploy("v1")
        self.deploy("v2")

        def last_year(_number, line):
            if line["deploy"] == 1:
                line["at"] = "2001-09-09T01:46:40.000Z"

        self.rewrite(last_year)
        for since in ("1h", "2d", "yesterday", "2001-09-10", "2001-09-09 12:00:00"):
            with self.subTest(since):
                self.assertEqual([deploy["number"] for deploy in self.history("--since", since)], [2])
        self.assertEqual([deploy["number"] for deploy in self.history("--since", "2001-09-01")], [2, 1])
        self.check(self.safe_deploy("history", "demo", "--since", "2999-01-01"), 0, "", "nothing was deployed since then")

    def test_usage(self):
        for arguments, err in (
            (["-n", "0"], "--lines: '0' is not a whole number"),
            (["-n", "-1"], "--lines: '-1' is not a whole number"),
            (["-n", "x"], "--lines: 'x' is not a whole number"),
            (["--since", "tomorrow"], "--since: 'tomorrow' is not a time (such as 2026-11-28"),
            (["--since", ""], "--since: '' is not a time"),
            (["--to", "v1"], "--to: does not go with history"),
            (["v1"], "v1: is one argument too many"),
        ):
            with self.subTest(arguments):
                self.one_line(self.safe_deploy("history", "demo", *arguments), 2, err)
        self.one_line(self.safe_deploy("history"), 2, "an app is needed")
        self.one_line(self.safe_deploy("history", "--", "-x"), 2, "is not an app's name")
        self.one_line(self.safe_deploy("history", "nosuch"), 78, "nosuch.conf")

    def test_nothing_yet(self):
        self.check(self.safe_deploy("history", "demo"), 0, "", "demo: nothing was deployed yet")
        self.check(self.safe_deploy("history", "demo", "-q"), 0, "", "")
        self.assertEqual(self.history(), [])

    def test_a_configuration_that_broke_hides_nothing(self):
        self.deploy("v1")
        self.configure("nonsense")
        self.check(self.safe_deploy("history", "demo"), 0, "v1", "")
        self.check(self.safe_deploy("plot", "demo"), 0, "</svg>")

    def test_a_history_with_garbage_in_it(self):
        self.deploy("v1")
        self.deploy("v2")
        whole = self.lines().read_bytes().splitlines(keepends=True)
        self.lines().write_bytes(b"\xff\xfe\x00\n" + whole[0] + b'{"event":{}}\n[[[[\n' + b"".join(whole[1:]) + b'{"event":"swap-int')
        self.assertEqual([deploy["outcome"] for deploy in self.history()], ["good", "good"])
        self.lines().unlink()
        self.lines().mkdir()
        self.one_line(self.safe_deploy("history", "demo"), 1, "is not a regular file")

    def test_control_characters_do_not_reach_the_terminal(self):
        self.deploy("v1")
        self.bad_deploy("v2", "\x1b]0;owned\x07\nfine")
        result = self.check(self.safe_deploy("history", "demo"), 0)
        self.assertNotIn("\x1b", result.out)
        self.assertEqual(len(result.out.splitlines()), 3)

    def test_a_long_history_is_read_from_its_end(self):
        self.deploy("v1")
        lines = [json.loads(line) for line in self.lines().read_text().splitlines()]
        with open(self.lines(), "w") as file:
            for number in range(1, 35_001):
                for line in lines:
                    line["deploy"] = number
                    file.write(json.dumps(line) + "\n")
        self.assertGreater(self.lines().stat().st_size, 20_000_000)
        # A hundred thousand lines; all of them would take seconds.
        result = self.safe_deploy("history", "demo", "--json", timeout=2)
        self.assertEqual([deploy["number"] for deploy in json.loads(result.out)["deploys"]], list(range(35_000, 34_990, -1)))

    def test_cut_to_the_terminal_and_whole_elsewhere(self):
        self.deploy("v1")
        self.bad_deploy("v2", "reason " * 40 + "end")
        self.check(self.safe_deploy("history", "demo"), 0, "reason end")
        for columns in (20, 80, 1):
            shown = self.on_terminal(columns, "history", "demo")
            self.assertEqual(len(shown), 3)
            self.assertLessEqual(max(map(len, shown)), columns)

    def test_a_closed_pipe(self):
        self.deploy("v1")
        for command in ("history demo", "plot demo", "status", "status demo"):
            done = subprocess.run(
                ["bash", "-c", f"{TOOLS}/safe-deploy {command} | true; echo ${{PIPESTATUS[0]}}"],
                env=self.environment, capture_output=True, text=True, check=True,
            )
            self.assertIn(done.stdout.strip(), ("0", "141"))
            self.assertNotIn("unexpected", done.stderr)


class Examples(HistoryTest):
    def test_those_of_the_page(self):
        self.deploy("v1")
        self.deploy("v2")
        commands = [line for line in examples("safe-deploy") if line.split()[1] in ("status", "history", "plot")]
        self.assertEqual({line.split()[1] for line in commands}, {"status", "history", "plot"})
        environment = dict(self.environment, PATH=f"{TOOLS}:{os.environ['PATH']}")
        for command in commands:
            with self.subTest(command):
                subprocess.run(["sh", "-c", command], env=environment, cwd=self.scratch, check=True, stdout=subprocess.DEVNULL,
                               stderr=subprocess.DEVNULL, timeout=20)
        self.assertTrue((self.scratch / "demo.svg").read_text().endswith("</svg>\n"))
        self.assertIn("v1 from (none)", (self.scratch / "before.svg").read_text())


class Plot(HistoryTest):
    def plot(self, *arguments):
        result = self.check(self.safe_deploy("plot", "demo", *arguments), 0)
        return ElementTree.fromstring(result.out)

    @staticmethod
    def texts(svg):
        return [text.text for text in svg.iter(f"{SVG}text")]

    def test_the_last_deploy_or_an_earlier_one(self):
        self.deploy("v1")
        self.bad_deploy("v2", "answers <503> & \"more\"")
        last = self.texts(self.plot())
        self.assertEqual(last[0], "demo: v2 from v1: rolled-back")
        self.assertIn("Reason: answers <503> & \"more\"", last)
        for name in ("swap", "restart", "deploy", "rollback"):
            self.assertIn(name, last)
        self.assertEqual(last, self.texts(self.plot("1")))
        first = self.texts(self.plot("2"))
        self.assertEqual(first[0], "demo: v1 from (none): good")
        self.assertNotIn("rollback", first)
        self.assertEqual(first, self.texts(self.plot("-n", "2")))

    def test_hostile_words_stay_words(self):
        self.deploy("v1")
        self.bad_deploy("v2", "</text><script>alert(1)</script>\x01")
        svg = self.plot()
        self.assertEqual([element.tag for element in svg.iter() if "script" in element.tag], [])
        self.assertIn("Reason: </text><script>alert(1)</script>\\x01", self.texts(svg))

    def test_usage(self):
        self.one_line(self.safe_deploy("plot", "demo"), 1, "demo: nothing was deployed yet")
        self.deploy("v1")
        self.one_line(self.safe_deploy("plot", "demo", "2"), 1, "there is only one deploy in the history")
        for arguments in (["0"], ["x"], ["-n", "0"], ["1", "2"], ["1", "-n", "1"], ["--since", "2d"]):
            with self.subTest(arguments):
                self.one_line(self.safe_deploy("plot", "demo", *arguments), 2, "safe-deploy: ")
        self.one_line(self.safe_deploy("plot"), 2, "an app is needed")


if __name__ == "__main__":
    unittest.main()
