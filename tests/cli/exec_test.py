"""Checks of the kind exec, asked by preflight and by health-wait."""

import os
import select
import signal
import subprocess
import unittest
from contextlib import contextmanager

from cli import TOOLS, AppTest
from health_wait_test import elapsed


class Exec(AppTest):
    def setUp(self):
        super().setUp()
        self.release("v1", "v2")
        self.deploy("v1")
        self.life = self.scratch / "life"
        os.mkfifo(self.life)

    def configure_with(self, *lines):
        self.configure("\n".join(["[app]", f"link = {self.link}", f"releases = {self.releases}", *lines, ""]))

    def script(self, text):
        path = self.scratch / "check_it"
        path.write_text("#!/bin/sh\n" + text)
        path.chmod(0o755)
        return path

    def ask(self, *names):
        only = [argument for name in names for argument in ("--only", name)]
        return self.tool("preflight", "--app", "demo", *only)

    @contextmanager
    def lifeline(self):
        """Gives what waits until somebody wrote to the FIFO; in the end nobody holds it, ten seconds later at the latest."""
        reader = os.open(self.life, os.O_RDONLY | os.O_NONBLOCK)

        def await_word(word):
            self.assertTrue(select.select([reader], [], [], 10)[0], f"{word!r} was awaited")
            self.assertEqual(os.read(reader, 100), word)

        try:
            yield lambda: await_word(b"begun\n")
            await_word(b"")
        finally:
            os.close(reader)

    def test_thirty_programs_take_as_long_as_one(self):
        script = self.script("sleep 1; echo well")
        names = [f"c{n}" for n in range(30)]
        self.configure_with(*(line for name in names for line in (f"[check {name}]", f"exec = {script}")))
        with elapsed(1, 15):  # thirty seconds one after the other
            result = self.ask(*names)
        self.check(result, 0, err="")
        self.assertEqual([line.split() for line in result.out.splitlines()], [[name, "ok", "check_it:", "well"] for name in names])

    def test_the_release_and_the_verdicts(self):
        script = self.script('echo "$1 $SAFE_DEPLOY_APP $SAFE_DEPLOY_RELEASE"; exit $2')
        self.configure_with("[check a]", f"exec = {script} ${{release}} 0", "[check b]", f"exec = {script} x 1",
                            "[check c]", f"exec = {script} x 2", "level = warning", "[check d]", f"exec = {script} x 3")
        result = self.ask("a", "b", "c", "d")
        self.check(result, 1, err="preflight: d: check_it: x demo v1 (exit status 3)\n")
        self.assertEqual([line.split(None, 2)[1:] for line in result.out.splitlines()],
                         [["ok", "check_it: v1 demo v1"],
                          ["WARN", "check_it: x demo v1 (exit status 1)"],
                          ["WARN", "check_it: x demo v1 (exit status 2)"],
                          ["FAIL", "check_it: x demo v1 (exit status 3)"]])

    def test_a_command_that_cannot_be_understood_is_an_error_of_the_configuration(self):
        for command, told in (("check_load hunter2", "the absolute path of a program"),
                              ("/bin/echo 'hunter2", "a quote (') that is not closed"),
                              ("echo ${release}", "the absolute path of a program")):
            self.configure_with("[check a]", f"exec = {command}")
            result = self.ask("a")
            self.one_line(result, 78, f"{self.scratch}/etc/demo.conf:5: exec: ")
            self.assertIn(told, result.err)
            self.assertNotIn("hunter2", result.err)

    def test_nothing_is_left_when_the_tool_is_ended(self):
        script = self.script(f"exec 9> {self.life}\necho begun >&9\nsetsid sleep 1000 &\nsleep 1000")
        self.configure_with("[check a]", f"exec = {script}", "timeout = 10m", "when = health")
        for tool, ending in (("preflight", signal.SIGKILL), ("preflight", signal.SIGTERM), ("health-wait", signal.SIGTERM)):
            with self.subTest(tool=tool, signal=ending), self.lifeline() as await_begin:
                running = subprocess.Popen(
                    [TOOLS / tool, "--app", "demo", *(["--when", "health"] if tool == "preflight" else ["-t", "10m"])],
                    env=self.environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
                await_begin()
                running.send_signal(ending)
                running.wait(20)


if __name__ == "__main__":
    unittest.main()
