"""port-wait: ports of this machine and of others, listened on and free."""

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
import unittest
from pathlib import Path

from cli import TOOLS, AppTest, CliTest, run, without_netlink

PORT_WAIT = TOOLS / "port-wait"
ROOT = os.geteuid() == 0
COMM = Path("/proc/self/comm").read_text().strip()  # what this process is called
OVERSHOOT = 0.05  # how much longer than its timeout a tool may take
SLACK = 0.25  # for a machine that is busy with other tests


def listener(host="127.0.0.1", port=0, reuse=True, backlog=16, family=None):
    family = family or (socket.AF_INET6 if ":" in host else socket.AF_INET)
    sock = socket.socket(family)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, int(reuse))
    sock.bind((host, port))
    if backlog is not None:
        sock.listen(backlog)
    return sock


def port_of(sock):
    return sock.getsockname()[1]


def unused_port():
    with listener() as sock:
        return port_of(sock)


def was_connected_to(sock):
    sock.setblocking(False)
    try:
        sock.accept()[0].close()
        return True
    except BlockingIOError:
        return False


def port_wait(*arguments, **options):
    environment = dict(options.pop("env", os.environ))
    environment.setdefault("MAINPID", "")
    return run("port-wait", *arguments, env=environment, **options)


class Running:
    """A port-wait in the background; says so when it waits."""

    def __init__(self, *arguments, **options):
        self.process = subprocess.Popen(
            [PORT_WAIT, *map(str, arguments)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            **options,
        )
        self.first_line = self.process.stderr.readline()  # the first no

    def finish(self, timeout=10):
        start = time.monotonic()
        self.out, self.err = self.process.communicate(timeout=timeout)
        self.took = time.monotonic() - start
        self.status = self.process.returncode
        return self


class PortWaitTest(CliTest):
    def timed(self, low, high, *arguments, **options):
        start = time.monotonic()
        result = port_wait(*arguments, **options)
        took = time.monotonic() - start
        self.assertGreaterEqual(took, low, result)
        self.assertLessEqual(took, high + SLACK, result)
        return result

    def keep(self, sock):
        self.addCleanup(sock.close)
        return sock


class Listening(PortWaitTest):
    def test_an_open_port_is_a_yes_at_once(self):
        server = self.keep(listener())
        port = port_of(server)
        self.check(port_wait(port), 0, f"port {port} is listened on\n", "")
        self.check(port_wait(f"127.0.0.1:{port}"), 0, f"127.0.0.1:{port} is listened on\n", "")
        self.check(port_wait(f"localhost:{port}"), 0, f"localhost:{port} is listened on\n", "")
        self.assertFalse(was_connected_to(server))

    def test_a_port_that_nobody_listens_on_times_out(self):
        port = unused_port()
        result = self.timed(0.3, 0.3 + OVERSHOOT, "-t", "300ms", port)
        self.check(result, 124, "", f"port-wait: nothing listens on port {port}; waited 3")

    def test_a_bare_number_is_seconds(self):
        self.check(self.timed(1, 1 + OVERSHOOT, "-t", "1", unused_port()), 124)

    def test_a_listener_that_comes_is_noticed(self):
        port = unused_port()
        waiting = Running(port)
        self.assertEqual(waiting.first_line, f"port-wait: nothing listens on port {port}\n")
        self.keep(listener(port=port))
        self.assertEqual(waiting.finish().status, 0)
        self.assertEqual(waiting.out, f"port {port} is listened on\n")
        self.assertLess(waiting.took, SLACK)

    def test_a_socket_that_begins_to_listen_is_noticed(self):
        server = self.keep(listener(backlog=None))
        waiting = Running(port_of(server))
        server.listen()
        self.assertEqual(waiting.finish().status, 0)

    def test_the_address_matters(self):
        other = self.keep(listener("127.0.0.2"))
        result = port_wait("-t", "0.1", port_of(other))
        self.check(result, 124, "", f", only on 127.0.0.2:{port_of(other)}; waited")
        self.check(port_wait(f"127.0.0.2:{port_of(other)}"), 0)

    def test_families(self):
        server = self.keep(listener())
        port = port_of(server)
        self.check(port_wait("-4", port), 0)
        self.check(port_wait("-6", "-t", "0.1", port), 124)
        self.check(port_wait("-t", "0.1", f"[::1]:{port}"), 124)

    def test_all_and_any(self):
        server = self.keep(listener())
        other = unused_port()
        self.check(port_wait("-t", "0.1", port_of(server), other), 124, "", f"nothing listens on port {other}; waited")
        self.check(port_wait("--all", "-t", "0.1", other, port_of(server)), 124)
        self.check(port_wait("--any", other, port_of(server)), 0, f"port {port_of(server)} is listened on\n")

    def test_all_means_all_at_once(self):
        first = listener()
        port, other = port_of(first), unused_port()
        waiting = Running("-t", "1", port, other)
        first.close()
        self.keep(listener(port=other))
        self.assertEqual(waiting.finish().status, 124)

    def test_unix_sockets(self):
        path = self.scratch / "s"
        self.check(port_wait("-t", "0.1", f"unix:{path}"), 124, "", f"nothing listens on unix:{path}; waited")
        server = self.keep(socket.socket(socket.AF_UNIX))
        server.bind(str(path))
        waiting = Running(f"unix:{path}")
        server.listen()
        self.assertEqual(waiting.finish().status, 0)
        self.assertFalse(was_connected_to(server))
        name = f"safe-deploy-{os.getpid()}"
        hidden = self.keep(socket.socket(socket.AF_UNIX))
        hidden.bind("\0" + name)
        hidden.listen()
        self.check(port_wait(f"unix:@{name}"), 0)

    def test_udp(self):
        server = self.keep(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
        server.bind(("127.0.0.1", 0))
        self.check(port_wait(f"udp:{port_of(server)}"), 0, f"UDP port {port_of(server)} is listened on\n")
        self.check(port_wait("-t", "0.1", f"udp:{unused_port()}"), 124)

    def test_a_thousand_targets(self):
        server = self.keep(listener())
        port = unused_port()
        self.check(port_wait(*[f"127.0.{i // 250}.{i % 250 + 1}:{port_of(server)}" for i in range(1000)], "--any"), 0)
        wildcard = self.keep(listener("0.0.0.0"))
        targets = [f"127.0.{i // 250}.{i % 250 + 1}:{port_of(wildcard)}" for i in range(1000)]
        self.check(port_wait(*targets), 0)
        result = self.timed(0.2, 1, "-t", "0.2", *[target.replace(str(port_of(wildcard)), str(port)) for target in targets])
        self.check(result, 124, "", "; and 997 more; waited")
        self.check(self.timed(0, 2, "--free", *[f"127.0.{i // 250}.{i % 250 + 1}:{port}" for i in range(1000)]), 0)
        self.check(port_wait("--free", "-t", "0.5", *targets, timeout=60), 124)


class Free(PortWaitTest):
    def test_a_free_port_is_a_yes_at_once(self):
        port = unused_port()
        self.check(port_wait("--free", port), 0, f"port {port} is free\n", "")
        self.check(port_wait("--strict", f"127.0.0.1:{port}"), 0, f"127.0.0.1:{port} is free\n", "")

    def test_whoever_holds_the_port_is_named(self):
        server = self.keep(listener())
        target = f"127.0.0.1:{port_of(server)}"
        result = self.timed(0.2, 0.2 + OVERSHOOT, "--free", "-t", "0.2", target)
        held = rf"port-wait: {target} is held by {COMM} \(pid {os.getpid()}, uid {os.geteuid()}(, [^)]*)?\); waited 2\d\dms\n$"
        self.assertEqual(result.status, 124)
        self.assertRegex(result.err, held)
        self.assertFalse(was_connected_to(server))

    def test_the_port_can_really_be_bound_afterwards(self):
        for host in ("127.0.0.1", "::1", "0.0.0.0", "::"):
            with self.subTest(host):
                server = listener(host)
                port = port_of(server)
                waiting = Running("--free", port)
                server.close()
                self.assertEqual(waiting.finish().status, 0)
                self.assertLess(waiting.took, SLACK)
                self.keep(listener(host, port))

    def test_strict_waits_for_connections_that_have_ended_to_be_forgotten(self):
        server = self.keep(listener())
        port = port_of(server)
        client = self.keep(socket.create_connection(("127.0.0.1", port)))
        accepted = server.accept()[0]
        server.close()
        self.check(port_wait("--free", port), 0)
        self.check(port_wait("--strict", "-t", "0.1", port), 124, "", "ESTABLISHED with 127.0.0.1:")
        accepted.close()
        client.recv(1)
        client.close()
        self.check(port_wait("--free", port), 0)
        self.check(port_wait("--strict", "-t", "0.1", port), 124, "", "ended connection (TIME_WAIT, at most ")
        again = self.keep(socket.socket())
        with self.assertRaises(OSError):
            again.bind(("127.0.0.1", port))
        listener(port=port).close()

    def test_strict_ends_when_the_last_connection_ends(self):
        server = self.keep(listener(reuse=False))
        port = port_of(server)
        client = socket.create_connection(("127.0.0.1", port))
        accepted = server.accept()[0]
        server.close()
        waiting = Running("--strict", port)
        client.close()  # the TIME_WAIT is on the client's port
        accepted.recv(1)
        accepted.close()
        self.assertEqual(waiting.finish().status, 0)
        self.keep(listener(port=port, reuse=False))

    def test_a_left_over_child_keeps_the_port(self):
        server = listener()
        port = port_of(server)
        child = subprocess.Popen(["sleep", "60"], pass_fds=[server.fileno()])
        server.close()
        try:
            result = port_wait("--free", "-t", "0.1", port)
            self.check(result, 124, "", f"port {port} is held by sleep (pid {child.pid}, ")
            waiting = Running("--free", port)
            child.kill()
            self.assertEqual(waiting.finish().status, 0)
        finally:
            child.kill()
            child.wait()

    def test_udp(self):
        server = self.keep(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
        server.bind(("127.0.0.1", 0))
        waiting = Running("--free", f"udp:{port_of(server)}")
        self.assertIn("is held by", waiting.first_line)
        port = port_of(server)
        server.close()
        self.assertEqual(waiting.finish().status, 0)
        again = self.keep(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
        again.bind(("127.0.0.1", port))

    def test_the_main_process_is_not_watched(self):
        # In ExecStopPost= it is over, and that is what is waited for.
        over = subprocess.Popen(["true"])
        over.wait()
        self.check(port_wait("--free", unused_port(), env=dict(os.environ, MAINPID=str(over.pid))), 0)

    def test_two_may_wait_for_the_same_port_and_for_another(self):
        server, never = listener(), self.keep(listener())
        port = port_of(server)
        one = Running("--free", "-t", "2", port, port_of(never))
        two = Running("--free", "-t", "2", port, port_of(never))
        three = Running("--free", port)
        server.close()
        self.assertEqual(three.finish().status, 0)
        for waiting in (one, two):
            self.assertEqual(waiting.finish().status, 124)
            usage = os.times()
        # Neither keeps the other awake.
        self.assertLess(usage.children_user + usage.children_system, 5)

    @unittest.skipUnless(ROOT, "needs root")
    def test_a_low_port_is_not_taken_for_free_by_those_who_may_not_bind(self):
        serve = """
import signal, socket
s = socket.socket()
s.bind(("127.0.0.1", 80))
s.listen()
print("up", flush=True)
signal.pause()"""
        script = """
ip link set lo up
"$1" -c "$2" > up &
until grep -q up up; do :; done
status=0
setpriv --reuid 65534 --regid 65534 --clear-groups -- "$0" --free -t 0.1 80 || status=$?
kill $!
exit $status"""
        done = subprocess.run(
            ["unshare", "-n", "sh", "-ec", script, self.for_everybody("port-wait"), sys.executable, serve],
            capture_output=True, text=True, cwd=self.scratch, timeout=20, check=False)
        self.assertEqual(done.returncode, 124, done)
        self.assertIn("port 80 is held by ", done.stderr)


class Remote(PortWaitTest):
    def test_connecting_is_only_done_when_asked_for(self):
        server = self.keep(listener())
        port = port_of(server)
        self.check(port_wait("--connect", port), 0, "127.0.0.1 connected")
        self.assertTrue(was_connected_to(server))

    def test_each_address_is_answered_for(self):
        port = unused_port()
        result = port_wait("--connect", "-t", "0.2", f"localhost:{port}")
        self.check(result, 124, "", f"localhost:{port}: 127.0.0.1 refused, ::1 refused; waited")

    def test_a_listener_that_comes_is_noticed(self):
        port = unused_port()
        waiting = Running("--connect", port)
        self.keep(listener(port=port))
        self.assertEqual(waiting.finish().status, 0)

    def test_a_port_that_refuses_is_free(self):
        port = unused_port()
        self.check(port_wait("--connect", "--free", port), 0)
        server = self.keep(listener())
        self.check(port_wait("--connect", "--free", "-t", "0.1", port_of(server)), 124)

    def test_dropped_packets_do_not_stretch_the_wait(self):
        server = self.keep(listener(backlog=0))
        address = server.getsockname()
        fillers = []
        for _ in range(8):  # with its queue full the kernel drops what comes
            filler = self.keep(socket.socket())
            filler.setblocking(False)
            filler.connect_ex(address)
            fillers.append(filler)
        result = self.timed(0.4, 0.4 + OVERSHOOT, "--connect", "-t", "0.4", f"127.0.0.1:{address[1]}")
        self.check(result, 124, "", "127.0.0.1 timed out; waited 4")
        # Not answering is not the same as free.
        self.check(port_wait("--connect", "--free", "-t", "0.3", f"127.0.0.1:{address[1]}"), 124)

    def test_a_name_that_is_not_found_is_waited_for(self):
        result = self.timed(0.3, 0.3 + OVERSHOOT, "-t", "0.3", "-i", "0.1", "no-such-host.invalid:80")
        self.check(result, 124, "", "no-such-host.invalid:80: cannot look up the name: ")
        # An error is never an answer.
        self.check(port_wait("--free", "-t", "0.2", "no-such-host.invalid:80"), 124)

    @unittest.skipUnless(ROOT, "needs root")
    def test_a_resolver_that_does_not_answer_does_not_stretch_the_wait(self):
        silent = self.keep(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
        try:
            silent.bind(("127.0.0.2", 53))
        except OSError:
            self.skipTest("port 53 is taken")
        (self.scratch / "resolv.conf").write_text("nameserver 127.0.0.2\noptions timeout:5 attempts:2\n")
        (self.scratch / "nsswitch.conf").write_text("hosts: files dns\n")
        script = """
            mount --bind "$1/resolv.conf" "$(readlink -f /etc/resolv.conf)"
            mount --bind "$1/nsswitch.conf" /etc/nsswitch.conf
            exec "$0" -t 0.5 db.example:5432"""
        start = time.monotonic()
        done = subprocess.run(["unshare", "-m", "sh", "-ec", script, PORT_WAIT, self.scratch],
                              capture_output=True, text=True, timeout=20, check=False)
        self.assertEqual(done.returncode, 124, done)
        self.assertLess(time.monotonic() - start, 0.5 + OVERSHOOT + SLACK)


class Owner(PortWaitTest):
    def test_another_unit_is_a_no_at_once(self):
        server = self.keep(listener())
        start = time.monotonic()
        result = port_wait("--unit", "no-such", port_of(server))
        self.assertLess(time.monotonic() - start, 1 + SLACK)
        self.assertEqual(result.status, 1, result)
        self.assertIn("no-such.service", result.err)

    def test_the_end_of_a_process_ends_the_wait(self):
        child = subprocess.Popen(["sh", "-c", "read x; exit 3"], stdin=subprocess.PIPE)
        waiting = Running("--pid", child.pid, unused_port())
        child.stdin.close()
        waiting.finish()
        child.wait()
        self.assertEqual(waiting.status, 1)
        self.assertLess(waiting.took, SLACK)
        self.assertRegex(waiting.err, rf"port-wait: process {child.pid} (exited with status 3|is gone); nothing listens on port")

    def test_the_main_process_is_watched_under_systemd(self):
        child = subprocess.Popen(["sleep", "60"])
        waiting = Running(unused_port(), env=dict(os.environ, MAINPID=str(child.pid)))
        child.send_signal(signal.SIGKILL)
        waiting.finish()
        child.wait()
        self.assertEqual(waiting.status, 1)
        self.assertRegex(waiting.err, rf"process {child.pid} (was killed by SIGKILL|is gone); ")

    def test_no_process_is_watched_with_pid_0(self):
        over = subprocess.Popen(["true"])
        over.wait()
        environment = dict(os.environ, MAINPID=str(over.pid))
        self.check(port_wait("-t", "0.1", unused_port(), env=environment), 1, "", f"process {over.pid}: is gone")
        self.check(port_wait("--pid", "0", "-t", "0.1", unused_port(), env=environment), 124)


class Command(PortWaitTest):
    def test_on_a_yes_the_tool_becomes_the_command(self):
        server = self.keep(listener())
        result = port_wait(port_of(server), "--", "sh", "-c", "echo $$ -t; exit 7")
        self.assertEqual(result.status, 7, result)
        self.assertRegex(result.out, r"^\d+ -t\n$")  # nothing but the command's own output
        self.check(port_wait(port_of(server), "-t", "30", "--", "true"), 0)

    def test_on_a_no_it_is_not_run(self):
        self.check(port_wait("-t", "0.1", unused_port(), "--", "touch", self.scratch / "ran"), 124)
        self.assertFalse((self.scratch / "ran").exists())

    def test_a_command_that_cannot_be_run(self):
        server = self.keep(listener())
        (self.scratch / "data").write_text("x")
        self.check(port_wait(port_of(server), "--", "/no/such"), 127, "", "port-wait: /no/such: cannot execute")
        self.check(port_wait(port_of(server), "--", self.scratch / "data"), 126)

    def test_the_command_is_found_and_dies_of_its_own_signals(self):
        server = self.keep(listener())
        self.assertEqual(port_wait(port_of(server), "--", "sh", "-c", "kill -TERM $$").status, -signal.SIGTERM)

    def test_the_command_gets_the_signals_that_are_blocked_while_waiting(self):
        port = unused_port()
        waiting = Running(port, "--", "grep", "-E", "Sig(Blk|Ign)", "/proc/self/status")
        self.keep(listener(port=port))
        waiting.finish()
        blocked = dict(line.split() for line in waiting.out.splitlines())
        self.assertEqual(int(blocked["SigBlk:"], 16) & (1 << (signal.SIGTERM - 1)), 0)


class Interface(PortWaitTest):
    def test_usage_is_judged_before_any_waiting(self):
        port = unused_port()
        for arguments in (
            [], ["0"], ["65536"], ["80x"], [""], ["-1"], ["[::1]"], ["[fe80::1%nope]:80"], ["a" * 300 + ":80"],
            ["--nonsense", "80"], ["-t", "x", port], ["-t", "-1", port], ["-t", "", port], ["-i", "0", port],
            ["--listening", "--free", port], ["--listening", "--strict", port], ["--all", "--any", port], ["-4", "-6", port],
            ["-4", "[::1]:80"], ["-6", "127.0.0.1:80"], ["--unit", "a", "--free", port], ["--unit", "a", "--connect", port],
            ["--strict", "--connect", port], ["--connect", f"udp:{port}"], ["udp:192.0.2.1:53"], ["--unit", "a", "192.0.2.1:80"],
            ["--strict", "192.0.2.1:80"], ["--pid", "x", port], ["--pid", "-1", port], ["--json", port, "--", "true"],
            [port, "--"], ["--app", "demo", port], ["--app", "../x"], ["--free=1", port],
        ):
            with self.subTest(arguments):
                self.one_line(self.timed(0, 0.2, *arguments), 2, "port-wait: ")

    def test_json(self):
        server = self.keep(listener())
        other = unused_port()
        answer = json.loads(port_wait("--json", port_of(server)).out)
        self.assertEqual(list(answer), ["outcome", "message", "elapsed", "targets"])
        self.assertEqual(answer["outcome"], "yes")
        (target,) = answer["targets"]
        self.assertEqual(target["target"], str(port_of(server)))
        self.assertIs(target["ok"], True)
        self.assertEqual(target["reason"], "ok")
        self.assertEqual(target["holder"]["pid"], os.getpid())
        self.assertEqual(target["holder"]["state"], "LISTEN")
        result = port_wait("--json", "-t", "0.1", other, port_of(server))
        self.assertEqual(result.status, 124)
        answer = json.loads(result.out)
        self.assertEqual(answer["outcome"], "timeout")
        self.assertEqual([target["ok"] for target in answer["targets"]], [False, True])
        self.assertGreaterEqual(answer["elapsed"], 0.1)
        self.assertEqual(json.loads(port_wait("--json", "--free", port_of(server), "-t", "0.1").out)["targets"][0]["reason"], "held")

    def test_quiet_says_nothing_but_errors(self):
        server = self.keep(listener())
        self.check(port_wait("-q", port_of(server)), 0, "", "")
        self.check(port_wait("-q", port_of(server), "--", "true"), 0, "", "")
        port = unused_port()
        self.assertRegex(port_wait("-q", "-t", "0.1", port).err, rf"^port-wait: nothing listens on port {port}; waited 1\d\dms\n$")

    def test_signals_end_it_at_once(self):
        for number in (signal.SIGTERM, signal.SIGINT):
            with self.subTest(number):
                waiting = Running(unused_port())
                waiting.process.send_signal(number)
                waiting.finish()
                self.assertEqual(waiting.status, 128 + number)
                self.assertLess(waiting.took, SLACK)

    def test_an_answer_that_cannot_be_written_is_an_error(self):
        server = self.keep(listener())
        with open("/dev/full", "w") as full:
            done = subprocess.run([PORT_WAIT, str(port_of(server))], stdout=full, stderr=subprocess.PIPE, text=True, check=False)
        self.assertEqual(done.returncode, 71, done)
        self.assertIn("port-wait: standard output: cannot write", done.stderr)
        done = subprocess.run(["sh", "-c", '"$0" "$1" >&-', PORT_WAIT, str(port_of(server))], stderr=subprocess.PIPE, check=False)
        self.assertEqual(done.returncode, 71, done)

    def test_a_wait_without_limit(self):
        for timeout in ("0", "infinity"):
            port = unused_port()
            waiting = Running("-t", timeout, port)
            with self.keep(listener(port=port)):
                self.assertEqual(waiting.finish().status, 0)

    def test_verbose_says_what_it_could_not_use(self):
        server = self.keep(listener())
        forbidden = without_netlink([PORT_WAIT, "-v", str(port_of(server))])
        self.assertEqual(forbidden.returncode, 0, forbidden)
        self.assertIn("reading /proc/net instead", forbidden.stderr)
        silent = without_netlink([PORT_WAIT, str(port_of(server))])
        self.assertEqual((silent.returncode, silent.stderr), (0, ""))
        held = without_netlink([PORT_WAIT, "-v", "--free", "-t", "0.1", str(port_of(server))])
        self.assertEqual(held.returncode, 124, held)
        self.assertIn(f"is held by {COMM} (pid {os.getpid()}", held.stderr)

    def test_without_netlink_a_port_that_becomes_free_is_noticed(self):
        server = listener()
        port = port_of(server)
        closing = threading.Timer(0.2, server.close)
        closing.start()
        start = time.monotonic()
        done = without_netlink([PORT_WAIT, "--free", str(port)])
        self.assertEqual(done.returncode, 0, done)
        self.assertLess(time.monotonic() - start, 0.2 + 0.1 + SLACK)
        closing.join()


class App(AppTest):
    def wait(self, *arguments):
        return self.tool("port-wait", "--app", "demo", *arguments)

    def with_port(self, port, more=""):
        self.configure(f"[app]\nlink = {self.link}\nreleases = {self.releases}\n[port]\nlisten = {port}\n{more}")

    def test_without_a_port_there_is_nothing_to_wait_for(self):
        self.check(self.wait("--free"), 0, "", "")
        self.check(self.wait(), 0, "", "")

    def test_the_port_and_its_timeout_are_the_apps(self):
        server = listener()
        self.addCleanup(server.close)
        self.with_port(f"127.0.0.1:{port_of(server)}", "free-timeout = 200ms\n")
        start = time.monotonic()
        self.check(self.wait("--free"), 124, "", f"127.0.0.1:{port_of(server)} is held by ")
        self.assertLess(time.monotonic() - start, 0.2 + OVERSHOOT + SLACK)
        server.close()
        self.check(self.wait("--free"), 0)

    def test_only_the_apps_unit_counts_as_listening(self):
        server = listener()
        self.addCleanup(server.close)
        self.with_port(port_of(server))
        self.check(self.wait(), 1, "", "demo.service")

    def test_a_wrong_configuration_is_told(self):
        self.with_port("70000")
        self.check(self.wait("--free"), 78, "", "demo.conf:")
        self.check(self.tool("port-wait", "--app", "nobody"), 78, "", "nobody.conf")


class Examples(PortWaitTest):
    """Those of the man page. The lines for unit files are run by the machine tests."""

    @unittest.skipUnless(ROOT, "needs root")
    def test_they_work(self):
        page = (Path(os.environ["MAN"]) / "port-wait.1").read_text()
        section = page.split("\n.Sh EXAMPLES\n")[1].split("\n.Sh ")[0]
        examples = [line.removeprefix(".Dl $ ") for line in section.splitlines() if line.startswith(".Dl $ ")]
        self.assertGreater(len(examples), 3)
        (self.scratch / "hosts").write_text("127.0.0.1 localhost db\n")
        (self.scratch / "migrate").write_text("#!/bin/sh\necho migrated\n")
        (self.scratch / "migrate").chmod(0o755)
        serve = """
import signal, socket
held = [socket.create_server(("127.0.0.1", port)) for port in (9000, 5432)]
print("up", flush=True)
signal.pause()"""
        script = """
ip link set lo up
mount --bind hosts /etc/hosts
"$0" -c "$1" > up &
until grep -q up up; do :; done
status=0
sh -ec "$2" || status=$?
kill $!
exit $status"""
        for example in examples:
            with self.subTest(example):
                done = subprocess.run(
                    ["unshare", "--net", "--mount", "sh", "-ec", script, sys.executable, serve, example],
                    env=dict(os.environ, PATH=f"{TOOLS}:{os.environ['PATH']}", MAINPID=""),
                    cwd=self.scratch, capture_output=True, text=True, timeout=20, check=False)
                self.assertEqual(done.returncode, 0, done)
                if "migrate" in example:
                    self.assertEqual(done.stdout, "migrated\n")


if __name__ == "__main__":
    unittest.main()
