"""The package of this source tree, built on each Debian release and kept in the cache."""

import functools
import hashlib
import os
import platform
import shutil
import subprocess

import trees

# What has no part in the package: a change there builds nothing again.
NOT_PACKAGED = ("tests/machine/", "tests/bench/", "tests/lib/", "tests/run", "tests/demo", "tests/power-loss", ".ci/", ".git")


def all_files():
    """The files of the source tree as they are now, committed or not; a tree without git is taken whole."""
    listing = subprocess.run(["git", "-c", "safe.directory=*", "-C", trees.ROOT, "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
                             capture_output=True, text=True, check=False)
    if listing.returncode == 0:
        names = listing.stdout.split("\0")
    else:
        names = [str(path.relative_to(trees.ROOT)) for path in trees.ROOT.rglob("*")]
    return sorted(name for name in names if name and (trees.ROOT / name).is_file())


def sources():
    """The files that the package is made of."""
    return [name for name in all_files() if not name.startswith(NOT_PACKAGED)]


@functools.cache  # one run is about one state of the sources, whatever is edited meanwhile
def source_digest():
    digest = hashlib.sha256()
    for name in sources():
        path = trees.ROOT / name
        digest.update(f"{name}\0{path.stat().st_mode & 0o111:o}\0{path.stat().st_size}\0".encode())
        digest.update(path.read_bytes())
    return digest.hexdigest()[:16]


def mirror(names, to):
    """Makes the directory hold these files of the source tree as they are now, and no others. What is the same is not touched,
    so that a build of the mirror makes again what has changed only, whichever clone it is a mirror of."""
    wanted = set(names)
    for path in [*to.rglob("*")]:
        if path.is_file() and str(path.relative_to(to)) not in wanted:
            path.unlink()
    for name in names:
        ours, copy = trees.ROOT / name, to / name
        if not copy.exists() or copy.stat().st_mode != ours.stat().st_mode or copy.read_bytes() != ours.read_bytes():
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ours, copy)


def built_here(suite):
    """Whether this machine is the Debian release that the package is for, and so can build it itself."""
    return platform.freedesktop_os_release().get("VERSION_CODENAME") == suite


def build(suite, log, tested=False):
    """The directory that holds the package for a Debian release, with its .changes; `tested`: its tests have passed in the
    build, and testlog.json has their results."""
    with trees.entry("package", f"{suite}-{'tested-' if tested else ''}{source_digest()}") as (path, aside):
        if aside:
            # What is left to chance is the same on each release: one of them takes its time for it.
            options = f"parallel={os.cpu_count()}" + (" nocheck" if not tested else " long-tests" if built_here(suite) else "")
            environment = {**os.environ, **trees.compiler_cache_settings(), "DEB_BUILD_OPTIONS": options}
            # Always at the same place, whose path is in what is compiled: the compiler's cache finds it again.
            with trees.workplace(f"package-{suite}") as place:
                source = place / "source"
                shutil.rmtree(source, ignore_errors=True)
                mirror(sources(), source)
                command = ["sh", "-c", 'cd "$1" && exec dpkg-buildpackage --build=binary --no-sign', "build", source]
                if built_here(suite):
                    trees.run(command, log, env=environment)
                else:
                    trees.in_tree(trees.build(suite, log), command, log, binds=[place, trees.compiler_cache()], env=environment)
                if tested:
                    (results,) = source.glob("obj-*/meson-logs/testlog.json")
                    shutil.copy(results, aside)
                shutil.rmtree(source)
                for built in place.iterdir():
                    built.rename(aside / built.name)
    return path


given = {}  # suite -> a package that was built elsewhere


def deb(suite, log):
    """The package itself; debugging symbols aside."""
    if suite in given:
        return given[suite]
    tested = trees.cache() / "package" / f"{suite}-tested-{source_digest()}"
    packages = [each for each in build(suite, log, tested.exists()).glob("*.deb") if "-dbgsym_" not in each.name]
    if len(packages) != 1:
        raise trees.CommandFailed(f"expected one package, found {packages}")
    return packages[0]


def installed(suite, log, services=False):
    """The tree of a machine that has the package installed; `services`: over that with the services."""
    package = deb(suite, log)
    under = trees.services(suite, log) if services else trees.base(suite, log)
    return trees.layer(under, suite, "installed", hashlib.sha256(package.read_bytes()).hexdigest(),
                       ["apt-get", "install", "--yes", "--no-install-recommends", package], log,
                       binds=[package.parent])
