"""preflight: the table, its verdicts and its exit status."""

import json
import os
import socket
import subprocess
import unittest

from cli import TOOLS, AppTest, examples
from dead import dead_file_system
from health_wait_test import elapsed, silent_server
from web import Web, json_answer

STANDARD = ["unit", "restarts", "port", "disk", "memory", "health", "releases", "unit-file", "start-timeout", "rollback"]
WARNINGS = {"health", "unit-file", "start-timeout", "rollback"}
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

    def test_ten_checks_always_exist(self):
        result = self.ask("--list")
        self.check(result, 0, err="")
        self.assertEqual([line.split()[0] for line in result.out.splitlines()], STANDARD)
        listed = json.loads(self.ask("--list", "--json").out)["checks"]
        self.assertEqual([check["name"] for check in listed], STANDARD)
        self.assertEqual({check["name"] for check in listed if check["level"] == "warning"}, WARNINGS)

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
        self.configure(f"[app]\nlink = {self.link}\nreleases = {self.scratch}/gone\n")
        result = self.ask("--only", "releases", "--only", "disk")
        self.assertEqual(result.status, 1)
        self.assertEqual({name: mark for name, (mark, _) in self.rows(result).items()}, {"disk": "FAIL", "releases": "FAIL"})

    def test_a_port_that_somebody_holds_is_told_with_the_holder(self):
        with socket.create_server(("127.0.0.1", 0)) as held:
            self.configure_with("[port]", f"listen = 127.0.0.1:{held.getsockname()[1]}")
            mark, sentence, status = self.row("port")
            self.assertEqual((mark, status), ("FAIL", 1))
            self.assertIn(f"(pid {os.getpid()}, ", sentence)
        self.assertEqual(self.row("port")[0], "ok")

    def test_metrics_are_judged_by_rate_ratio_and_quantile(self):
        pages = [f'errors_total{{code="500"}} {errors}\nerrors_total{{code="404"}} 7\nrequests_total {requests}\n'
                 'h_bucket{le="0.1"} 5\nh_bucket{le="1"} 9\nh_bucket{le="+Inf"} 10\n' for errors, requests in ((1, 10), (2, 20))]
        rate = 'rate(errors_total{code=~"5.."}[200ms]) / rate(requests_total[200ms])'
        with Web(*((200, {}, page.encode()) for page in pages)) as web:
            self.configure_with("[check errors]", f"metric = {rate.replace(' / ', chr(10) + '  / ')}", f"url = {web.url}", "max = 0.05")
            result = self.ask("--only", "errors", "--json")
            (told,) = json.loads(result.out)["checks"]
            self.assertEqual((told["reason"], told["message"]), ("high", f"{rate} is 0.1, more than 0.05"))
            self.assertAlmostEqual(told["figures"]["value"], 0.1)
            self.assertEqual(len(web.requests), 2)
            self.configure_with("[check slow]", "metric = histogram_quantile(0.5, h_bucket)", f"url = {web.url}", "max = 0.1",
                                "[check typo]", "metric = request_total", f"url = {web.url}", "max = 1",
                                "[check idle]", "metric = rate(requests_total[10ms]) / rate(requests_total[10ms])",
                                f"url = {web.url}", "max = 1")
            rows = self.rows(self.ask("--only", "slow", "--only", "typo", "--only", "idle"))
        self.assertEqual(rows["slow"], ("ok", "histogram_quantile(0.5, h_bucket) is 0.1, at most 0.1"))
        self.assertEqual(rows["typo"], ("FAIL", f"{web.url}: has no metric request_total"))
        self.assertEqual(rows["idle"][0], "SKIP")

    def test_the_checks_of_a_phase(self):
        with Web(json_answer('{"n": 1}')) as web:
            self.configure_with("[check a]", f"http = {web.url}", "expect-json = .n == 2", "level = warning",
                                "[check b]", "when = monitor, watch", f"http = {web.url}", "description = the second one")
            self.assertEqual(self.row("a")[::2], ("WARN", 0))
            self.assertIn("gave false (it is 1)", self.row("a")[1])
            self.assertEqual(list(self.rows(self.ask("--when", "monitor"))), ["b"])
            self.check(self.ask("--when", "watch", "--list"), 0, out="b  critical  the second one\n")
            self.check(self.ask("--when", "health"), 0, out="", err="preflight: no check is asked then\n")
            self.check(self.ask("--when", "health", "--list"), 0, out="", err="preflight: no check is asked then\n")
            self.check(self.ask("--when", "health", "-q"), 0, out="", err="")
            self.one_line(self.ask("--only", "b"), 2, "'b': is asked with --when watch, --when monitor")
            self.one_line(self.ask("--when", "watch", "--only", "disk"), 2, "'disk': is asked with --when preflight")
            self.check(self.ask("--explain", "b"), 0, out="b: the second one\n", err="")
            self.one_line(self.ask("--when", "preflight", "--explain", "b"), 2, "'b': is asked with --when watch")

    def test_a_check_that_hangs_costs_its_own_time_only(self):
        with silent_server() as url:
            checks = [line for n in range(20) for line in (f"[check c{n}]", f"http = {url}", "timeout = 1s")]
            self.configure_with(*checks)
            with elapsed(1, 12):
                rows = self.rows(self.ask())
        self.assertIn("no answer within 1s", rows["c19"][1])

    def test_a_file_system_that_is_dead_costs_its_own_time_only(self):
        dead = self.scratch / "dead"
        dead.mkdir()
        checks = [
            line
            for name, question in (("a", f"disk = {dead}"), ("b", f"inodes = {dead}"), ("c", f"path = {dead}/file"))
            for line in (f"[check {name}]", question, "timeout = 1s")
        ]
        self.configure_with(*checks)
        with dead_file_system(dead), elapsed(1, 10):
            result = self.ask()
        rows = self.rows(result)
        self.assertEqual(result.status, 1)
        self.assertEqual(rows["a"], ("FAIL", f"{dead}: its file system does not answer within 1s"))
        self.assertEqual(rows["b"], ("FAIL", f"{dead}: its file system does not answer within 1s"))
        self.assertEqual(rows["c"], ("FAIL", f"{dead}/file: its file system does not answer within 1s"))
        self.assertEqual(rows["disk"][0], "ok")

    def test_what_files_the_load_and_the_pressure_are_asked_for(self):
        self.configure_with(
            "[check inodes]", f"inodes = {self.scratch}", "used-max = 100%",
            "[check path]", f"path = {self.releases}", "type = directory", "mode = 0755", "age-max = 1d",
            "[check load]", "load = 100000",
            "[check pressure]", "pressure = memory", "max = 100%", "share = full",
        )
        self.releases.chmod(0o755)
        self.assertEqual(self.row("path")[::2], ("ok", 0))
        self.assertEqual(self.row("load")[::2], ("ok", 0))
        for name in ("inodes", "pressure"):
            self.assertIn(self.row(name)[0], ("ok", "SKIP"))
        self.releases.chmod(0o777)
        self.assertIn("its mode is 0777, not 0755", self.row("path")[1])

    def test_a_question_without_its_limit_is_an_error_of_the_configuration(self):
        self.configure_with("[check a]", "pressure = memory")
        self.one_line(self.ask(), 78, f"{self.scratch}/etc/demo.conf:5: pressure: needs max")
        self.configure_with("[check a]", "load = much")
        self.one_line(self.ask(), 78, f"{self.scratch}/etc/demo.conf:5: load: 'much' is not a number")
        self.configure_with("[check a]", "path = /", "type = folder")
        self.one_line(self.ask(), 78, "type: 'folder' is none of file, directory, socket, fifo, symlink and device")

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
        self.check(self.ask("--nagios", "--json"), 3, out="PREFLIGHT UNKNOWN - --nagios: does not go with --json\n", err="")
        self.check(self.tool("preflight", "--nagios"), 3, out="PREFLIGHT UNKNOWN - --app is needed\n", err="")
        self.check(self.ask("--nagios", "--when", "lunch"), 3, out="PREFLIGHT UNKNOWN - 'lunch': is none of", err="")
        self.one_line(self.ask("--nagios", "--no-such"), 2, "--no-such: no such option")
        self.one_line(self.ask("--prometheus", "--list"), 2, "--prometheus: does not go with --list")
        self.one_line(self.ask("--explain", "nothing"), 2, "'nothing': is none of the checks")
        self.one_line(self.tool("preflight", "--app", "../x"), 2, "is not an app's name")
        self.one_line(self.tool("preflight", "--app", "other"), 78, "other.conf")

    def nagios(self, *arguments):
        """The status line, its figures and the exit status."""
        result = self.ask("--nagios", *arguments)
        self.check(result, result.status, err="")
        (line,) = result.out.splitlines()
        status, _, perfdata = line.partition(" | ")
        return status, dict(figure.split("=") for figure in perfdata.split()), result.status

    def test_a_status_line_for_nagios(self):
        status, figures, code = self.nagios("--only", "disk", "--only", "memory")
        self.assertEqual((status, code), ("PREFLIGHT OK - demo: 2 of 2 checks ok", 0))
        self.assertRegex(figures["'disk.disk-used'"], r"^[0-9.]+%$")
        self.assertRegex(figures["'memory.memory-available'"], r"^[0-9.]+B$")

    def test_the_states_of_nagios(self):
        self.configure_with("[check much]", "memory = 900T", "[check some]", "memory = 901T", "level = warning",
                            "[check odd]", "tcp-is-no-kind =", "")
        self.assertEqual(self.nagios()[2], 3)
        self.assertIn("PREFLIGHT UNKNOWN - ", self.nagios()[0])
        self.assertIn("demo.conf", self.nagios()[0])
        self.configure_with("[check much]", "memory = 900T", "[check some]", "memory = 901T", "level = warning")
        status, _, code = self.nagios("--only", "much", "--only", "some")
        self.assertEqual(code, 2)
        self.assertRegex(status, r"^PREFLIGHT CRITICAL - demo: 0 of 2 checks ok; much: .* at least 900T wanted$")
        status, _, code = self.nagios("--only", "some", "--only", "disk")
        self.assertEqual(code, 1)
        self.assertRegex(status, r"^PREFLIGHT WARNING - demo: 1 of 2 checks ok; some: .* at least 901T wanted$")
        status, _, code = self.nagios("--only", "port")
        self.assertEqual((status, code),
                         ("PREFLIGHT UNKNOWN - demo: 0 of 1 checks ok, 1 skipped; port: [port] listen is not set", 3))

    def test_metrics_for_prometheus(self):
        self.configure_with("[check much]", "memory = 900T", 'description = a "quoted" one')
        result = self.ask("--prometheus", "--only", "much", "--only", "port")
        self.check(result, 1, err="preflight: much: ")
        lines = result.out.splitlines()
        samples = dict(line.rsplit(" ", 1) for line in lines if not line.startswith("#"))
        self.assertEqual(samples['safe_deploy_preflight_ok{app="demo",when="preflight"}'], "0")
        for check, verdict in (("much", "failed"), ("port", "skipped")):
            for each in ("ok", "warning", "failed", "skipped"):
                sample = f'safe_deploy_check_verdict{{app="demo",when="preflight",check="{check}",level="critical",verdict="{each}"}}'
                self.assertEqual(samples[sample], "1" if each == verdict else "0")
        figure = samples['safe_deploy_check_figure{app="demo",when="preflight",check="much",figure="memory-available",unit="B"}']
        self.assertGreater(float(figure), 0)
        families = [line.split()[2] for line in lines if line.startswith("# TYPE ")]
        self.assertEqual(families, sorted(set(families), key=families.index))
        self.assertEqual({name.split("{")[0] for name in samples}, set(families))

    def test_the_metrics_of_two_moments_are_not_the_same_series(self):
        self.configure_with("[check a]", "path = /", "when = watch, monitor")
        of = {moment: {line.rsplit(" ", 1)[0] for line in self.ask("--prometheus", "--when", moment).out.splitlines()
                       if not line.startswith("#")} for moment in ("watch", "monitor")}
        self.assertGreater(min(map(len, of.values())), 4)
        self.assertFalse(of["watch"] & of["monitor"])

    def test_a_check_explains_itself(self):
        self.configure_with("[check big]", "memory = 1M", "required = yes", "attempts = 3", "interval = 2s",
                            "description = room for the cache")
        result = self.ask("--explain", "big")
        self.check(result, 0, err="")
        for line in ("big: room for the cache", "level:    critical, also where it cannot be asked",
                     "asked:    an answer within 5s, at most 3 times, 2s apart"):
            self.assertIn(line + "\n", result.out)
        for name in self.names():
            told = json.loads(self.ask("--explain", name, "--json").out)
            self.assertEqual(told["name"], name)
            self.assertGreater(min(len(told["why"]), len(told["remedy"])), 30)
        self.check(self.ask("--explain", "restarts"), 0, out="'systemctl reset-failed demo.service'")

    def test_an_explanation_names_the_unit_that_the_check_is_about(self):
        kinds = ("unit", "restarts", "journal", "unit-memory")
        self.configure_with(*(line for kind in kinds for line in (f"[check its-{kind}]", f"{kind} = ${{app}}-queue.service")),
                            "max = 1G", "[check web]", "http = http://127.0.0.1:1/")
        for name, unit in (*((f"its-{kind}", "demo-queue.service") for kind in kinds), ("web", "demo.service")):
            told = json.loads(self.ask("--explain", name, "--json").out)
            self.assertIn(f" {unit}", told["remedy"])
            self.assertNotIn("UNIT", told["remedy"])

    def names(self):
        return [check["name"] for check in json.loads(self.ask("--list", "--json").out)["checks"]]

    def test_what_cannot_be_asked_is_a_no_where_it_is_required(self):
        self.link.unlink()
        self.configure_with("[check a]", "http = http://127.0.0.1:1/${release}", "required = yes",
                            "[check b]", "http = http://127.0.0.1:1/${release}", "required = yes", "level = warning")
        self.assertEqual(self.row("a")[::2], ("FAIL", 1))
        self.assertIn("no release is deployed", self.row("a")[1])
        self.assertEqual(self.row("b")[::2], ("WARN", 0))

    def test_the_table_is_coloured_on_a_terminal_only_and_not_where_no_colour_is_wanted(self):
        for variables, coloured in (({}, True), ({"NO_COLOR": "1"}, False), ({"NO_COLOR": ""}, True)):
            leader, follower = os.openpty()
            with os.fdopen(leader, "rb", buffering=0) as terminal:
                done = subprocess.run([TOOLS / "preflight", "--app", "demo", "--only", "disk", "--only", "port"],
                                      env={**self.environment, **variables}, stdout=follower, stderr=subprocess.PIPE,
                                      timeout=20)
                os.close(follower)
                shown = terminal.read(4096)
            self.assertEqual((done.returncode, done.stderr), (0, b""))
            self.assertEqual(b"\x1b[32mok" in shown, coloured, shown)
            self.assertEqual(b"\x1b[2mSKIP" in shown, coloured, shown)

    def test_a_failure_is_told_where_the_table_goes_elsewhere(self):
        self.configure_with("[check much]", "memory = 900T")
        leader, follower = os.openpty()
        for arguments in ((), ("--prometheus",), ("--json",)):
            with self.subTest(arguments), os.fdopen(os.dup(leader), "rb", buffering=0) as terminal:
                done = subprocess.run([TOOLS / "preflight", "--app", "demo", "--only", "much", *arguments], timeout=20,
                                      env=self.environment, stdout=subprocess.PIPE, stderr=follower)
                self.assertEqual(done.returncode, 1)
                self.assertNotEqual(done.stdout, b"")
                self.assertRegex(terminal.read(4096), b"^preflight: much: ")
        os.close(leader)
        os.close(follower)

    def test_the_examples_of_the_page_work(self):
        self.configure_with("[check up]", "when = health", "path = /")
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
