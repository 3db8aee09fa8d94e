"""Completion in bash and zsh: options, commands, apps, releases and files."""

import os
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
        self.assertEqual(self.bash("port-wait", "--st"), ["--strict"])
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
        self.assertEqual(self.bash("safe-deploy", ""), ["deploy", "rollback", "status", "enable", "disable"])
        self.assertEqual(self.bash("safe-deploy", "deploy", ""), ["demo"])
        self.assertEqual(self.bash("safe-deploy", "deploy", "demo", ""), ["v1", "v2"])
        self.assertEqual(self.bash("safe-deploy", "rollback", "demo", "--to", "v2"), ["v2"])

    def test_files(self):
        (self.scratch / "cert.pem").touch()
        self.assertEqual(self.bash("health-wait", "--cacert", "ce"), ["cert.pem"])

    @unittest.skipUnless(shutil.which("zsh"), "there is no zsh")
    def test_zsh(self):
        elsewhere = self.configure_elsewhere()
        for typed, completed in (("port-wait --stri", "port-wait --strict"), ("safe-deploy dep", "safe-deploy deploy"),
                                 ("safe-deploy deploy de", "safe-deploy deploy demo"), ("port-wait --app d", "port-wait --app demo"),
                                 ("safe-deploy rollback demo --to v", "--to v"), ("release-mark --app demo --is out", "--is outdated"),
                                 ("preflight --app demo --only mem", "--only memory"),
                                 (f"preflight --app demo --config-dir {elsewhere} --when watch --only qu", "--only queue"),
                                 ("health-wait --app demo --when mo", "--when monitor")):
            with self.subTest(typed):
                done = subprocess.run(["zsh", "-f", "-c", ZSH, "zsh", COMPLETIONS, typed, completed], capture_output=True, text=True,
                                      env=self.environment, check=False, timeout=20, cwd=self.scratch)
                self.assertEqual((done.returncode, done.stderr), (0, ""), done.stdout)


if __name__ == "__main__":
    unittest.main()
