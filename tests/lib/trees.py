"""Debian trees for the tests, made once and kept in the cache.

A tree is a list of directories, the uppermost first, as overlayfs wants them: the packages of a Debian release, and
over them what was installed for a purpose. An entry of the cache is made aside and renamed when it is whole.
"""

import fcntl
import hashlib
import os
import re
import shutil
import subprocess
import time
from contextlib import contextmanager
from pathlib import Path

import processes

SUITES = ("bookworm", "trixie")
ROOT = Path(__file__).resolve().parents[2]
LIB = Path(__file__).resolve().parent

# What a machine of the tests has: systemd, what the package depends on, the app's python, and curl for looking.
# curl and jq bring the libraries, whose packages have other names in each release.
PACKAGES = ("systemd", "systemd-sysv", "dbus", "python3", "curl", "jq", "libinih1", "iproute2", "procps")

# Nothing of the machine's own is to run beside the tests, and its first boot is not to differ from the next one.
PREPARE = """
set -e
systemctl mask --quiet apt-daily.timer apt-daily-upgrade.timer dpkg-db-backup.timer e2scrub_all.timer fstrim.timer \\
    systemd-tmpfiles-clean.timer getty.target console-getty.service systemd-networkd.service systemd-resolved.service
systemd-machine-id-setup > /dev/null
install -d -m 2755 -g systemd-journal /var/log/journal
echo machine > /etc/hostname
printf '127.0.0.1 localhost machine\\n::1 localhost\\n' > /etc/hosts
"""

# What the scenarios about checks ask: real services, and the plugins that ask one of them. What the servers of the
# examples and the one from the npm registry run on. And a clock that can be set.
SERVICES = ("postgresql", "redis-server", "nginx", "openssl", "python3-prometheus-client", "monitoring-plugins-basic",
            "monitoring-plugins-standard", "python3-psycopg2", "nodejs", "libfaketime", "polkitd")

# Nothing starts, neither now nor at boot: a scenario starts what it is about. Left out is what nobody reads here, and the
# compiler for long queries, the largest file of all.
INSTALL_SERVICES = f"""
set -e
printf '#!/bin/sh\\nexit 101\\n' > /usr/sbin/policy-rc.d
chmod 755 /usr/sbin/policy-rc.d
mkdir -p /etc/postgresql-common/createcluster.d
echo 'jit = off' > /etc/postgresql-common/createcluster.d/tests.conf
apt-get install --yes --no-install-recommends --option=DPkg::Options::=--force-unsafe-io \\
    --option=DPkg::Options::=--path-exclude='/usr/lib/*/libLLVM*' \\
    --option=DPkg::Options::=--path-exclude='/usr/lib/postgresql/*/lib/bitcode/*' \\
    --option=DPkg::Options::=--path-exclude='/usr/share/doc/*' --option=DPkg::Options::=--path-exclude='/usr/share/man/*' \\
    --option=DPkg::Options::=--path-exclude='/usr/share/locale/*' {" ".join(SERVICES)}
apt-get clean
systemctl disable --quiet postgresql.service redis-server.service nginx.service
rm /usr/sbin/policy-rc.d
"""

# A server from the npm registry with a health endpoint of its own, and two of its versions. What it depends on is taken as
# it was on that day: what others publish later changes nothing here.
NPM_SERVER = "maildev"
NPM_VERSIONS = ("2.1.0", "2.2.1")
NPM_DAY = "2026-06-01"


def cache():
    home = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(home) / "safe-deploy-tests"


_held = []  # locks of the entries in use, until this process ends


@contextmanager
def entry(kind, key):
    """An entry of the cache: yields (path, aside). Where aside is not None the entry is to be made there."""
    folder = cache() / kind
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / key
    lock = open(folder / f"{key}.lock", "w", encoding="ascii")
    fcntl.flock(lock, fcntl.LOCK_SH)  # in use: not to be pruned
    _held.append(lock)
    if not path.exists():
        _lock_alone(lock)
    try:
        if path.exists():
            os.utime(path)
            yield path, None
            return
        aside = folder / f"{key}.aside"
        _remove(aside)
        aside.mkdir()
        try:
            yield path, aside
            aside.rename(path)
        finally:
            _remove(aside)
        _prune(folder)
    finally:
        fcntl.flock(lock, fcntl.LOCK_SH)


@contextmanager
def workplace(name):
    """A directory of the cache to build in, for one process at a time; what is left in it is kept."""
    path = cache() / "build" / name
    path.mkdir(parents=True, exist_ok=True)
    with open(path.with_suffix(".lock"), "w", encoding="ascii") as lock:
        _lock_alone(lock)
        yield path


def compiler_cache():
    path = cache() / "ccache"
    path.mkdir(parents=True, exist_ok=True)
    return path


