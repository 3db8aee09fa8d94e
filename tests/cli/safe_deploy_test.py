"""safe-deploy as far as it goes without systemd: what is refused, answered and asked of the tools before a unit is started."""

import json
import os
import subprocess
import unittest

from cli import TOOLS, AppTest, run

CI_VARIABLES = ("CI", "GITHUB_ACTIONS", "GITLAB_CI", "BUILD_TAG", "BUILD_URL", "INVOCATION_ID", "SUDO_USER")


class SafeDeployTest(AppTest):
    def setUp(self):
        super().setUp()
        self.environment["DBUS_SYSTEM_BUS_ADDRESS"] = f"unix:path={self.scratch}/no-bus"
        for name in CI_VARIABLES:
            self.environment.pop(name, None)

    def command(self, *arguments, **options):
        return self.tool("safe-deploy", *arguments, **options)

    def history(self):
        return [json.loads(line) for line in (self.scratch / "state/demo/history.jsonl").read_text().splitlines()]


class Deploy(SafeDeployTest):
    def test_usage(self):
        self.one_line(self.command("deploy"), 2, "an app is needed")
        self.one_line(self.command("deploy", "demo", "1", "2"), 2, "is one argument too many")
        self.one_line(self.command("deploy", "demo", "--to", "1"), 2, "--to: does not go with deploy")
        self.one_line(self.command("rollback", "demo", "--force"), 2, "--force: does not go with rollback")
        self.one_line(self.command("deploy", "demo", "--", "-x"), 2, "'-x': is not a release's name")
        self.one_line(self.command("deploy", "demo", "../x"), 2, "is not a release's name")
        self.one_line(self.command("rollback", "demo", "--to=-x"), 2, "'-x': is not a release's name")

    def test_what_is_not_there_is_told_with_its_place(self):
        self.one_line(self.command("deploy", "nobody"), 78, f"{self.scratch}/etc/nobody.conf")
        self.one_line(self.command("deploy", "demo", "7"), 1, f"{self.releases}/7: no such release")
        self.one_line(self.command("rollback", "demo"), 1, "no good release to roll back to")

    def test_the_units_know_the_usual_directories_only(self):
        self.release("1")
        self.one_line(self.command("deploy", "demo"), 2, "is not where the units look")

    def test_current_already(self):
        self.release("1")
        self.deploy("1")
        self.check(self.command("deploy", "demo"), 0, "demo: 1 is current already\n", "")

    def test_an_object_whatever_comes_of_it(self):
        keys = ["app", "outcome", "release", "from", "current", "phase", "reason", "message", "number", "forced", "started", "seconds", "phases"]

        def told(status, *arguments):
            result = self.check(self.command(*arguments, "--json"), status)
            answer = json.loads(result.out)
            self.assertEqual(list(answer), keys)
            return answer

        self.release("1", "2")
        self.deploy("1")
        answer = told(0, "deploy", "demo", "1")
        self.assertEqual((answer["outcome"], answer["release"], answer["current"], answer["phase"]), ("unchanged", "1", "1", "idle"))
        answer = told(1, "deploy", "demo", "7")
        self.assertEqual((answer["app"], answer["outcome"], answer["release"], answer["current"]), ("demo", "refused", "7", "1"))
        self.assertIn("no such release", answer["reason"])
        self.assertEqual(told(78, "deploy", "nobody")["outcome"], "error")
        self.assertEqual(told(1, "rollback", "demo", "--to", "7")["outcome"], "refused")

    @unittest.skipIf(os.geteuid() == 0 and not os.path.exists("/usr/bin/setpriv"), "needs another user")
    def test_force_is_roots(self):
        self.release("1")
        program = self.for_everybody("safe-deploy")
        drop = {"user": 65534} if os.geteuid() == 0 else {}
        result = self.command("deploy", "demo", "--force", executable=program, **drop)
        self.one_line(result, 1, "--force: is believed of root only")

    def test_the_outcome_is_not_lost_with_its_reader(self):
        self.release("1")
        self.deploy("1")
        reader, writer = os.pipe()
        os.close(reader)
        done = subprocess.run([TOOLS / "safe-deploy", "deploy", "demo"], stdout=writer, stderr=subprocess.PIPE, text=True,
                              env=self.environment, check=False)
        os.close(writer)
        self.assertEqual(done.returncode, 0, done)
        self.assertIn("1 is current already", done.stderr)
        with open("/dev/full", "w") as full:
            done = subprocess.run([TOOLS / "safe-deploy", "deploy", "demo"], stdout=full, stderr=subprocess.PIPE, text=True,
                                  env=self.environment, check=False)
        self.assertEqual(done.returncode, 71, done)


class WhoAsked(SafeDeployTest):
    def by(self, *command, **variables):
        result = run(*command, env={**self.environment, **variables})
        self.check(result, 0)
        return [line for line in self.history() if line["event"].endswith("-intended")][-1].get("by")

    def test_the_tools_tell_who_runs_them_by_hand(self):
        self.release("1", "2")
        swap = ("atomic-link", "--app", "demo")
        by = self.by(*swap, "1", SUDO_USER="ann", GITLAB_CI="true", CI_PROJECT_PATH="acme/app", CI_JOB_ID="4711", GITLAB_USER_LOGIN="bob",
                     CI_JOB_URL="https://token:secret@gitlab.example/acme/app/-/jobs/4711?private_token=secret", CI_JOB_TOKEN="secret")
        self.assertEqual(by["uid"], os.geteuid())
        self.assertEqual(by.get("sudo_user"), "ann" if os.geteuid() == 0 else None)
        self.assertEqual(by["job"], "GitLab CI acme/app#4711 by bob https://gitlab.example/acme/app/-/jobs/4711")
        self.check(self.tool("release-mark", "--app", "demo", "passed"), 0)
        by = self.by(*swap, "2", GITHUB_ACTIONS="true", GITHUB_REPOSITORY="acme/app", GITHUB_RUN_ID="99", GITHUB_ACTOR="bob\n",
                     GITHUB_SERVER_URL="https://github.com")
        self.assertEqual(by["job"], "GitHub Actions acme/app#99 by bob\\x0a https://github.com/acme/app/actions/runs/99")
        self.check(self.tool("release-mark", "--app", "demo", "passed"), 0)
        by = self.by("rollback-link", "--app", "demo", "--reason", "slow", BUILD_TAG="jenkins-app-7", BUILD_URL="https://ci/job/7/")
        self.assertEqual(by["job"], "Jenkins jenkins-app-7 https://ci/job/7/")

    def test_in_a_unit_the_request_tells_it(self):
        self.release("1")
        self.assertIsNone(self.by("atomic-link", "--app", "demo", "1", INVOCATION_ID="0" * 32))


if __name__ == "__main__":
    unittest.main()
