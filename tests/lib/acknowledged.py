"""An app that is deployed by the tools in a machine: what they acknowledged, and whether it is all there after a power loss."""

import io
import json
import os
import random
import tarfile
from dataclasses import dataclass, field
from pathlib import Path

KEPT = 4  # releases at most before old ones are removed, and what is passed to release-prune

CONFIGURATION = """\
[app]
link = {root}/current
releases = {root}/releases
require = file0
"""

# What is told after each acknowledged step; its parts begin with an ASCII record separator.
OBSERVE = r"""
export PATH=/bin SAFE_DEPLOY_STATE_DIR=/disk/state
part() { printf '\036'; cat; }
observe() {
  readlink /disk/$1/current | part
  readlink /disk/$1/previous | part
  ls /disk/$1/releases | part
  readlink /disk/$1-alone/current | part
  readlink /disk/$1-alone/previous | part
  cat /disk/state/$1/state.json 2> /dev/null | part
  tail -c +$(($2 + 1)) /disk/state/$1/history.jsonl 2> /dev/null | part
}
"""


def content(app, release, path, size):
    line = f"{app}/{release}/{path}\n".encode()
    return (line * (size // len(line) + 1))[:size]


@dataclass
class Known:
    """What was acknowledged of an app; it is on disk, whatever comes."""

    current: str = ""
    previous: str = ""
    alone: tuple = ("", "")  # current and previous of the link without an app
    state: dict = None
    history: bytes = b""

    @property
    def phase(self):
        return self.state["phase"] if self.state else "none"

    def verdicts(self):
        return {name: record["verdict"] for name, record in self.state["releases"].items()} if self.state else {}

    def named(self):
        """The releases that the links and the record need, by name."""
        names = {Path(link).name for link in (self.current, self.previous) if link}
        if self.state and self.phase in ("prepared", "swapped", "probation", "rolling-back"):
            names |= {self.state["candidate"], self.state["target"]}
        return names - {""}


@dataclass
class Step:
    """A command that was sent and is not acknowledged yet."""

    kind: str
    subject: str = ""  # the release or target that it leads to


# Where each kind of step may lead, besides where it began.
PHASES = {"deploy": {"prepared", "swapped", "idle"}, "pass": {"probation", "idle"}, "good": {"idle"}, "roll back": {"rolling-back"},
          "reconcile": {"idle", "stuck", "probation"}, "prune": set(), "link alone": set()}


class Failed(Exception):
    """A command of the loop did not do what it should have."""


class Survey:
    """What is on the disk: a tar archive of it."""

    def __init__(self, archive, app):
        self._app = app
        self.files = {}
        with tarfile.open(fileobj=io.BytesIO(archive)) as tar:
            for member in tar:
                name = member.name.removeprefix("./")
                self.files[name] = tar.extractfile(member).read() if member.isfile() else member.linkname or None

    def link(self, name):
        text = self.files.get(name)
        return text if isinstance(text, str) else ""

    def bytes(self, name):
        data = self.files.get(name)
        return data if isinstance(data, bytes) else None

    def lacks(self, directory, release, manifest):
        """What is wrong with a release's files, or nothing."""
        if manifest is None:
            return f"{release} was never made"
        for path, size in manifest.items():
            found = self.bytes(f"{directory}/{release}/{path}")
            if found is None:
                return f"{release} lacks {path}"
            if found != content(self._app, release, path, size):
                return f"{release}/{path} is not what was written ({len(found)} bytes of {size})"
        return None


@dataclass
class App:
    """One app on the disk under test, as the harness drives it and knows it."""

    name: str
    random: random.Random
    known: Known = field(default_factory=Known)
    step: Step = None  # under way
    manifests: dict = field(default_factory=dict)  # release -> {path: size}
    durable: set = field(default_factory=set)  # releases whose deploy was acknowledged, and not removed since
    count: int = 0

    @property
    def root(self):
        return f"/disk/{self.name}"

    def set_up(self, machine):
        configuration = CONFIGURATION.format(root=self.root).replace("\n", "\\n")
        must(machine, f"printf '{configuration}' > /etc/safe-deploy/{self.name}.conf; mkdir -p {self.root}/releases {self.root}-alone")

    def acknowledged(self, machine, step, command, codes=(0,)):
        """Runs a command that changes the app; its end is an acknowledgement."""
        self.step = step
        reply = machine.run(f"{command}; code=$?; observe {self.name} {len(self.known.history)}; (exit $code)")
        out, *parts = reply.out.split(b"\x1e")
        if reply.code not in codes or len(parts) != 7:
            raise Failed(f"{command}: exit code {reply.code}: {out.decode(errors='replace').strip()}")
        current, previous, listing, alone, alone_previous, state, history = parts
        self.known = Known(current.decode().strip(), previous.decode().strip(),
                           (alone.decode().strip(), alone_previous.decode().strip()),
                           json.loads(state) if state else None, self.known.history + history)
        self.step = None
        if step.kind == "deploy":
            self.durable.add(step.subject)
        self.durable &= set(listing.decode().split())
        return reply.code

    def new_release(self, directory):
        """A command that writes a release, as a person would: without a sync."""
        self.count += 1
        release = f"r{self.count}"
        sizes = [self.random.randrange(200_000) for _ in range(self.random.randint(1, 5))]
        self.manifests[release] = {f"{'lib/' if number > 2 else ''}file{number}": size for number, size in enumerate(sizes)}
        aside = f"{directory}/{release}.partial"
        writes = [f"yes {self.name}/{release}/{path} | head -c {size} > {aside}/{path}"
                  for path, size in self.manifests[release].items()]
        return release, " && ".join([f"mkdir -p {aside}/lib", *writes, f"mv {aside} {directory}/{release}"])

    def next_step(self, machine):
        phase, chance = self.known.phase, self.random.random()
        mark = f"release-mark --app {self.name}"
        if chance < 0.08:
            return self.link_alone(machine)
        if phase in ("none", "idle", "stuck"):
            self.remove_old(machine)
            return self.deploy(machine)
        if phase == "rolling-back":
            return self.acknowledged(machine, Step("pass"), f"{mark} passed")
        others = {name for name, verdict in self.known.verdicts().items() if verdict == "good"} & self.durable
        if others - {self.known.state["candidate"]} and chance < 0.4:
            return self.acknowledged(machine, Step("roll back"), f"rollback-link --app {self.name} --reason slow")
        if phase == "swapped":
            return self.acknowledged(machine, Step("pass"), f"{mark} passed")
        return self.acknowledged(machine, Step("good", self.known.state["candidate"]), f"{mark} good")

    def deploy(self, machine):
        release, write = self.new_release(f"{self.root}/releases")
        must(machine, write)
        named = f" {release}" if self.random.random() < 0.3 else ""
        self.acknowledged(machine, Step("deploy", release), f"atomic-link --app {self.name}{named}")

    def link_alone(self, machine):
        directory = f"{self.root}-alone"
        release, write = self.new_release(directory)
        must(machine, write)
        self.acknowledged(machine, Step("link alone", release),
                          f"atomic-link --save {directory}/previous {release} {directory}/current")

    def remove_old(self, machine):
        old = sorted(self.durable - self.known.named(), key=lambda name: int(name[1:]))
        if len(self.durable) <= KEPT or not old:
            return
        if self.random.random() < 0.7 and machine.run("command -v release-prune").code == 0:
            self.acknowledged(machine, Step("prune"), f"release-prune --app {self.name} --keep {KEPT - 2}")
        else:
            self.durable.discard(old[0])
            must(machine, f"cd {self.root}/releases && mv {old[0]} .{old[0]}.gone && rm -r .{old[0]}.gone")

    def judge(self, survey):
        """Compares what is on the disk after a cut with what was acknowledged; returns the faults. What is there is what is known
        from now on."""
        name, before, step = self.name, self.known, self.step
        after = Known(survey.link(f"{name}/current"), survey.link(f"{name}/previous"),
                      (survey.link(f"{name}-alone/current"), survey.link(f"{name}-alone/previous")), None,
                      survey.bytes(f"state/{name}/history.jsonl") or b"")
        faults = []
        kind = step.kind if step else None

        def link(what, was, found, may_be):
            if found != was and found not in may_be:
                faults.append(f"{what} names {found or 'nothing'}, not {' or '.join(map(repr, [was, *may_be]))}")

        good = [f"releases/{release}" for release, verdict in before.verdicts().items() if verdict == "good"]
        moved = {"deploy": [f"releases/{step.subject}"] if step else [], "roll back": good,
                 "reconcile": [before.state["from_link"] if before.state else "", *good]}.get(kind, [])
        link("current", before.current, after.current, moved)
        link("previous", before.previous, after.previous, [before.current] if kind == "deploy" else [])
        alone = kind == "link alone"
        link("the link alone", before.alone[0], after.alone[0], [step.subject] if alone else [])
        link("what it named before", before.alone[1], after.alone[1], [before.alone[0]] if alone else [])

        faults += self.judge_history(before, after)
        faults += self.judge_state(survey, before, after, step)

        for release in sorted(self.durable | after.named()):
            gone = not any(path.startswith(f"{name}/releases/{release}/") for path in survey.files)
            if kind == "prune" and gone and release not in after.named():
                self.durable.discard(release)
            elif lacking := survey.lacks(f"{name}/releases", release, self.manifests.get(release)):
                faults.append(lacking)
                self.durable.discard(release)
        for release in filter(None, set(after.alone)):
            if lacking := survey.lacks(f"{name}-alone", release, self.manifests.get(release)):
                faults.append(lacking)
        self.known, self.step = after, None
        return faults

    @staticmethod
    def judge_history(before, after):
        if not after.history.startswith(before.history):
            return [f"the history has lost lines: {len(after.history)} bytes, {len(before.history)} were acknowledged, "
                    f"the same are {len(os.path.commonprefix([before.history, after.history]))}"]
        *lines, _torn = after.history[len(before.history):].split(b"\n")
        return [f"the history has a line that is no JSON: {line[:100]!r}" for line in lines if line and not is_json(line)]

    def judge_state(self, survey, before, after, step):
        text = survey.bytes(f"state/{self.name}/state.json")
        try:
            after.state = json.loads(text) if text is not None else None
        except ValueError:
            return [f"state.json is no JSON: {text[:100]!r}"]
        if after.state == before.state:
            return []
        if after.state is None:
            return ["state.json is lost"]
        if step is None or step.kind == "link alone":
            return [f"the record is another one than was acknowledged: phase {after.phase}, not {before.phase}"]
        faults = []
        if after.phase not in {before.phase, *PHASES[step.kind]}:
            faults.append(f"phase {after.phase} after {before.phase} and `{step.kind}`")
        if step.kind != "prune" and after.history == before.history:
            faults.append("the record has changed, and the history does not tell")
        concerned = {step.subject, before.state["candidate"], before.state["current"]} if before.state else set()
        had, has = before.verdicts(), after.verdicts()
        for release in had.keys() - concerned:
            if has.get(release) != had[release] and not (step.kind == "prune" and release not in has):
                faults.append(f"the verdict on {release} is {has.get(release)}, not {had[release]}")
        return faults

    def recover(self, machine):
        """Reconciles after a cut; what is wrong then."""
        code = self.acknowledged(machine, Step("reconcile"), f"safe-deploy reconcile {self.name}", codes=(0, 1))
        known, current = self.known, Path(self.known.current).name
        if code and known.phase != "stuck":
            yield f"reconcile says no, and the phase is {known.phase}"
        if known.phase not in ("none", "idle", "probation", "stuck"):
            yield f"phase {known.phase} after reconcile"
        good = [name for name, verdict in known.verdicts().items() if verdict == "good" and name in self.durable]
        on_probation = known.phase == "probation" and current == known.state["candidate"]
        if good and current not in good and not on_probation:
            yield f"after reconcile `current` names {current or 'nothing'}, which is not good, and {good[-1]} is"
        unfinished = [f"{self.root}/releases/{name}" for name in self.manifests if name not in self.durable | known.named()]
        must(machine, f"rm -rf {self.root}/releases/*.partial {self.root}/releases/.*.gone {' '.join(unfinished)}")


def is_json(line):
    try:
        json.loads(line)
    except ValueError:
        return False
    return True


def must(machine, command):
    reply = machine.run(command)
    if reply.code:
        raise Failed(f"{command[-200:]}: exit code {reply.code}: {reply.text()[-300:]}")
    return reply
