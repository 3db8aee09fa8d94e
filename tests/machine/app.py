"""The app under test in a machine: a real service, its releases, and what everybody says of it afterwards."""

import json
import time
from pathlib import Path

SERVER = (Path(__file__).resolve().parent / "server").read_text()

UNIT = """\
[Unit]
Description=The app under test
{unit_section}

[Service]
ExecStart={home}/current/server {port}
User=www-data
{service}

[Install]
WantedBy=multi-user.target
"""

CONFIG = """\
[app]
unit = {unit}
link = {home}/current
releases = {releases}
require = server, behaviour

[port]
listen = 127.0.0.1:{port}
free-timeout = 10s

[health]
timeout = 20s
attempts = {attempts}
interval = 100ms

[check answer]
when = health
http = http://127.0.0.1:{port}/health
expect-json = .status == "healthy"
{config}
"""


class App:
    def __init__(self, machine, name="demo", unit=None, port=8080):
        self.machine = machine
        self.name = name
        self.unit = unit or f"{name}.service"
        self.port = port
        self.home = f"/srv/{name}"
        self.releases = f"{self.home}/releases"
        self.path = "/health"

    # Arrange

    def install(self, unit="", service="", config="", attempts=2):
        """The app's unit file and its configuration. `unit`, `service` and `config` are further lines: of the two
        sections of the unit, and of the configuration."""
        values = {"home": self.home, "releases": self.releases, "port": self.port, "unit": self.unit,
                  "unit_section": unit, "service": service, "config": config, "attempts": attempts}
        self.machine.write({f"/etc/systemd/system/{self.unit}": UNIT.format(**values),
                            f"/etc/safe-deploy/{self.name}.conf": CONFIG.format(**values)})
        self.machine.must(f"systemctl daemon-reload && systemctl --quiet enable '{self.unit}'")

    def configure(self, text):
        """A drop-in of the configuration."""
        self.machine.write({f"/etc/safe-deploy/{self.name}.conf.d/50-test.conf": text})

    def release(self, name, behaviour="healthy", **files):
        """A release, complete; `files` are further ones in it."""
        folder = f"{self.releases}/{name}"
        self.machine.write({f"{folder}/server": SERVER, f"{folder}/behaviour": behaviour,
                            **{f"{folder}/{file}": text for file, text in files.items()}})

    def running(self, name="1", **options):
        """Installs the app and brings release `name` to run, guarded and known to be good: the usual start."""
        self.install(**options)
        self.release(name)
        self.machine.must(f"ln -s releases/{name} {self.home}/current && systemctl start '{self.unit}'")
        self.machine.until(f"curl --silent --fail http://127.0.0.1:{self.port}/health")
        self.machine.must(f"safe-deploy enable {self.name}")

    # Act

    def deploy(self, *arguments):
        return self.machine.run(["safe-deploy", "deploy", self.name, *arguments])

    def rollback(self, *arguments):
        return self.machine.run(["safe-deploy", "rollback", self.name, *arguments])

    def check(self, name, verdict, *words, when="preflight"):
        """Lets preflight ask one check alone, which is to have this verdict (ok, warning, failed or skipped) and these words in
        its sentence. What preflight tells of it: an object."""
        finished = self.machine.run(["preflight", "--app", self.name, "--when", when, "--only", name, "--json"])
        if finished.code not in (0, 1) or not finished.out:
            raise AssertionError(str(finished))
        (told,) = json.loads(finished.out)["checks"]
        equal(f"the verdict of the check {name}, {told['message']!r}", told["verdict"], verdict)
        for word in words:
            true(f"the sentence of the check {name}, {told['message']!r}, tells {word!r}", word in told["message"])
        equal(f"preflight's exit code for the check {name}", finished.code,
              1 if (verdict, told["level"]) == ("failed", "critical") else 0)
        return told

    def probation(self, name, behaviour="healthy", config="", duration="10m"):
        """Deploys a release that is then on probation, with the check `answer` asked by the watch as well."""
        self.configure(f"[watch]\nduration = {duration}\n\n[check answer]\nwhen = health, watch\n{config}\n")
        self.release(name, behaviour)
        exits(self.deploy(), 0, name, "on probation")

    def incidents(self, *options):
        """What `safe-deploy incidents` tells of the app."""
        told = self.machine.must(["safe-deploy", "incidents", self.name, "--json", *options])
        return json.loads(told)["incidents"]

    # What everybody says

    def answer(self):
        """The app's HTTP answer, (status, object), or None where nobody answers."""
        finished = self.machine.run(["curl", "--silent", "--max-time", "5", "--write-out", "\n%{http_code}",
                                     f"http://127.0.0.1:{self.port}{self.path}"])
        if finished.code != 0:
            return None
        body, status = finished.out.rsplit("\n", 1)
        return int(status), json.loads(body)

    def expected(self, release, pid):
        """What a release that is well answers."""
        return {"status": "healthy", "release": release, "pid": pid}

    def properties(self, *names, unit=None):
        """Properties of the app's unit, as systemctl show has them."""
        out = self.machine.must(["systemctl", "show", f"--property={','.join(names)}", unit or self.unit])
        return dict(line.split("=", 1) for line in out.splitlines())

    def properties_of(self, name, units):
        """All words of a property that is a list, of several units."""
        return [word for unit in units for word in self.property(name, unit=unit).split()]

    def property(self, name, unit=None):
        return self.properties(name, unit=unit)[name]

    def link(self, name="current"):
        """The release that a link points at, or None."""
        finished = self.machine.run(["readlink", f"{self.home}/{name}"])
        return finished.out.strip().rsplit("/", 1)[-1] if finished.code == 0 else None

    def folders(self):
        """The directories beside the releases, hidden ones left out."""
        return self.machine.must(f"cd {self.releases} && find -mindepth 1 -maxdepth 1 -type d -name '[!.]*' -printf '%f\\n' | sort").split()

    def ledger(self):
        finished = self.machine.run(["cat", f"/var/lib/safe-deploy/{self.name}/state.json"])
        return json.loads(finished.out) if finished.code == 0 else None

    def history(self):
        """The events of the history, oldest first."""
        finished = self.machine.run(["cat", f"/var/lib/safe-deploy/{self.name}/history.jsonl"])
        return [json.loads(line) for line in finished.out.splitlines()]

    def verdicts(self, verdict):
        ledger = self.ledger() or {"releases": {}}
        return sorted(name for name, record in ledger["releases"].items() if record["verdict"] == verdict)

    def last_answers(self, when):
        """What the checks of a moment answered last, as it is kept."""
        return json.loads(self.machine.must(["cat", f"/var/lib/safe-deploy/{self.name}/checks/{when}.json"]))["answers"]

    def snapshot(self):
        """All that a deploy could have changed: equal before and after, nothing was."""
        return {
            "unit": self.properties("ActiveState", "SubState", "InvocationID", "NRestarts", "MainPID"),
            "link": self.machine.run(["readlink", f"{self.home}/current"]).out,
            "previous": self.machine.run(["readlink", f"{self.home}/previous"]).out,
            "ledger": self.ledger(),
            "history": self.history(),
            "files": self.machine.must(f"find {self.home} | sort"),
        }

    # Assert

    def watches(self):
        """The watch of a probation is at work."""
        self.machine.until(f"systemctl is-active --quiet safe-deploy-watch@{self.name}"
                           f" && pgrep -x health-wait")

    def runs(self, release, good, bad=(), phase="idle", previous=None):
        """The app runs a release and is healthy, and systemd, the links, the ledger, release-mark and the HTTP
        answer agree about it."""
        unit = self.properties("ActiveState", "SubState", "MainPID", "Result")
        equal("the unit", (unit["ActiveState"], unit["SubState"], unit["Result"]), ("active", "running", "success"))
        equal("the link", self.link(), release)
        equal("the HTTP answer", self.answer(), (200, self.expected(release, int(unit["MainPID"]))))
        self._is_known(good, bad, phase)
        equal("the ledger's current release", self.ledger()["current"], release)
        if previous is not None:
            equal("the previous link", self.link("previous"), previous)
        # A deploy or rollback of ours that failed stays so for people to see; nothing else may have.
        equal("failed units", self.machine.must("systemctl --failed --plain --no-legend | grep -v ^safe-deploy || true"), "")

    def is_stuck(self, good=(), bad=()):
        self._is_known(good, bad, "stuck")
        true("the ledger says why it is stuck", self.ledger()["stuck"])

    def refuses(self, *words):
        """A deploy is refused with these words, and has changed nothing."""
        before = self.snapshot()
        exits(self.deploy(), 1, *words)
        self.settle()
        equal("everything", self.snapshot(), before)

    def _is_known(self, good, bad, phase):
        equal("the phase", self.ledger()["phase"], phase)
        equal("the good releases", self.verdicts("good"), sorted(good))
        equal("the bad releases", self.verdicts("bad"), sorted(bad))
        listed = self.machine.must(["release-mark", "--app", self.name, "--list"])
        for name, verdict in [*((each, "good") for each in good), *((each, "bad") for each in bad)]:
            true(f"release-mark --list says that {name} is {verdict}:\n{listed}",
                 any(line.split()[:2] == [name, verdict] for line in listed.splitlines()))

    def is_at_rest(self):
        """No unit of ours is running or waiting; a deploy that has ended leaves nothing behind, once its pruning is done."""
        self.settle()
        units = self.machine.must("systemctl list-units --plain --no-legend --state=active,activating,deactivating 'safe-deploy*'"
                                  " | grep -v reconcile || true")
        equal("our units that are active", units, "")

    def settle(self):
        """Waits until none of our units is at work: what OnFailure= starts is not waited for by its trigger."""
        self.machine.until("! systemctl list-units --plain --no-legend --state=activating,deactivating 'safe-deploy*' | grep -q . "
                           "&& ! systemctl list-jobs --no-legend | grep -q .")

    def is_proved(self):
        """Waits for the end of a probation, too, and of what follows it."""
        App.settle(self)
        self.machine.until(f"! systemctl is-active --quiet safe-deploy-watch@{self.name}.service")
        App.settle(self)


def equal(what, found, expected):
    if found != expected:
        raise AssertionError(f"{what}: expected {expected!r}, found {found!r}")


def true(what, value):
    if not value:
        raise AssertionError(f"not so: {what}")


def exits(finished, code, *words):
    """A command ended with this code and told these words."""
    if finished.code != code:
        raise AssertionError(f"expected the exit code {code}: {finished}")
    says(finished, *words)


def says(finished, *words):
    told = finished.out + finished.err
    for word in words:
        if word not in told:
            raise AssertionError(f"{word!r} was not told: {finished}")


def says_why(app, release, *words):
    """The ledger's reason why a release is bad holds these words."""
    reason = app.ledger()["releases"][release]["reason"]
    for word in words:
        true(f"the reason why {release} is bad, {reason!r}, tells {word!r}", word in reason)
