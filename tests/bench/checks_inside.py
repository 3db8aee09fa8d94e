"""The part of tests/bench/checks that runs in the machine: RUNS SECONDS-OF-HOLD EXEC-CHECKS."""

import contextlib
import os
import signal
import statistics
import subprocess
import sys
import time
from pathlib import Path

from measure import Ended, Table, await_sleep, listener, ms, run, side_by_side, spawn, unused_port

BODY = b'{"status": "healthy", "services": ["redis"]}'
ANSWER = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\nConnection: close\r\n\r\n%s" % (len(BODY), BODY)
# One that health-wait can read itself, and one that needs jq's interpreter.
PLAIN_FILTER = '.status == "healthy"'
JQ_FILTER = ".services | length > 0"
# How wait-for-it looks: by a connection, and again after a second.
WAIT_FOR_IT = 'until (exec 3<> /dev/tcp/127.0.0.1/"$0") 2> /dev/null; do sleep 1; done'
DEFAULT_CHECKS = ("unit", "restarts", "port", "disk", "memory", "health", "releases")


def url(port):
    return f"http://127.0.0.1:{port}/health"


def serve_one(server):
    """Answers one request; whether there was one, and not only a connection."""
    connection, _ = server.accept()
    with connection:
        if not connection.recv(4096):
            return False
        connection.sendall(ANSWER)
        return True


@contextlib.contextmanager
def serving():
    """A server in a process of its own; gives its port."""
    with listener() as server:
        port = server.getsockname()[1]
        pid = os.fork()
        if pid == 0:
            while True:
                with contextlib.suppress(OSError):
                    serve_one(server)
    try:
        yield port
    finally:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)


def whole_run(table, runs):
    """Returns how long libjq takes to start."""
    with serving() as port:
        asked = ["health-wait", "-q", url(port)]
        took = side_by_side(runs, **{
            "curl": ["curl", "-fsS", url(port)],
            "jq": ["jq", "-n", "1"],
            "jq --version": ["jq", "--version"],
            "plain": asked,
            "filter": [*asked, "--expect-json", PLAIN_FILTER],
            "jq filter": [*asked, "--expect-json", JQ_FILTER]})
    curl, libjq = took["curl"], took["jq"] - took["jq --version"]
    for what, mine, most, goal in (
            ("", took["plain"], 1.3 * curl, "1.3x curl"),
            (f", {PLAIN_FILTER}", took["filter"], 1.3 * curl + libjq, "1.3x curl + jq"),
            (f", {JQ_FILTER}", took["jq filter"], 1.3 * curl + libjq, "1.3x curl + jq")):
        table.add(f"healthy URL, whole run{what}", f"{goal} = {ms(most)}", ms(mine), mine <= most,
                  f"curl -fsS {ms(curl)} ({mine / curl:.2f}x), starting jq {ms(libjq)}")
    return libjq


def answer_to_end(command_for, times, pause, status=0):
    """From the first moment at which somebody listens, and answers, to the end of the command."""
    latencies = []
    for number in range(times):
        port = unused_port()
        pid = spawn(command_for(port))
        pause(pid, number)
        started = time.perf_counter()
        with listener(port) as server:
            serve_one(server)
            ended = Ended(started, pid)
        assert ended.status == status, f"{command_for(port)}: status {ended.status}"
        latencies.append(ended.took)
    return statistics.median(latencies)


def when_it_waits(pid, number):
    await_sleep(pid)
    time.sleep(0.0003 * (number % 20))  # anywhere between two looks


def begins_to_answer(table, runs, libjq):
    def asking(*more):
        return lambda port: ["health-wait", "-q", url(port), *more]

    mine = answer_to_end(asking(), runs, when_it_waits)
    # Wherever in its second the answer comes.
    peer = answer_to_end(lambda port: ["bash", "-c", WAIT_FOR_IT, port], 5, lambda _, number: time.sleep(0.2 + 0.2 * number))
    table.add(f"begins to answer -> ended, median of {runs}", "10 ms", ms(mine), mine <= 0.010,
              f"wait-for-it {ms(peer)} (x{peer / mine:.0f})")
    start = max(0.1, 2 * libjq)  # on a busy machine libjq needs longer than an app should
    for filter_text in (PLAIN_FILTER, JQ_FILTER):
        took = answer_to_end(asking("--expect-json", filter_text), runs, lambda *_: time.sleep(start))
        table.add(f"the same after {ms(start)}, {filter_text}", "10 ms", ms(took), took <= 0.010, f"without a filter {ms(mine)}")


def dies(table, runs):
    took = []
    for _ in range(runs):
        child = subprocess.Popen(["sleep", "60"])
        pid = spawn(["health-wait", "-q", "--pid", child.pid, url(unused_port())])
        await_sleep(pid)
        started = time.perf_counter()
        child.send_signal(signal.SIGKILL)
        ended = Ended(started, pid)
        child.wait()
        assert ended.status == 1
        took.append(ended.took)
    median = statistics.median(took)
    table.add(f"the process (--pid) dies -> ended, median of {runs}", "5 ms", ms(median), median <= 0.005)


