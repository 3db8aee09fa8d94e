"""The examples of the package, set up as their READMEs say."""

import re
from pathlib import PurePath

from app import App, equal, true

HOME = PurePath("/usr/share/doc/safe-deploy/examples")


def commands(text, number):
    """The lines of a README's code block in sh with that number: (command, exit code)."""
    block = re.findall(r"^```sh\n(.*?)^```", text, re.MULTILINE | re.DOTALL)[number]
    for line in block.splitlines():
        told = re.search(r"# exits with (\d+)", line)
        yield line.split(" # ")[0].strip(), int(told[1]) if told else 0


def follow(machine, text, number, folder="/"):
    """Runs the lines of a README's code block; what the last one printed."""
    # Who reads it has sudo.
    machine.write({"/usr/local/bin/sudo": '#!/bin/sh\nexec "$@"\n'})
    for command, code in commands(text, number):
        finished = machine.run(f"cd {folder} && {command}")
        if finished.code != code:
            raise AssertionError(f"the README: expected the exit code {code}: {finished}")
    return finished.out


def quick(free="2s", probation="1s", limits="", spike=""):
    """A drop-in with times that are short where an example has those of real life; what it has is what a scenario is about."""
    return (f"[port]\nfree-timeout = {free}\n[health]\ninterval = 100ms\n[watch]\nduration = {probation}\n"
            + (f"[preflight]\n{limits}\n" if limits else "") + (f"[check spike]\nmax = {spike}\n" if spike else ""))


class Example(App):
    """One stage of an example: staging or production."""

    def __init__(self, machine, example, stage):
        super().__init__(machine, f"{example}-{stage}", port={"staging": 8998, "production": 9000}[stage])
        self.home = self.releases = f"/srv/{example}/{stage}"
        self.path = "/api/health"
        self.example = example

    def build(self, name, *lines):
        """A release that is as the first one; with lines, these are what its server runs, as a shell script. It counts its starts."""
        folder = f"{self.releases}/{name}"
        self.machine.must(f"cp -r {HOME}/{self.example}/build {folder}")
        if lines:
            self.machine.must(f"mv {folder}/server {folder}/real")
            self.machine.write({f"{folder}/server": "\n".join(["#!/bin/sh", f'echo start of {name}', *lines, ""])})

    def expected(self, release, pid):
        answer = {"status": "healthy", "release": release, "pid": pid}
        if self.example == "claude-bridge":
            answer["services"] = {"redis": {"status": "connected"}, "database": {"status": "connected"}}
        return answer

    def settle(self):
        self.is_proved()  # there is always a probation

    def starts(self, release):
        """How often the server of a release has been started, by what it left in the journal."""
        return self.machine.must(f"journalctl --no-pager --output=cat --unit={self.unit}").splitlines().count(f"start of {release}")


def set_up(machine, example):
    """Follows the first block of an example's README. The README's text, staging and production."""
    readme = machine.must(f"cat {HOME}/{example}/README.md")
    follow(machine, readme, 0)
    stages = [Example(machine, example, stage) for stage in ("staging", "production")]
    for stage in stages:
        equal(f"the phase of {stage.name}", stage.ledger()["phase"], "idle")
        true(f"{stage.name} is good", stage.verdicts("good") == [stage.link()])
        limits = stage.properties("TimeoutStopUSec", "TimeoutStartUSec", "Restart", "RestartUSec", "StartLimitBurst", "StartLimitIntervalUSec")
        equal(f"the limits of {stage.name}", limits, {
            "TimeoutStopUSec": "10s", "TimeoutStartUSec": "1min", "Restart": "on-failure", "RestartUSec": "10s", "StartLimitBurst": "3",
            "StartLimitIntervalUSec": "5min"})
    return readme, *stages


def removed(machine, readme, number):
    """Follows the block that takes an example away: nothing of it is left but the record."""
    follow(machine, readme, number)
    equal("what is left in /etc", machine.must("find /etc/systemd/system /etc/safe-deploy ! -type d -name '*alive*' -o ! -type d -name '*claude*' -o -name '*safe-deploy*.conf'"), "")
