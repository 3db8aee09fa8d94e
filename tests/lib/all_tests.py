"""The steps of tests/run."""

import argparse
import fcntl
import json
import os
import re
import shutil
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))

import package  # noqa: E402
import processes  # noqa: E402
import trees  # noqa: E402
from progress import Progress  # noqa: E402
from steps import Counts, Step, StepFailed, Steps  # noqa: E402
from tidied import Tidied  # noqa: E402

ROOT = trees.ROOT
WORK = trees.cache() / "build" / "clang"  # kept, so that the next run builds what has changed only
SANITIZERS = "address,undefined"


def run(log, *command, why=None, **options):
    """Runs a command of a step; `why` is the sentence for its failure."""
    print("+", *command, file=log, flush=True)
    try:
        trees.run(command, log, cwd=ROOT, **options)
    except trees.CommandFailed as error:
        raise StepFailed(why or str(error)) from None


def files(*patterns):
    """The files of the source tree that match one of the regular expressions."""
    listed = [name for name in package.all_files() if any(re.search(pattern, name) for pattern in patterns)]
    if not listed:
        raise StepFailed(f"no file matches {patterns}")
    return listed


# The looks of the source


def format_step(log):
    run(log, "clang-format", "--dry-run", "--Werror", *files(r"\.[ch]pp$"), why="clang-format would change files")


def shell_step(log):
    scripts = [name for name in package.all_files() if is_shell(ROOT / name)]
    run(log, "shellcheck", "--external-sources", *scripts, why="shellcheck found something")


def is_shell(path):
    with open(path, "rb") as file:
        return re.match(rb"#!/bin/(ba)?sh\b|# shellcheck shell", file.read(40)) is not None


def man_step(log):
    run(log, "mandoc", "-T", "lint", "-W", "warning", *files(r"^man/.*\.[1-8]$"), why="mandoc found something")


TIDIED_AT_ONCE = 20


def tidy_step(log):
    tidied = Tidied(MIRROR, SANITIZED)
    to_do = tidied.to_do(("lib", "tools"))
    print(f"{len(to_do)} files are not known to be tidy", file=log, flush=True)
    files_to_do = sorted(to_do)
    for begin in range(0, len(files_to_do), TIDIED_AT_ONCE):  # what is found to be tidy is known also where the rest is not
        some = files_to_do[begin:begin + TIDIED_AT_ONCE]
        run(log, "run-clang-tidy", "-quiet", f"-j{os.cpu_count()}", "-p", SANITIZED, *(f"^{re.escape(str(path))}$" for path in some),
            why="clang-tidy found something")
        tidied.remember(to_do[path] for path in some)


# Builds and their tests


MIRROR = WORK / "source"  # the same path for all clones
SANITIZED = WORK / "sanitized"


def sanitized_build_step(log):
    """Another compiler; a warning is an error. Not optimized: what the packages are is."""
    package.mirror(package.all_files(), MIRROR)
    if not (SANITIZED / "build.ninja").exists():
        shutil.rmtree(SANITIZED, ignore_errors=True)
        run(log, "env", "CC=clang", "CXX=clang++", "meson", "setup", SANITIZED, MIRROR, "-Dwerror=true", "-Dbuildtype=debug",
            f"-Db_sanitize={SANITIZERS}", "-Db_lundef=false", "-Dfuzzing=true", "-Dcpp_args=-gline-tables-only", why="meson cannot configure")
    run(log, "ninja", "-C", SANITIZED, why="does not build without a warning")


def sanitized_step(log):
    results = SANITIZED / "meson-logs/testlog.json"
    results.unlink(missing_ok=True)
    try:
        run(log, "env", "ASAN_OPTIONS=strict_string_checks=1:detect_stack_use_after_return=1",
            "UBSAN_OPTIONS=halt_on_error=1:print_stacktrace=1",
            "meson", "test", "-C", SANITIZED, "--no-rebuild", "--print-errorlogs", "--timeout-multiplier", "3",
            why="tests failed")
    except StepFailed:
        if not results.exists():
            raise
    return meson_counts(results)


def meson_counts(results):
    """The Counts in a testlog.json of meson's."""
    counts = Counts()
    for line in results.read_text().splitlines():
        counts += {"OK": Counts(passed=1), "EXPECTEDFAIL": Counts(passed=1),
                   "SKIP": Counts(skipped=1)}.get(json.loads(line)["result"], Counts(failed=1))
    if counts == Counts():
        raise StepFailed("no test was run")
    return counts


