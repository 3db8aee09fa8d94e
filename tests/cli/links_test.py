"""atomic-link, rollback-link and release-mark."""

import json
import os
import unittest
from pathlib import Path

from cli import AppTest, CliTest, run


class AtomicLink(CliTest):
    def setUp(self):
        super().setUp()
        for name in ("v1", "v2"):
            (self.scratch / name).mkdir()
        self.link = self.scratch / "current"

    def test_says_what_it_did(self):
        self.check(run("atomic-link", "v1", self.link), 0, f"{self.link}: (none) -> v1\n", "")
        self.check(run("atomic-link", "v2", self.link), 0, f"{self.link}: v1 -> v2\n", "")
        self.check(run("atomic-link", "v2", self.link), 0, f"{self.link}: unchanged\n", "")
        self.assertEqual(os.readlink(self.link), "v2")

    def test_json_is_one_object(self):
        answer = json.loads(run("atomic-link", "--json", "v1", self.link).out)
        self.assertEqual(answer, {"link": str(self.link), "from": "", "to": "v1", "release": "", "changed": True})

    def test_quiet_says_nothing(self):
        self.check(run("atomic-link", "-q", "v1", self.link), 0, "", "")

    def test_a_directory_or_file_is_never_replaced(self):
        self.link.mkdir()
        self.one_line(run("atomic-link", "v1", self.link), 1, f"atomic-link: {self.link}: is a directory, not a symlink")
        self.assertEqual(list(self.link.iterdir()), [])
        self.link.rmdir()
        self.link.write_text("x")
        self.one_line(run("atomic-link", "v1", self.link), 1, "is a file, not a symlink")

    def test_a_missing_target_is_refused(self):
        self.one_line(run("atomic-link", "v9", self.link), 1, f"{self.scratch}/v9: does not exist")
        self.check(run("atomic-link", "--allow-dangling", "v9", self.link), 0)

    def test_expect(self):
        run("atomic-link", "v1", self.link)
        self.one_line(run("atomic-link", "--expect", "v2", "v2", self.link), 1, "points at v1, not at v2")
        self.check(run("atomic-link", "--expect", "v1", "v2", self.link), 0)

    def test_save(self):
        run("atomic-link", "v1", self.link)
        self.check(run("atomic-link", "--save", self.scratch / "previous", "v2", self.link), 0)
        self.assertEqual(os.readlink(self.scratch / "previous"), "v1")
        self.check(run("rollback-link", self.link, self.scratch / "previous"), 0, "v2 -> v1")

    def test_a_link_that_is_not_there_is_not_rolled_back(self):
        run("atomic-link", "v1", self.scratch / "previous")
        self.one_line(run("rollback-link", self.link, self.scratch / "previous"), 1, "does not exist")
        self.assertFalse(self.link.is_symlink())

    def test_dry_run_changes_nothing(self):
        self.check(run("atomic-link", "-n", "v1", self.link), 0, "(none) -> v1")
        self.assertFalse(self.link.is_symlink())

    def test_usage(self):
        for arguments in ([], ["v1"], ["v1", "a", "b"], ["--nonsense"], ["--save"], ["-x"], ["--force", "v1", "a"], ["--json=1", "v1", "a"]):
            with self.subTest(arguments):
                self.check(run("atomic-link", *arguments), 2, "")

    def test_what_the_system_refuses_is_71_with_its_reason(self):
        self.one_line(run("atomic-link", "--allow-dangling", "v1", self.scratch / "nowhere/current"), 71, "No such file or directory")

    def test_an_answer_that_cannot_be_written_is_an_error(self):
        with open("/dev/full", "w") as full:
            import subprocess

            from cli import TOOLS

            done = subprocess.run([TOOLS / "atomic-link", "v1", self.link], stdout=full, stderr=subprocess.PIPE, text=True, check=False)
        self.assertEqual(done.returncode, 71)
        self.assertIn("standard output", done.stderr)


