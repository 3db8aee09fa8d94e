"""safe-deploy status, where there is no systemd to ask."""

import json
import os
import shutil
import socket
import time
import unittest

from cli import run
from history_test import HistoryTest


class Status(HistoryTest):
    def status(self, *arguments, **options):
        return self.safe_deploy("status", *arguments, **options)

    def told(self):
        return json.loads(self.check(self.status("demo", "--json"), 0, err="").out)

    def bad_deploy(self, release, reason):
        super().bad_deploy(release, reason)
        # The incident of it is not what these tests are about.
        shutil.rmtree(self.scratch / "state/demo/incidents", ignore_errors=True)

    def row(self, name):
        """The value of a row, or None."""
        for line in self.check(self.status("demo"), 0).out.splitlines():
            if line.strip().startswith(name + ": "):
                return line.split(": ", 1)[1]
        return None

    def answers(self, when, **verdicts):
        directory = self.scratch / "state/demo/checks"
        directory.mkdir(exist_ok=True)
        told = [{"name": name, "verdict": verdict, "reason": "", "message": f"{name} says so", "sentence": f"{name} says so"}
                for name, verdict in verdicts.items()]
        (directory / f"{when}.json").write_text(json.dumps({"format": 1, "at": "2026-11-20T10:00:00.000Z", "answers": told}))

    def incident(self, name, **more):
        directory = self.scratch / "state/demo/incidents" / name
        directory.mkdir(parents=True)
        record = {"format": 1, "id": name, "kind": "check", "app": "demo", "release": "v1", "check": "api", "at": "2026-11-28T10:00:00.000Z",
                  "last_at": "2026-11-28T10:05:00.000Z", "count": 2, "reason": "answers 503", "done": "", "lines": [], "closed_at": "",
                  "closed_by": "", "note": ""}
        (directory / "incident.json").write_text(json.dumps({**record, **more}))

    def test_nothing_deployed_yet(self):
        out = self.check(self.status("demo"), 0, err="").out
        self.assertIn("current: (none)", out)
        self.assertIn("safe-deploy deploy demo", out)

    def test_what_runs_and_what_was_deployed(self):
        self.deploy("v1")
        self.bad_deploy("v2", "answers 503")
        self.assertEqual(self.row("current"), "v1 (good)")
        self.assertIsNone(self.row("previous"))  # it is what is current
        self.assertRegex(self.row("phase"), r"^idle since \S+ \S+ \([0-9.]+[mu]?s ago\)$")
        self.assertRegex(self.row("last deploy"), r"^deploy 2: v2 from v1, rolled-back, \S+ \S+ \(.* ago\), took \S+, by \S+: answers 503$")
        out = self.status("demo").out
        self.assertRegex(out, r"releases: v3  - *\n +v2  bad +since \S+ \S+: answers 503\n +v1  good  current, previous +since")
        self.assertNotIn("next:", out)

    def test_all_apps(self):
        self.deploy("v1")
        self.configure(f"[app]\nlink = {self.scratch}/srv/other\nreleases = {self.releases}\n", "other")
        self.configure("nonsense", "broken")
        head, broken, demo, other = self.check(self.status(), 0, err="").out.splitlines()
        self.assertEqual(head.split()[:6], ["APP", "PHASE", "CURRENT", "VERDICT", "UNIT", "SINCE"])
        self.assertIn("broken.conf:1: ", broken)
        self.assertRegex(demo, r"^demo +idle +v1 +good +\S+ +\d{4}-\d\d-\d\d \d\d:\d\d:\d\d +v1: good +-$")
        self.assertRegex(other, r"^other +idle +- +- ")
        self.assertEqual([app["app"] for app in json.loads(self.status("--json").out)["apps"]], ["broken", "demo", "other"])

    def test_for_programs(self):
        self.deploy("v1")
        self.bad_deploy("v2", "answers 503")
        self.incident("20261128-100000-check")
        self.answers("monitor", api="failed", disk="ok")
        told = self.told()
        for key in ("app", "phase", "since", "current", "previous", "unit", "unit_state", "error", "next_step", "last"):
            self.assertIn(key, told)
        self.assertEqual([(each["release"], each["verdict"], each["roles"]) for each in told["all_releases"]],
                         [("v3", None, []), ("v2", "bad", []), ("v1", "good", ["current", "previous"])])
        self.assertEqual((told["last_deploy"]["number"], told["last_deploy"]["outcome"]), (2, "rolled-back"))
        self.assertGreaterEqual(told["phase_seconds"], 0)
        self.assertIsNone(told["probation_left"])
        self.assertEqual([each["id"] for each in told["open_incidents"]], ["20261128-100000-check"])
        self.assertEqual([each["verdict"] for each in told["checks"]["monitor"]["answers"]], ["failed", "ok"])
        self.assertEqual(told["next"][-1]["commands"][0], "safe-deploy incidents demo")

    def test_the_checks(self):
        self.deploy("v1")
        self.answers("preflight", disk="ok", memory="skipped", unit="ok")
        self.answers("monitor", api="failed", redis="warning", disk="ok")
        out = self.check(self.status("demo"), 0).out
        self.assertRegex(out, r"preflight: \S+ \S+ \(.* ago\): all is well: disk, memory \(skipped\), unit\n")
        self.assertRegex(out, r"monitor: \S+ \S+ .*: 2 of 3 not well\n +api: FAILED: api says so\n +redis: warning: redis says so\n")

    def test_the_incidents(self):
        self.deploy("v1")
        self.incident("20261128-100000-check")
        self.incident("20261127-100000-stuck", kind="stuck", check="", closed_at="2026-11-27T11:00:00.000Z", closed_by="ann", note="x")
        out = self.check(self.status("demo"), 0).out
        self.assertIn("open: 20261128-100000-check: check api, 2 times: answers 503", out)
        self.assertIn("safe-deploy incidents demo --close 20261128-100000-check --note", out)
        self.assertNotIn("20261127", out)
        self.assertRegex(self.status().out, r"\ndemo .* 1\n")
        (self.scratch / "state/demo/incidents/20261128-100000-check/incident.json").unlink()
        self.check(self.status("demo"), 0, "the last one is closed: 20261127-100000-stuck: stuck")

    def test_the_probation(self):
        self.configure(f"[app]\nlink = {self.link}\nreleases = {self.releases}\n[watch]\nduration = 10m\n")
        self.check(self.tool("atomic-link", "--app", "demo", "v1"), 0)
        state = self.scratch / "state/demo/state.json"
        record = json.loads(state.read_text())
        record["phase"] = "probation"
        record["since"]["monotonic"] = time.clock_gettime(time.CLOCK_MONOTONIC) - 120
        state.write_text(json.dumps(record))
        self.assertRegex(self.row("probation"), r"^[78]m.* left of 10m$")
        self.assertAlmostEqual(self.told()["probation_left"], 480, delta=20)
        record["since"]["boot"] = "another"
        state.write_text(json.dumps(record))
        self.assertIsNone(self.told()["probation_left"])
        self.assertEqual(self.row("probation"), "10m from its beginning")

    def test_who_holds_the_port(self):
        self.deploy("v1")
        with socket.create_server(("127.0.0.1", 0)) as server:
            port = server.getsockname()[1]
            self.configure(f"[app]\nlink = {self.link}\nreleases = {self.releases}\n[port]\nlisten = 127.0.0.1:{port}\n")
            self.assertRegex(self.row("port"), rf"^127.0.0.1:{port} is held by python.* \(pid {os.getpid()}, uid {os.getuid()}")
            told = self.told()["port"]
            self.assertEqual((told["listening"], told["holder"]["pid"]), (True, os.getpid()))
        self.assertEqual(self.row("port"), f"nothing listens on 127.0.0.1:{port}")

    def test_what_to_do_can_be_copied(self):
        self.deploy("v1")
        self.releases.joinpath("it's v2").mkdir()
        self.check(self.tool("atomic-link", "--app", "demo", "it's v2"), 0)
        self.check(self.tool("release-mark", "--app", "demo", "stuck", "--reason", "503 " * 100), 0)
        shown = "\n".join(self.on_terminal(60, "status", "demo"))
        self.assertIn("    safe-deploy rollback demo --to v1\n", shown)
        self.assertIn("    journalctl -b -n 100 -u safe-deploy@demo.service -u safe-deploy-rollback@demo.service -u demo.service\n", shown)
        self.assertIn("    systemctl reset-failed demo.service\n", shown)

    def test_a_name_that_a_shell_would_take_apart_is_quoted(self):
        self.releases.joinpath("it's v1; reboot").mkdir()
        self.check(self.tool("atomic-link", "--app", "demo", "it's v1; reboot"), 0)
        self.check(self.tool("release-mark", "--app", "demo", "passed"), 0)
        self.deploy("v2")
        self.check(self.tool("atomic-link", "--app", "demo", "v3"), 0)
        self.check(self.tool("release-mark", "--app", "demo", "bad", "v2"), 0)
        self.check(self.tool("release-mark", "--app", "demo", "stuck", "--reason", "503"), 0)
        commands = [command for step in self.told()["next"] for command in step["commands"]]
        self.assertIn("safe-deploy rollback demo --to 'it'\\''s v1; reboot'", commands)

    def test_a_record_that_cannot_be_read(self):
        self.deploy("v1")
        (self.scratch / "state/demo/state.json").write_text("garbage")
        result = self.check(self.status("demo"), 1, "error: ")
        self.assertIn("safe-deploy reconcile demo", result.out)
        self.check(self.status(), 0, "demo  error ")

    def test_narrow_terminals(self):
        self.deploy("v1")
        self.bad_deploy("v2", "reason " * 40 + "end")
        self.assertLessEqual(max(map(len, self.on_terminal(20, "status"))), 20)
        for columns in (1, 20, 40, 80):
            shown = self.on_terminal(columns, "status", "demo")
            self.assertIn("v1", "".join(shown))
            if columns >= 40:
                self.assertLessEqual(max(map(len, shown)), columns)

    def test_usage(self):
        self.one_line(self.status("demo", "other"), 2, "one APP at most")
        self.one_line(self.status("nosuch"), 78, "nosuch.conf")
        self.one_line(self.status("demo", "-n", "3"), 2, "--lines: does not go with status")

    @unittest.skipUnless(os.geteuid() == 0, "needs root to become somebody else")
    def test_everybody_may_look(self):
        self.deploy("v1")
        executable = self.for_everybody("safe-deploy")
        for arguments in (["status"], ["status", "demo"], ["history", "demo"], ["plot", "demo"]):
            self.check(self.safe_deploy(*arguments, executable=executable, user=65534, group=65534), 0, "v1")

    def test_other_libraries_are_not_loaded(self):
        """Each costs milliseconds."""
        self.deploy("v1")
        shown = run("safe-deploy", "status", "demo", env=dict(self.environment, LD_DEBUG="files"))
        for library in ("libcurl", "libjq", "libcrypto", "libssl"):
            self.assertNotIn(library, shown.err)


if __name__ == "__main__":
    unittest.main()