def fuzz_step(log):
    """All targets, as many at a time as there are processors."""
    targets = sorted(path for path in (SANITIZED / "tests/fuzz").iterdir() if path.is_file() and os.access(path, os.X_OK))
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        broken = [name for name in pool.map(lambda target: politely_fuzz(target, log), targets) if name]
    if broken:
        raise StepFailed(f"{', '.join(broken)} found something")
    return Counts(passed=len(targets))


FUZZ_NICE = 15
# What other people's text goes through first: these have the whole time, the others a quarter of it.
FUZZED_LONG = {"config_fuzz", "metrics_fuzz", "values_fuzz"}


def politely_fuzz(target, log):
    with processes.polite(FUZZ_NICE):  # each in a thread of its own
        return fuzz(target, log)


def fuzz(target, log):
    """Runs a target; returns its name if it found something."""
    seconds = ARGUMENTS.fuzz_time if target.name in FUZZED_LONG else max(1, ARGUMENTS.fuzz_time // 4)
    corpus = ROOT / "tests/fuzz/corpus" / target.name.removesuffix("_fuzz")
    found = WORK / "fuzz" / target.name
    found.mkdir(parents=True, exist_ok=True)
    own_log = found.with_suffix(".log")  # in one log they would stand mixed up
    try:
        with open(own_log, "w", encoding="utf-8") as output:
            run(output, target, f"-max_total_time={seconds}", "-max_len=4096", "-timeout=20", "-rss_limit_mb=1024",
                f"-artifact_prefix={found}/crash-", found, *([corpus] if corpus.is_dir() else []))
    except StepFailed:
        return target.name
    finally:
        print(own_log.read_text(errors="replace"), file=log, flush=True)
    return None


# The package


def deb_step(suite):
    def step(log):
        built = package.build(suite, log, tested=True)
        log.flush()
        if re.search(r": warning: .*\[-W", Path(log.name).read_text(errors="replace")):
            raise StepFailed("the package builds with warnings")
        return meson_counts(built / "testlog.json")

    return step


def lintian_step(log):
    for suite in trees.SUITES:
        changes = list(package.build(suite, log, tested=True).glob("*.changes"))
        run(log, "lintian", "--fail-on=error,warning", "--tag-display-limit=0", "--suppress-tags=bad-distribution-in-changes-file",
            *changes, why=f"lintian found something in the package for {suite}")


# The machines


def tree_step(suite):
    return lambda log: trees.base(suite, log) and None


def services_step(suite):
    return lambda log: trees.services(suite, log) and None


def npm_step(log):
    trees.npm_server(log)


def build_tree_step(log):
    trees.build("trixie", log)


def machine_step(suite):
    def step(log):
        command = [ROOT / "tests/machine/run", "--suite", suite, *ARGUMENTS.scenarios]
        try:
            run(log, *command, why="scenarios failed")
        except StepFailed:
            counts = closing_line(log)
            if counts == Counts():
                raise
            return counts
        return closing_line(log)

    return step


def closing_line(log):
    """The Counts of the last line of a log."""
    log.flush()
    last = Path(log.name).read_text(errors="replace").splitlines()[-1]
    found = re.fullmatch(r"(\d+) passed, (\d+) failed(?:, (\d+) skipped)?", last)
    return Counts(*(int(number or 0) for number in found.groups())) if found else Counts()


def demo_step(suite):
    return lambda log: run(log, ROOT / "tests/demo", "--suite", suite, why="the demonstration did not end as it should")


def harness_step(log):
    run(log, ROOT / "tests/machine/check-harness", why="the machines' harness does not tidy up")


# In the order of their importance for the time that the whole takes: what others wait for comes first. What only computes
# leaves the processors to the tests that look at times.
STEPS = [
    Step("tree-trixie", tree_step("trixie"), what="a Debian 13 to boot"),
    Step("tree-bookworm", tree_step("bookworm"), what="a Debian 12 to boot"),
    Step("build-tree-trixie", build_tree_step, after=("tree-trixie",), what="a Debian 13 to build in"),
    Step("format", format_step, what="clang-format would change nothing"),
    Step("shell", shell_step, what="shellcheck finds nothing"),
    Step("man", man_step, what="mandoc finds nothing in the man pages"),
    Step("deb-bookworm", deb_step("bookworm"), nice=5, what="the package for Debian 12, with the unit and command line tests"),
    Step("deb-trixie", deb_step("trixie"), after=("build-tree-trixie",), nice=5,
         what="the package for Debian 13, with the same tests"),
    Step("services-bookworm", services_step("bookworm"), after=("tree-bookworm",), what="the services for Debian 12"),
    Step("services-trixie", services_step("trixie"), after=("tree-trixie",), what="the services for Debian 13"),
    # Nothing is after this one: the scenario that needs it waits for it, or says why it cannot be had.
    Step("npm", npm_step, what="two versions of a server from the npm registry"),
    Step("harness", harness_step, after=("tree-bookworm",), what="the machines leave nothing behind"),
    Step("machine-bookworm", machine_step("bookworm"), after=("services-bookworm", "deb-bookworm"),
         what="the scenarios on Debian 12"),
    Step("machine-trixie", machine_step("trixie"), after=("services-trixie", "deb-trixie"), what="the scenarios on Debian 13"),
    Step("demo-bookworm", demo_step("bookworm"), after=("tree-bookworm", "deb-bookworm"), what="tests/demo on Debian 12"),
    Step("demo-trixie", demo_step("trixie"), after=("tree-trixie", "deb-trixie"), what="tests/demo on Debian 13"),
    Step("clang", sanitized_build_step, what="builds with clang++ without a warning, with sanitizers"),
    Step("sanitized", sanitized_step, after=("clang",), what="unit and command line tests under ASan and UBSan"),
    Step("fuzz", fuzz_step, after=("clang",), what="the fuzz targets, for a short time"),
    Step("tidy", tidy_step, after=("clang",), nice=19, what="clang-tidy finds nothing"),
    Step("lintian", lintian_step, after=("deb-bookworm", "deb-trixie"), what="lintian finds nothing in the packages"),
]
NAMES = {step.name: step for step in STEPS}


def parse():
    listed = "\n".join(f"  {step.name:<18} {step.what}" for step in STEPS)
    parser = argparse.ArgumentParser(
        prog="tests/run", formatter_class=argparse.RawDescriptionHelpFormatter,
        description="Runs all tests, or the parts that are named and what they need.\n\nparts:\n" + listed
        + "\n  machine            machine-bookworm and machine-trixie; names of scenarios may follow")
    parser.add_argument("parts", nargs="*", metavar="PART|SCENARIO", help="what to run (default: everything)")
    parser.add_argument("--suite", choices=trees.SUITES, help="machine tests on this Debian only")
    parser.add_argument("--fuzz-time", type=int, default=60, metavar="SECONDS", help="for each fuzz target that matters most (default 60); a quarter for the others")
    arguments = parser.parse_args()
    scenarios = {file.stem for file in (ROOT / "tests/machine/scenarios").glob("*.py")}
    unknown = [part for part in arguments.parts if part not in {*NAMES, "machine", *scenarios}]
    if unknown:
        parser.error(f"neither a part nor a scenario: {', '.join(unknown)}")
    arguments.scenarios = [part for part in arguments.parts if part in scenarios]
    arguments.steps = [part for part in arguments.parts if part in NAMES]
    if "machine" in arguments.parts or arguments.scenarios:
        arguments.steps += [f"machine-{suite}" for suite in trees.SUITES if arguments.suite in (None, suite)]
    return arguments


def chosen():
    """The steps that were asked for and those that they need, in the order of STEPS."""
    wanted = set()

    def want(name):
        wanted.add(name)
        for before in NAMES[name].after:
            want(before)

    other = {f"{part}-{suite}" for suite in trees.SUITES if ARGUMENTS.suite not in (None, suite) for part in ("machine", "demo")}
    for name in ARGUMENTS.steps or [name for name in NAMES if name not in other]:
        want(name)
    return [step for step in STEPS if step.name in wanted]


def main():
    begin = time.monotonic()
    WORK.mkdir(parents=True, exist_ok=True)
    progress = Progress()
    with open(WORK / "lock", "w", encoding="ascii") as lock, processes.tidy():
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise SystemExit("tests/run is at work already") from None
        logs = trees.cache() / "logs" / trees.digest(str(ROOT))
        steps = Steps(chosen(), logs, progress)
        progress.say(f"logs: {logs}")
        steps.run(at_once=(os.cpu_count() or 1) + 1)
    progress.close()
    minutes, seconds = divmod(round(time.monotonic() - begin), 60)
    print(f"\n{minutes} min {seconds} s")
    for step, failure in steps.failures:
        print(f"failed: {step.name}: {failure}\n        the log: {step.log}")
    print(steps.counts)
    return 1 if steps.failures else 0


if __name__ == "__main__":
    ARGUMENTS = parse()
    sys.exit(main())
