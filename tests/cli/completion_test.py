"""Completion in bash and zsh: options, commands, apps, releases and files."""

import os
import re
import shutil
import subprocess
import unittest
from pathlib import Path

from cli import TOOLS, AppTest

COMPLETIONS = Path(os.environ["COMPLETIONS"])

# As bash does when the key is pressed: the words, of which the last one is completed.
BASH = """
source "$1"; shift
COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1))
_safe_deploy "$1" "${COMP_WORDS[COMP_CWORD]}" "${COMP_WORDS[COMP_CWORD - 1]}"
printf '%s\\n' "${COMPREPLY[@]}"
"""

# A terminal in which somebody types the words and the key.
ZSH = """
zmodload zsh/zpty
zpty shell zsh -f -i
zpty -w shell 'PS1= PS2= PROMPT_EOL_MARK=; unsetopt zle_bracketed_paste; fpath=('$1' $fpath); autoload -U compinit; compinit -u -D; echo rea""dy'
zpty -r shell line '*ready*'
zpty -w -n shell "$2"$'\\t'
zpty -r -m shell line "*$3*" || exit 1
zpty -d shell
"""


class Completion(AppTest):
    def setUp(self):
        super().setUp()
        self.release("v1", "v2")
        self.deploy("v1")
        self.environment["PATH"] = f"{TOOLS}:{os.environ['PATH']}"

    def bash(self, *words):
        done = subprocess.run(["bash", "-c", BASH, "bash", COMPLETIONS / "safe-deploy.bash", *words], capture_output=True, text=True,
                              env=self.environment, check=True, timeout=20, cwd=self.scratch)
        self.assertEqual(done.stderr, "")
        return done.stdout.split()

    def test_options(self):
        self.assertEqual(self.bash("port-wait", "--str"), ["--strict"])
        self.assertIn("--expect-json", self.bash("health-wait", "--"))
        for tool in (path.name for path in TOOLS.iterdir() if path.is_file() and os.access(path, os.X_OK)):
            self.assertIn("--help", self.bash(tool, "--"), tool)

    def test_values(self):
        self.assertEqual(self.bash("port-wait", "--app", ""), ["demo"])
        self.assertEqual(self.bash("preflight", "--app", "demo", "--only", "mem"), ["memory"])
        self.assertEqual(self.bash("release-mark", "--app", "demo", "--is", "st"), ["stuck"])
        self.assertEqual(self.bash("release-mark", "--app", "demo", "go"), ["good"])
        self.assertEqual(self.bash("release-mark", "--app", "demo", "good", ""), ["v1", "v2"])
        self.assertEqual(self.bash("atomic-link", "--app", "demo", "v"), ["v1", "v2"])
        self.assertEqual(self.bash("port-wait", "-t", ""), [])

    def configure_elsewhere(self):
        """A directory of configurations in which the app is asked something else when it is watched."""
        (self.scratch / "other").mkdir()
        (self.scratch / "other/demo.conf").write_text("[check queue]\npath = /\nwhen = watch\n")
        return self.scratch / "other"

    def test_phases(self):
        self.assertEqual(self.bash("preflight", "--when", ""), ["preflight", "health", "watch", "monitor"])
        self.assertEqual(self.bash("health-wait", "--when", ""), ["health", "watch", "monitor"])
        self.assertEqual(self.bash("health-wait", "--when", "p"), [])

    def test_the_checks_are_those_of_the_phase_and_directory_that_were_typed(self):
        typed = ("preflight", "--app", "demo", "--config-dir", str(self.configure_elsewhere()))
        self.assertEqual(self.bash(*typed, "--when", "watch", "--only", ""), ["queue"])
        self.assertEqual(self.bash(*typed, "--only", "q"), [])
        self.assertEqual(self.bash("preflight", "--app", "demo", "--when", "watch", "--only", ""), [])

    def test_commands(self):
        self.assertEqual(self.bash("safe-deploy", ""), ["deploy", "rollback", "status", "history", "plot", "incidents", "check", "enable",
                                                        "disable"])
        self.assertEqual(self.bash("safe-deploy", "--json", "sta"), ["status"])
        self.assertEqual(self.bash("safe-deploy", "deploy", ""), ["demo"])
        self.assertEqual(self.bash("safe-deploy", "deploy", "demo", ""), ["v1", "v2"])
        self.assertEqual(self.bash("safe-deploy", "deploy", "demo", "v1", ""), [])
        self.assertEqual(self.bash("safe-deploy", "status", "demo", ""), [])

    def test_values_of_the_commands(self):
        self.assertEqual(self.bash("safe-deploy", "rollback", "demo", "--to", "v2"), ["v2"])
        self.assertEqual(self.bash("safe-deploy", "rollback", "--to", "v2", ""), ["demo"])
        self.assertEqual(self.bash("safe-deploy", "--quiet", "rollback", "demo", "--to", ""), ["v1", "v2"])
        self.assertEqual(self.bash("safe-deploy", "check", "demo", "--only", "mem"), ["memory"])
        for name, record in (("1-open", '{"id": "1-open", "closed_at": ""}'), ("2-closed", '{"closed_at": "2026-11-28T10:00:00Z"}')):
            (self.scratch / f"state/demo/incidents/{name}").mkdir(parents=True)
            (self.scratch / f"state/demo/incidents/{name}/incident.json").write_text(record)
        self.assertEqual(self.bash("safe-deploy", "incidents", "demo", "--close", ""), ["1-open"])
        (self.scratch / "folder").mkdir()
        self.assertEqual(self.bash("safe-deploy", "enable", "demo", "--releases", "fol"), ["folder"])

    def test_options_are_those_of_the_command(self):
        common = ["--json", "--quiet", "--config-dir", "--state-dir", "--run-dir", "--help", "--version"]
        for command, own in (("check", ["--only"]), ("rollback", ["--to"]), ("disable", ["--dry-run"]), ("status", []),
                             ("history", ["--lines", "--since"]), ("plot", ["--lines"]),
                             ("enable", ["--limits", "--dry-run", "--url", "--port", "--releases", "--link", "--unit"])):
            with self.subTest(command):
                self.assertEqual(sorted(self.bash("safe-deploy", command, "demo", "--")), sorted(own + common))

    def test_what_is_completed_is_taken(self):
        """Help says whose an option is, and the completion believes it."""
        for command in ("check", "disable", "enable", "rollback"):
            completed = set(self.bash("safe-deploy", command, "--"))
            for option in self.all_options():
                refused = "does not go with" in self.tool("safe-deploy", command, option, *self.value_of(option)).err
                self.assertEqual(refused, option not in completed, f"{command} {option}")

    def all_options(self):
        return [found[1] for found in re.finditer(r"^  (?:-., |    )(--[a-z-]+)", self.tool("safe-deploy", "--help").out, re.MULTILINE)
                if found[1] not in ("--help", "--version")]

    def value_of(self, option):
        takes = re.search(rf"{option} [A-Z]+  ", self.tool("safe-deploy", "--help").out)
        return ["1"] if takes else []

    def test_files(self):
        (self.scratch / "cert.pem").touch()
        self.assertEqual(self.bash("health-wait", "--cacert", "ce"), ["cert.pem"])

    @unittest.skipUnless(shutil.which("zsh"), "there is no zsh")
    def test_zsh(self):
        elsewhere = self.configure_elsewhere()
        (self.scratch / "state/demo/incidents/1-open").mkdir(parents=True)
        (self.scratch / "state/demo/incidents/1-open/incident.json").write_text("{}")
        for typed, completed in (("port-wait --stri", "port-wait --strict"), ("safe-deploy dep", "safe-deploy deploy"),
                                 ("safe-deploy deploy de", "safe-deploy deploy demo"), ("port-wait --app d", "port-wait --app demo"),
                                 ("safe-deploy rollback demo --to v", "--to v"), ("safe-deploy check demo --onl", "demo --only"),
                                 ("safe-deploy check demo --only mem", "--only memory"),
                                 ("safe-deploy enable demo --lim", "demo --limits"),
                                 ("safe-deploy incidents demo --close 1-", "--close 1-open"), ("release-mark --app demo --is out", "--is outdated"),
                                 ("preflight --app demo --only mem", "--only memory"),
                                 (f"preflight --app demo --config-dir {elsewhere} --when watch --only qu", "--only queue"),
                                 ("health-wait --app demo --when mo", "--when monitor")):
            with self.subTest(typed):
                done = subprocess.run(["zsh", "-f", "-c", ZSH, "zsh", COMPLETIONS, typed, completed], capture_output=True, text=True,
                                      env=self.environment, check=False, timeout=20, cwd=self.scratch)
                self.assertEqual((done.returncode, done.stderr), (0, ""), done.stdout)


if __name__ == "__main__":
    unittest.main()