def compiler_cache_settings():
    """ccache(1), with precompiled headers."""
    return {"CCACHE_DIR": str(compiler_cache()), "CCACHE_MAXSIZE": "2G",
            "CCACHE_SLOPPINESS": "pch_defines,time_macros,include_file_mtime,include_file_ctime"}


def _lock_alone(lock):
    # Who wants the same entry waits for it to be made. Not in flock itself: that would not be interrupted.
    while True:
        try:
            return fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if processes.ending():
                raise processes.Ended from None
            time.sleep(0.1)


def _remove(directory):
    # rm, for it goes on where shutil stops, and trees hold names and modes of all sorts.
    if directory.exists():
        subprocess.run(["rm", "-rf", "--one-file-system", str(directory)], check=True)


def _prune(folder, keep=6):
    """Removes all but the newest entries that nobody uses."""
    entries = [path for path in folder.iterdir() if path.suffix not in (".lock", ".aside")]
    for path in sorted(entries, key=lambda each: each.stat().st_mtime)[:-keep]:
        with open(folder / f"{path.name}.lock", "w") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                continue
            _remove(path)


def digest(*parts):
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:16]


class CommandFailed(Exception):
    pass


def run(command, log, **options):
    """Runs a command of the harness itself; what it prints goes to the open file `log`."""
    process = processes.start([str(word) for word in command], stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                              **options)
    processes.finish(process)
    if process.returncode != 0:
        raise CommandFailed(f"{' '.join(map(str, command))[:200]}: exit code {process.returncode}")


def in_tree(tree, command, log, upper="", binds=(), **options):
    """Runs a command as root inside a tree (a list of directories)."""
    run([LIB / "in-tree", ":".join(map(str, tree)), upper, ":".join(map(str, binds)), *command], log, **options)


def base(suite, log):
    """The tree of a bare Debian with systemd."""
    if suite not in SUITES:
        raise ValueError(f"{suite}: not one of {', '.join(SUITES)}")
    with entry("base", f"{suite}-{digest(*PACKAGES, PREPARE)}") as (path, aside):
        if aside:
            # In namespaces of its own, so that an interrupted one leaves neither mounts nor processes.
            run(["unshare", "--mount", "--pid", "--fork", "--mount-proc", "--kill-child",
                 "mmdebstrap", "--variant=apt", "--format=directory", "--include=" + ",".join(PACKAGES),
                 "--skip=cleanup/apt/lists", suite, aside / "tree"], log)
            run(["chroot", aside / "tree", "sh", "-c", PREPARE], log)
    return [path / "tree"]


def services(suite, log):
    """The base tree with the services that some scenarios ask; a scenario starts them."""
    return layer(base(suite, log), suite, "services", INSTALL_SERVICES, ["sh", "-c", INSTALL_SERVICES], log)


def npm_server(log):
    """A tree with /srv/SERVER/releases/VERSION for both versions, to be laid over another one. It is the same for all
    suites, since nothing is compiled."""
    with entry("npm", digest(NPM_SERVER, *NPM_VERSIONS, NPM_DAY)) as (path, aside):
        if aside:
            if not shutil.which("npm"):
                raise CommandFailed("npm is missing (apt-get install npm)")
            for version in NPM_VERSIONS:
                folder = aside / "tree/srv" / NPM_SERVER / "releases" / version
                folder.mkdir(parents=True)
                run(["npm", "install", f"--prefix={folder}", f"--cache={aside / 'cache'}", f"--before={NPM_DAY}", "--omit=dev",
                     "--ignore-scripts", "--no-package-lock", "--no-audit", "--no-fund", f"{NPM_SERVER}@{version}"], log)
            _remove(aside / "cache")
    return path / "tree"


def layer(tree, suite, purpose, key, command, log, binds=()):
    """A tree over another one: what `command` changes in it. The key stands for all that the command depends on."""
    with entry(purpose, f"{suite}-{digest(*map(str, tree), key)}") as (path, aside):
        if aside:
            in_tree(tree, command, log, upper=aside / "tree", binds=binds)
    return [path / "tree", *tree]


def build(suite, log):
    """A tree with all that the build needs, of which debian/control is the only list."""
    packages = build_dependencies()
    return layer(base(suite, log), suite, "build", " ".join(["ccache", *packages]),
                 ["apt-get", "install", "--yes", "--no-install-recommends", "build-essential", "ccache", *packages], log)


def build_dependencies():
    """The package names in Build-Depends of debian/control: the first of alternatives, without versions."""
    control = (ROOT / "debian/control").read_text()
    field = re.search(r"^Build-Depends:(.*(?:\n[ \t].*)*)", control, re.MULTILINE)[1]
    names = []
    for item in re.sub(r"^\s*#.*$", "", field, flags=re.MULTILINE).split(","):
        if name := re.match(r"\s*([a-z0-9][a-z0-9+.-]*)", item):
            names.append(name[1])
    return ["debhelper" if name == "debhelper-compat" else name for name in names]
