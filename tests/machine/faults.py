"""What goes wrong in a machine: power that fails at a chosen moment, file systems that are full or read-only."""

from pathlib import Path

from app import equal, exits

HERE = Path(__file__).resolve().parent
HOLD = (HERE / "hold").read_text()

# What happens at a moment of a deploy, once: /run/fault says MOMENT COMMAND.
FAULT = """\
#!/bin/sh
read -r moment command < /run/fault || exit 0
case $moment in
  swapped | rolling-back) test "$1" = start && release-mark --app demo --is "$moment" ;;
  *) test "$1" = "$moment" ;;
esac || exit 0
true > /run/fault
eval "$command"
"""

FILL = """\
#!/bin/sh
# fill KIND DIRECTORY: up to the last of its blocks or inodes.
mkdir "$2/ballast"
case $1 in
  blocks) cat /dev/zero > "$2/ballast/1" ;;
  inodes) i=0; while true > "$2/ballast/$((i += 1))"; do :; done ;;
esac 2> /run/said
grep --quiet 'No space left' /run/said
"""

RECORD = "/var/lib/safe-deploy/demo/state.json"
# What befalls it.
DAMAGES = [damage.format(RECORD) for damage in (
    "truncate --size=0 {}", "truncate --size=-40 {}", "head --bytes=4k /dev/urandom > {}", "echo [] > {}", "rm {0}; mkdir {0}; touch {0}/kept",
    "rm {0}; mkfifo {0}", "sed --in-place 's/\"format\": 1/\"format\": 99/' {}")]


def cut_power(app, at, *command):
    """Runs a command, switches the machine off when it is about to rename a file to `at` (NAME or NAME:N), and on again."""
    machine = app.machine
    machine.write({"/usr/local/bin/hold": HOLD})
    machine.start(["hold", at, *command])
    machine.until("test -e /run/held")
    reboot(app)


def reboot(app):
    app.machine.crash()
    app.machine.boot()
    app.machine.until(f"systemctl is-active --quiet '{app.unit}'")


class Faults:
    """Commands that are run at a moment of the deploy: before-swap, which is after preflight, or the phase in which the app
    is started: swapped, rolling-back."""

    def __init__(self, app):
        self.machine = app.machine
        hook = "[Service]\nExecStartPre=+/usr/local/bin/fault {}\n"
        self.machine.write({"/usr/local/bin/fault": FAULT, "/run/fault": "",
                            "/etc/systemd/system/safe-deploy@demo.service.d/20-fault.conf": hook.format("before-swap"),
                            "/etc/systemd/system/demo.service.d/20-fault.conf": hook.format("start")})
        self.machine.must("systemctl daemon-reload")

    def at(self, moment, command):
        self.machine.write({"/run/fault": f"{moment} {command}\n"})

    def have_come(self):
        equal("the fault that is to come", self.machine.must("cat /run/fault"), "")


class SmallFileSystem:
    """A directory that becomes a small file system of its own, which can be filled, or made read-only."""

    def __init__(self, app, directory):
        self.machine = app.machine
        self.directory = directory
        self.faults = Faults(app)
        self.machine.write({"/usr/local/bin/fill": FILL})
        self.machine.must(f"cp -a {directory} /tmp/kept && mount -t tmpfs -o mode=755,size=1M,nr_inodes=200 tmpfs {directory} "
                          f"&& cp -a /tmp/kept/. {directory} && rm -r /tmp/kept")

    def becomes(self, what, moment="now"):
        """Full of blocks or of inodes, ro or rw; now or at a moment of Faults."""
        command = f"mount -o remount,{what} {self.directory}" if what in ("ro", "rw") else f"fill {what} {self.directory}"
        if moment == "now":
            self.machine.must(command)
        else:
            self.faults.at(moment, command)

    def is_free_again(self):
        self.faults.have_come()
        self.machine.must(f"rm -r {self.directory}/ballast")


class Deploys:
    """Deploys of an app that runs release 100: of the releases 101, 102 and so on, all kept, and what is known of them."""

    def __init__(self, app):
        self.app = app
        app.configure("[app]\nkeep = infinity\n")
        self.verdicts = {"100": "good"}

    def good(self):
        self._deploy("healthy", 0, "good")

    def bad(self):
        self._deploy("status 503", 3, "bad", "503")

    def refused(self, *words):
        self._deploy("healthy", 1, None, *words)

    def are_known(self):
        known = {verdict: [name for name, found in self.verdicts.items() if found == verdict] for verdict in ("good", "bad")}
        self.app.runs(known["good"][-1], **known)

    def _deploy(self, behaviour, code, verdict, *words):
        name = str(100 + len(self.verdicts))
        self.app.release(name, behaviour)
        exits(self.app.deploy(), code, *words)
        self.app.settle()
        if verdict:
            self.verdicts[name] = verdict
        self.are_known()