class App(AppTest):
    def test_a_deploy_and_a_rollback_step_by_step(self):
        self.release("v1", "v2")
        self.deploy("v1")
        self.check(self.tool("atomic-link", "--app", "demo"), 0, "releases/v1 -> releases/v2")
        self.check(self.tool("release-mark", "--app", "demo", "--is", "swapped"), 0, "", "")
        self.check(self.tool("release-mark", "--app", "demo", "--is", "rollback-due"), 0, "", "")
        answer = json.loads(self.tool("rollback-link", "--app", "demo", "--json", "--reason", "slow").out)
        self.assertEqual(answer["release"], "v1")
        self.check(self.tool("release-mark", "--app", "demo", "passed"), 0, "rolled back from v2 to v1: slow")
        self.check(self.tool("release-mark", "--app", "demo", "--is", "bad", "v2"), 0)
        self.check(self.tool("release-mark", "--app", "demo", "--is", "good"), 0)
        self.check(self.tool("release-mark", "--app", "demo", "--is", "outdated"), 0)
        self.one_line(self.tool("atomic-link", "--app", "demo"), 1, "nothing newer than v1 can be deployed; v2 is bad: slow")
        listed = json.loads(self.tool("release-mark", "--app", "demo", "--list", "--json").out)
        self.assertEqual([(row["release"], row["verdict"]) for row in listed["list"]], [("v1", "good"), ("v2", "bad")])
        self.check(self.tool("release-mark", "--app", "demo", "clear", "v2"), 0)
        self.check(self.tool("atomic-link", "--app", "demo", "--dry-run"), 0, "releases/v1 -> releases/v2")

    def test_a_rollback_is_due_where_it_can_be_done(self):
        self.release("v1", "v2")
        self.deploy("v1")
        self.deploy("v2")
        due = ("release-mark", "--app", "demo", "--is", "rollback-due")
        self.check(self.tool(*due), 1, "", "")
        (self.scratch / "run/demo").mkdir()
        request = self.scratch / "run/demo/rollback"
        request.symlink_to("v1")
        self.check(self.tool(*due), 0, "", "")
        request.unlink()
        request.symlink_to("v7")
        self.one_line(self.tool(*due), 1, "refused: ")
        self.one_line(self.tool(*due), 1, "v7: no such release")
        self.configure("nonsense")
        self.one_line(self.tool(*due), 255, "demo.conf:1: ")

    def test_why_a_candidate_fails_is_told_by_the_rollback(self):
        mark = ("release-mark", "--app", "demo")
        self.release("v1", "v2")
        self.check(self.tool("atomic-link", "--app", "demo", "v1"), 0)
        self.check(self.tool(*mark, "passed"), 0)
        self.check(self.tool(*mark, "failing", "--reason", "nobody is on trial"), 0, out="", err="")
        self.check(self.tool("atomic-link", "--app", "demo", "v2"), 0)
        self.check(self.tool(*mark, "failing", "--reason", "the port is held"), 0, out="", err="")
        self.check(self.tool(*mark, "failing", "--reason", "and more"), 0)
        self.check(self.tool("rollback-link", "--app", "demo"), 0)
        listed = self.check(self.tool(*mark, "--list"), 0).out
        self.assertRegex(listed, r"(?m)^v2 +bad .* the port is held$")
        self.one_line(self.tool(*mark, "failing"), 2, "--reason: is needed")

    def test_stuck_is_recorded_whatever_became_of_the_configuration(self):
        self.release("v1", "v2")
        self.deploy("v1")
        self.check(self.tool("atomic-link", "--app", "demo", "v2"), 0)
        self.configure("nonsense")
        self.check(self.tool("release-mark", "--app", "demo", "--is", "rollback-due"), 0, "", "")
        self.check(self.tool("release-mark", "--app", "demo", "stuck", "--reason", "why"), 0, "a person is needed")
        self.check(self.tool("release-mark", "--app", "demo", "--is", "stuck"), 0, "", "")

    def test_the_release_that_is_current_is_left_alone(self):
        self.release("v1")
        self.deploy("v1")
        before = (self.scratch / "state/demo/history.jsonl").read_bytes()
        self.check(self.tool("atomic-link", "--app", "demo"), 0, "unchanged")
        self.assertEqual((self.scratch / "state/demo/history.jsonl").read_bytes(), before)

    def test_refusals_are_one_line_and_change_nothing(self):
        self.one_line(self.tool("atomic-link", "--app", "demo"), 1, "no release to deploy")
        self.release("v1")
        self.one_line(self.tool("atomic-link", "--app", "demo", "v7"), 1, "v7: no such release")
        self.one_line(self.tool("rollback-link", "--app", "demo", "--reason", "x"), 1, "no good release to roll back to")
        self.assertFalse(self.link.is_symlink())

    def test_a_stuck_record_tells_why(self):
        self.release("v1")
        self.check(self.tool("atomic-link", "--app", "demo"), 0)
        self.check(self.tool("release-mark", "--app", "demo", "stuck", "--reason", "503"), 0, "a person is needed: 503")
        self.check(self.tool("safe-deploy", "status", "demo"), 0, "stuck: 503")

    def test_a_record_that_cannot_be_read_is_kept_and_told(self):
        self.release("v1")
        self.deploy("v1")
        (self.scratch / "state/demo/state.json").write_text("garbage")
        self.check(self.tool("release-mark", "--app", "demo", "good", "v1"), 0, err="nothing is known to be good now")
        kept = list((self.scratch / "state/demo").glob("state.json.unreadable-*"))
        self.assertEqual(len(kept), 1)
        self.assertEqual(kept[0].read_text(), "garbage")

    def test_reconcile_by_hand(self):
        self.release("v1", "v2")
        self.deploy("v1")
        state = self.scratch / "state/demo/state.json"
        record = json.loads(state.read_text())
        record.update(phase="prepared", candidate="v2")
        record["from"] = "v1"
        state.write_text(json.dumps(record))
        self.check(self.tool("safe-deploy", "reconcile", "demo"), 0, "unchanged", "the swap to v2 was not recorded as done: as before")
        self.check(self.tool("safe-deploy", "reconcile", "demo"), 0, "unchanged", "")

    def test_status_without_anything(self):
        self.check(self.tool("safe-deploy", "status", "demo"), 0, "(none)")
        self.check(self.tool("safe-deploy", "status"), 0, "demo")

    def test_an_app_is_also_known_by_its_unit(self):
        self.configure(f"[app]\nunit = web-1.service\nlink = {self.link}\nreleases = {self.releases}\n")
        self.release("v1")
        self.check(self.tool("atomic-link", "--app", "web-1"), 0)
        self.assertTrue((self.scratch / "state/demo/state.json").exists())