def unit_dies(table, runs):
    took = []
    for number in range(runs):
        unit = f"bench-{number}.service"
        subprocess.run(["systemd-run", "--quiet", "--collect", f"--unit={unit}", "sh", "-c", "echo begun; sleep 60"], check=True)
        main_pid = int(subprocess.run(["systemctl", "show", "--value", "--property=MainPID", unit], check=True,
                                      stdout=subprocess.PIPE).stdout)
        pid = spawn(["health-wait", "-q", "--unit", unit, url(unused_port())])
        await_sleep(pid)
        started = time.perf_counter()
        os.kill(main_pid, signal.SIGKILL)
        ended = Ended(started, pid)
        assert ended.status == 1
        took.append(ended.took)
    median = statistics.median(took)
    table.add(f"the unit's main process dies -> ended, median of {runs}", "5 ms", ms(median), median <= 0.005)


def many_checks(table, runs, exec_checks):
    asked = ["preflight", "-q", "--app", "many"]
    for number in range(exec_checks):
        asked += ["--only", f"slow{number}"]
    took = side_by_side(runs, preflight=asked,
                        shell=["sh", "-c", f"for each in $(seq {exec_checks}); do sleep 0.2 & done; wait"])
    mine, shell = took["preflight"], took["shell"]
    table.add(f"preflight, {exec_checks} checks of 200 ms", "300 ms", ms(mine), mine <= 0.3,
              f"a shell that waits for as many {ms(shell)} ({mine / shell:.2f}x)")


def default_checks(table, runs):
    seven = ["preflight", "-q", "--app", "demo"]
    for name in DEFAULT_CHECKS:
        seven += ["--only", name]
    took = side_by_side(runs, seven=seven, every=["preflight", "-q", "--app", "demo"],
                        show=["systemctl", "show", "demo.service"])
    mine = took["seven"]
    table.add("preflight, the seven default checks", "25 ms", ms(mine), mine <= 0.025,
              f"all that always exist {ms(took['every'])}, systemctl show {ms(took['show'])}")
    memory = max(peak_memory(seven) for _ in range(10))
    table.add("... its peak memory", "12 MB", megabytes(memory), memory <= 12 * 1024,
              f"all that always exist {megabytes(max(peak_memory(['preflight', '-q', '--app', 'demo']) for _ in range(10)))}")


def peak_memory(command):
    """The most memory that a process had, in kB. Looked at until it ends: what wait4(2) tells of a process that was made by
    vfork(2), as posix_spawn(3) makes it, includes what its parent had."""
    pid = spawn(command)
    peak = 0
    while os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is None:
        peak = status(pid).get("VmHWM", peak)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0, command
    return peak


def status(pid):
    """What /proc tells of the memory of a process, in kB."""
    lines = (line.split() for line in Path(f"/proc/{pid}/status").read_text().splitlines())
    return {words[0].rstrip(":"): int(words[1]) for words in lines if words[-1] == "kB"}


def megabytes(kilobytes):
    return f"{kilobytes / 1024:.1f} MB"


def holds(table, seconds):
    """Two at once, one with each sort of filter."""
    with serving() as port:
        begun, pids = time.perf_counter(), {}
        for filter_text in (PLAIN_FILTER, JQ_FILTER):
            pids[filter_text] = spawn(["health-wait", "-q", "--hold", f"{seconds}s", "-i", "1s", "-t", "infinity",
                                       "--expect-json", filter_text, url(port)])
        time.sleep(min(5, seconds / 4))  # it has asked some times
        before = {each: status(pid)["VmRSS"] for each, pid in pids.items()}
        time.sleep(max(0, begun + seconds - 0.5 - time.perf_counter()))
        after = {each: status(pid)["VmRSS"] for each, pid in pids.items()}
        for filter_text, pid in pids.items():
            ended = Ended(begun, pid)
            assert ended.status == 0 and ended.took >= seconds, filter_text
            share = ended.cpu / ended.took
            table.add(f"--hold {seconds}s at 1 s, {filter_text}: of one core", "0.2 %", f"{share * 100:.3f} %", share < 0.002,
                      f"{ms(ended.cpu)} of CPU time with its start")
            grown = after[filter_text] - before[filter_text]
            # Some pages more are touched late; what leaks with each of 600 requests is more than that.
            table.add("... its memory grows by", "64 kB", f"{grown} kB", grown <= 64,
                      f"VmRSS {before[filter_text]} kB at its beginning, {after[filter_text]} kB at its end")


def main():
    runs, seconds, exec_checks = map(int, sys.argv[1:])
    os.environ.pop("MAINPID", None)
    table = Table("measured")
    libjq = whole_run(table, 2 * runs)
    begins_to_answer(table, runs, libjq)
    dies(table, runs)
    unit_dies(table, runs // 2)
    many_checks(table, max(runs // 5, 5), exec_checks)
    default_checks(table, runs)
    holds(table, seconds)
    table.show()


if __name__ == "__main__":
    main()
