"""Runs the built tools as a user would: arguments in; stdout, stderr and exit status out.

TOOLS in the environment is the directory of the built tools.
"""

import ctypes
import os
import platform
import shutil
import socket
import subprocess
import tempfile
import unittest
from pathlib import Path

TOOLS = Path(os.environ["TOOLS"])


def own_network():
    """A network of this process's own, where it may have one: the ports of programs at its side do not meet its own."""
    if os.geteuid() == 0:
        clone_newnet = 0x40000000  # os.unshare() came with Python 3.12
        if ctypes.CDLL(None).unshare(clone_newnet) == 0:  # not in every container
            subprocess.run(["ip", "link", "set", "lo", "up"], check=True)


own_network()


class Result:
    def __init__(self, done):
        self.status = done.returncode
        self.out = done.stdout
        self.err = done.stderr

    def __repr__(self):
        return f"status {self.status}\nstdout: {self.out!r}\nstderr: {self.err!r}"


def run(tool, *arguments, timeout=20, **options):
    """Runs a tool to its end. It must not need more than `timeout` seconds."""
    return Result(
        subprocess.run(
            [options.pop("executable", TOOLS / tool), *map(str, arguments)],
            capture_output=True,
            text=options.pop("text", True),
            errors=options.pop("errors", "backslashreplace"),
            stdin=subprocess.DEVNULL,
            timeout=timeout,
            check=False,
            **options,
        )
    )


def examples(tool):
    """The command lines in the EXAMPLES of a tool's page. MAN in the environment is the directory of the pages."""
    page = (Path(os.environ["MAN"]) / f"{tool}.1").read_text()
    section = page.split("\n.Sh EXAMPLES\n")[1].split("\n.Sh ")[0]
    return [line[len(".Dl $ "):].replace(r"\(dq", '"') for line in section.splitlines() if line.startswith(".Dl $ ")]


def without_netlink(command):
    """Runs it where socket(AF_NETLINK, ...) fails, as under RestrictAddressFamilies=."""
    numbers = {"x86_64": 41, "aarch64": 198}
    if platform.machine() not in numbers:
        raise unittest.SkipTest("number of socket(2) not known")

    class Instruction(ctypes.Structure):
        _fields_ = [("code", ctypes.c_uint16), ("jt", ctypes.c_uint8), ("jf", ctypes.c_uint8), ("k", ctypes.c_uint32)]

    class Program(ctypes.Structure):
        _fields_ = [("length", ctypes.c_uint16), ("filter", ctypes.POINTER(Instruction))]

    code = (Instruction * 6)(
        Instruction(0x20, 0, 0, 0),  # the number of the system call
        Instruction(0x15, 0, 3, numbers[platform.machine()]),
        Instruction(0x20, 0, 0, 16),  # its first argument
        Instruction(0x15, 0, 1, socket.AF_NETLINK),
        Instruction(0x06, 0, 0, 0x00050000 | 97),  # EAFNOSUPPORT
        Instruction(0x06, 0, 0, 0x7FFF0000),
    )
    program = Program(6, code)
    libc = ctypes.CDLL(None, use_errno=True)

    def forbid():
        libc.prctl(38, 1, 0, 0, 0)  # PR_SET_NO_NEW_PRIVS
        if libc.prctl(22, 2, ctypes.byref(program), 0, 0) != 0:  # PR_SET_SECCOMP, SECCOMP_MODE_FILTER
            os._exit(99)

    return subprocess.run(command, capture_output=True, text=True, preexec_fn=forbid, timeout=20, check=False)


class CliTest(unittest.TestCase):
    def setUp(self):
        self.scratch = Path(tempfile.mkdtemp(prefix="safe-deploy-cli-"))
        self.addCleanup(shutil.rmtree, self.scratch, ignore_errors=True)

    def for_everybody(self, tool):
        """The path of a copy of the tool that every user can run: a build directory may be its owner's own."""
        self.scratch.chmod(0o755)
        return shutil.copy(TOOLS / tool, self.scratch)

    def check(self, result, status, out=None, err=None):
        """The exit status, and what stdout and stderr must contain ("" for nothing at all)."""
        self.assertEqual(result.status, status, result)
        for stream, wanted in ((result.out, out), (result.err, err)):
            if wanted == "":
                self.assertEqual(stream, "", result)
            elif wanted is not None:
                self.assertIn(wanted, stream, result)
        return result

    def one_line(self, result, status, err):
        """An error is one clear line (and for wrong usage the hint at --help)."""
        self.check(result, status, err=err)
        lines = [line for line in result.err.splitlines() if "--help" not in line]
        self.assertEqual(len(lines), 1, result)


class AppTest(CliTest):
    """With an app `demo` and its releases in directories of its own."""

    def setUp(self):
        super().setUp()
        for name in ("etc", "state", "run", "srv/releases"):
            (self.scratch / name).mkdir(parents=True)
        self.link = self.scratch / "srv/current"
        self.releases = self.scratch / "srv/releases"
        # What tells of a CI job, of sudo or of a unit would be told of who deploys here, too.
        told = ("CI", "BUILD_", "GITHUB_", "GITLAB_", "SUDO_", "INVOCATION_ID")
        self.environment = dict(
            {name: value for name, value in os.environ.items() if not name.startswith(told)},
            SAFE_DEPLOY_CONFIG_DIR=str(self.scratch / "etc"),
            SAFE_DEPLOY_STATE_DIR=str(self.scratch / "state"),
            SAFE_DEPLOY_RUN_DIR=str(self.scratch / "run"),
        )
        self.configure(f"[app]\nlink = {self.link}\nreleases = {self.releases}\n")

    def configure(self, text, name="demo"):
        (self.scratch / f"etc/{name}.conf").write_text(text)

    def release(self, *names):
        for name in names:
            (self.releases / name).mkdir()

    def tool(self, name, *arguments, **options):
        return run(name, *arguments, env=self.environment, **options)

    def deploy(self, release):
        self.check(self.tool("atomic-link", "--app", "demo", release), 0)
        self.check(self.tool("release-mark", "--app", "demo", "passed"), 0)

    def current(self):
        return self.link.resolve().name