class BadInput(AppTest):
    TOOLS = (
        ("atomic-link", ["--app"]),
        ("rollback-link", ["--app"]),
        ("release-mark", ["--list", "--app"]),
        ("port-wait", ["--free", "--app"]),
        ("health-wait", ["--app"]),
        ("preflight", ["--app"]),
        ("safe-deploy", ["deploy"]),
        ("safe-deploy", ["rollback"]),
        ("safe-deploy", ["status"]),
        ("safe-deploy", ["enable"]),
        ("safe-deploy", ["reconcile"]),
        ("safe-deploy", ["failed"]),
    )

    def everywhere(self, name, status, err):
        for tool, arguments in self.TOOLS:
            with self.subTest(tool=tool, name=name):
                self.one_line(self.tool(tool, *arguments, name), status, err)
        self.assertEqual(list((self.scratch / "state").iterdir()), [])

    def test_names_that_are_no_app(self):
        for name in ("a/b", "..", "a b", "a" * 200, "", "grün", "x\ny", ".x"):
            self.everywhere(name, 2, "is not an app's name")

    def test_no_configuration(self):
        self.everywhere("nosuch", 78, "nosuch.conf")

    def test_a_configuration_that_is_no_file(self):
        (self.scratch / "etc/directory.conf").mkdir()
        os.mkfifo(self.scratch / "etc/fifo.conf")
        self.everywhere("directory", 78, "directory.conf")
        self.everywhere("fifo", 78, "fifo.conf")

    def test_a_configuration_that_is_no_text(self):
        (self.scratch / "etc/bytes.conf").write_bytes(b"[app]\nlink = /srv/\xff\n")
        (self.scratch / "etc/huge.conf").write_bytes(b"; padding\n" * 1_100_000)
        self.everywhere("bytes", 78, "bytes.conf:2: ")
        self.everywhere("huge", 78, "huge.conf")

    def test_what_is_not_understood_is_named_with_its_line(self):
        self.configure("[app]\nlink = /srv/x/current\nrelease = /srv/x\n", "typo")
        self.everywhere("typo", 78, "typo.conf:3: ")

    @unittest.skipUnless(os.geteuid() == 0, "needs root to become somebody else")
    def test_a_configuration_that_may_not_be_read(self):
        (self.scratch / "etc/secret.conf").write_text("[app]\n")
        (self.scratch / "etc/secret.conf").chmod(0o600)
        executable = self.for_everybody("release-mark")
        result = self.tool("release-mark", "--app", "secret", "--list", executable=executable, user=65534, group=65534)
        self.check(result, 71, err="Permission denied")

    def test_a_link_that_is_a_directory(self):
        self.release("v1")
        self.link.mkdir()
        self.one_line(self.tool("atomic-link", "--app", "demo"), 1, "is a directory, not a symlink")
        self.assertEqual(list(self.link.iterdir()), [])

    def test_releases_that_do_not_exist(self):
        self.releases.rmdir()
        for tool in ("atomic-link", "rollback-link"):
            self.one_line(self.tool(tool, "--app", "demo"), 71, "No such file or directory")

    def test_a_release_named_with_a_newline(self):
        Path(self.releases / "v1\nv2").mkdir()
        self.one_line(self.tool("atomic-link", "--app", "demo", "v1\nv2"), 2, "is not a release's name")
        self.one_line(self.tool("atomic-link", "--app", "demo"), 1, "no release to deploy")
        self.one_line(self.tool("safe-deploy", "deploy", "demo", "v1\nv2"), 2, "is not a release's name")


if __name__ == "__main__":
    unittest.main()
