"""`safe-deploy enable`, `disable` and `check`, as far as they go without systemd."""

import json
import os
import unittest

from cli import AppTest, run

URL = "http://127.0.0.1:9/health"


class Enable(AppTest):
    def safe_deploy(self, *arguments, **options):
        return self.tool("safe-deploy", *arguments, **options)

    def test_options_go_with_their_commands_only(self):
        for arguments in (["disable", "demo", "--limits"], ["check", "demo", "--dry-run"], ["status", "--url", URL],
                          ["enable", "demo", "--only", "disk"]):
            self.one_line(self.safe_deploy(*arguments), 2, "does not go with")
        self.check(self.safe_deploy("enable"), 2, err="an app is needed")
        self.check(self.safe_deploy("enable", "demo", "other"), 2, err="one argument too many")

    def test_a_configuration_that_is_there_is_not_written_over(self):
        path = self.scratch / "etc/demo.conf"
        before = path.read_text()
        for options in (["--url", URL], ["--port", "80"], ["--releases", "/srv"], ["--link", "/srv/x"], ["--unit", "x"],
                        ["--url", URL, "--dry-run"]):
            self.one_line(self.safe_deploy("enable", "demo", *options), 1, f"{path}: is there already")
        self.assertEqual(path.read_text(), before)
        # Not even a link to nowhere.
        (self.scratch / "etc/other.conf").symlink_to("nowhere")
        self.one_line(self.safe_deploy("enable", "other", "--url", URL), 1, "other.conf: is there already")

    def test_names_are_looked_at_first(self):
        for name in ("a/b", "..", "-x y", "a" * 200):
            result = self.safe_deploy("enable", "--url", URL, "--", name) if name.startswith("-") else self.safe_deploy("enable", name, "--url", URL)
            self.assertEqual(result.status, 2, result)

    def test_the_units_know_the_usual_directories_only(self):
        """Otherwise what is here would be guarded by what is in /etc."""
        if os.geteuid() != 0:
            self.skipTest("needs root")
        self.one_line(self.safe_deploy("enable", "demo"), 2, "is not where the units look")
        self.one_line(self.safe_deploy("enable", "new", "--url", URL), 2, "is not where the units look")
        self.assertFalse((self.scratch / "etc/new.conf").exists())

    def test_without_root_nothing_is_tried(self):
        if os.geteuid() != 0:
            self.skipTest("needs root, to be somebody else")
        tool = self.for_everybody("safe-deploy")
        for command in ("enable", "disable"):
            result = run("safe-deploy", command, "demo", executable=tool, env=self.environment, user=65534, group=65534)
            self.one_line(result, 71, f"needs root ('sudo safe-deploy {command} demo')")


class Check(AppTest):
    def setUp(self):
        super().setUp()
        self.configure(f"[app]\nlink = {self.link}\nreleases = {self.releases}\n"
                       f"[check flag]\npath = {self.scratch}/flag\n[check other]\npath = /\n")
        self.release("1")

    def safe_deploy(self, *arguments):
        return self.tool("safe-deploy", "check", *arguments)

    def test_it_is_preflight(self):
        self.check(self.safe_deploy("demo", "--only", "flag"), 1, out="FAIL", err="flag")
        (self.scratch / "flag").touch()
        for options in (["--only", "flag"], ["--only", "flag", "--only", "other"], ["--only", "flag", "--json"], ["--only", "flag", "--quiet"]):
            ours = self.safe_deploy("demo", *options)
            its = self.tool("preflight", "--app", "demo", *options)
            self.assertEqual((ours.status, ours.err), (its.status, its.err), options)
            if "--json" in options:
                self.assertEqual([each["name"] for each in json.loads(ours.out)["checks"]], ["flag"])
            else:
                self.assertEqual(ours.out, its.out)

    def test_directories_and_errors_are_passed_on(self):
        (self.scratch / "elsewhere").mkdir()
        (self.scratch / "elsewhere/demo.conf").write_text("[check far]\npath = /\n")
        self.check(self.safe_deploy("demo", "--config-dir", self.scratch / "elsewhere", "--only", "far"), 0, out="far")
        self.check(self.safe_deploy("demo", "--only", "far"), 2, err="far")
        self.one_line(self.safe_deploy("nosuch"), 78, "nosuch.conf")
        self.check(self.safe_deploy("demo", "other"), 2, err="one argument too many")

    def test_it_knows_which_unit_the_deploy_would_restart(self):
        self.configure(f"[app]\nunit = other.service\nlink = {self.link}\nreleases = {self.releases}\n")
        self.one_line(self.safe_deploy("demo"), 78, "the deploy would restart demo.service")
        self.check(self.tool("preflight", "--app", "demo", "--only", "disk"), 0)


if __name__ == "__main__":
    unittest.main()
