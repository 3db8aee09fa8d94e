"""drain-wait: which connections are counted, when the waiting ends, and what is said of what is left."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
import unittest

from cli import TOOLS, AppTest, CliTest, examples, run, without_netlink
from web import Web, json_answer

SLACK = 0.5  # for a machine that is busy with other tests
OVERSHOOT = 0.05


def drain_wait(*arguments, **options):
    return run("drain-wait", *arguments, **options)


class Server:
    """A listener with connections from clients of its own."""

    def __init__(self, host="127.0.0.1", port=0):
        self.listener = socket.create_server(
            (host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET, dualstack_ipv6=host == "::")
        self.host = host
        self.port = self.listener.getsockname()[1]
        self.pairs = []

    def connect(self, accepted=True, source=None):
        client = socket.create_connection(
            ({"::": "127.0.0.1"}.get(self.host, self.host), self.port), source_address=(source, 0) if source else None)
        pair = (client, self.listener.accept()[0] if accepted else None)
        self.pairs.append(pair)
        return pair

    def end(self, count=1):
        """Ends the oldest connections, from the client's side."""
        for _ in range(count):
            client, server = self.pairs.pop(0)
            client.close()
            if server:
                server.recv(1)
                server.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for pair in self.pairs:
            for sock in filter(None, pair):
                sock.close()
        self.listener.close()


class Draining(CliTest):
    def test_no_connection_is_drained_at_once(self):
        with Server() as server:
            result = self.check(drain_wait(server.port), 0, err="")
            self.assertRegex(result.out, rf"^port {server.port}: no connections; drained after [\d.]+[mu]?s\n$")
            self.check(drain_wait("-q", server.port), 0, "", "")
        self.check(drain_wait(server.port), 0, "no connections")  # nobody listens, either

    def test_it_ends_when_the_last_connection_does(self):
        with Server() as server:
            server.connect()
            server.connect()
            waiting = subprocess.Popen([TOOLS / "drain-wait", str(server.port)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
            time.sleep(0.3)
            server.end()
            time.sleep(0.3)
            self.assertIsNone(waiting.poll())
            start = time.monotonic()
            server.end()
            out, err = waiting.communicate(timeout=5)
            self.assertLess(time.monotonic() - start, SLACK)
            self.assertEqual((waiting.returncode, err), (0, ""))
            self.assertIn("no connections; drained after ", out)

    def test_its_own_look_adds_no_connection(self):
        with Server() as server:
            drain_wait(server.port)
            server.listener.setblocking(False)
            with self.assertRaises(BlockingIOError):
                server.listener.accept()

    def test_a_connection_that_nobody_has_accepted_yet_counts(self):
        with Server() as server:
            server.connect(accepted=False)
            self.check(drain_wait("-t", "100ms", server.port), 124, "", f"port {server.port}: 1 connection: 127.0.0.1:")

    def test_closing_connections_count_as_long_as_something_is_on_its_way(self):
        with Server() as server:
            client, accepted = server.connect()
            client.close()  # the server has not closed: CLOSE_WAIT
            self.check(drain_wait("-t", "100ms", server.port), 124, "", "(CLOSE_WAIT, for ")
            accepted.close()
            self.check(drain_wait("-t", "2s", server.port), 0)
            client, accepted = server.connect()
            accepted.close()
            # Ours has closed and nobody holds it any more; what it had sent has arrived.
            self.check(drain_wait("-t", "2s", server.port), 0)

    def test_a_timeout_is_kept_and_tells_who_is_left(self):
        with Server() as server:
            client, _ = server.connect()
            start = time.monotonic()
            result = drain_wait("-t", "300ms", server.port)
            took = time.monotonic() - start
            self.one_line(result, 124, f"drain-wait: port {server.port}: 1 connection: 127.0.0.1:{client.getsockname()[1]} "
                                       "(ESTABLISHED, for ")
            self.assertRegex(result.err, r"; waited 30\dms\n$")
            self.assertGreaterEqual(took, 0.3)
            self.assertLessEqual(took, 0.3 + OVERSHOOT + SLACK)

    def test_what_changes_is_told_once_a_second(self):
        with Server() as server:
            server.connect()
            result = drain_wait("-t", "1500ms", server.port)
            self.assertEqual(result.err.splitlines()[0], "drain-wait: connections 1")
            self.assertEqual(len(result.err.splitlines()), 2)

    def test_on_a_terminal_there_is_one_live_line(self):
        with Server() as server:
            server.connect()
            ours, theirs = os.openpty()
            with subprocess.Popen([TOOLS / "drain-wait", "-t", "1300ms", str(server.port)], stdin=subprocess.DEVNULL,
                                  stdout=subprocess.PIPE, stderr=theirs) as process:
                os.close(theirs)
                text = b""
                try:
                    while chunk := os.read(ours, 4096):
                        text += chunk
                except OSError:  # the other side is closed
                    pass
            os.close(ours)
            self.assertEqual(process.returncode, 124)
            self.assertIn(b"\r\x1b[K[1s] connections 1", text)

    def test_max_connections_may_stay(self):
        with Server() as server:
            for _ in range(3):
                server.connect()
            self.check(drain_wait("--max", 3, server.port), 0, "3 connections, 3 are accepted; drained")
            self.check(drain_wait("--max", 2, "-t", "50ms", server.port), 124)

    def test_excluded_peers_do_not_count(self):
        with Server("0.0.0.0") as server:
            server.connect(source="127.0.0.1")
            server.connect(source="127.0.9.9")
            self.check(drain_wait("-t", "50ms", server.port), 124, "", "2 connections")
            self.check(drain_wait("--peer-exclude", "127.0.9.0/24", "-t", "50ms", server.port), 124, "", "1 connection: 127.0.0.1:")
            self.check(drain_wait("--peer-exclude", "127.0.9.0/24", "--peer-exclude", "127.0.0.1", server.port), 0)
            self.check(drain_wait("--peer-exclude", "::/0", "-t", "50ms", server.port), 124, "", "2 connections")

    def test_ipv4_through_an_ipv6_listener_is_ipv4(self):
        with Server("::") as server:
            server.connect()
            self.check(drain_wait("-t", "50ms", server.port), 124, "", "1 connection: 127.0.0.1:")
            self.check(drain_wait("--peer-exclude", "127.0.0.0/8", server.port), 0)
            self.check(drain_wait("-t", "50ms", f"127.0.0.1:{server.port}"), 124)
            self.check(drain_wait(f"127.0.0.2:{server.port}"), 0)

    def test_several_ports_are_drained_together(self):
        with Server() as one, Server("::1") as other:
            other.connect()
            self.check(drain_wait("-t", "50ms", one.port, f"[::1]:{other.port}"), 124, "",
                       f"port {one.port}, [::1]:{other.port}: 1 connection: [::1]:")
            other.end()
            self.check(drain_wait("-t", "2s", one.port, f"[::1]:{other.port}"), 0)

    def test_a_connection_of_a_client_on_the_same_port_number_elsewhere_does_not_count(self):
        with Server() as server:
            server.connect()
            # The client's own side has another local port.
            self.check(drain_wait(server.pairs[0][0].getsockname()[1] ^ 1), 0)

    @unittest.skipUnless(os.geteuid() == 0, "needs root")
    def test_another_network_is_not_looked_into(self):
        talk = """
import socket, sys
server = socket.create_server(("127.0.0.1", int(sys.argv[1])))
client = socket.create_connection(("127.0.0.1", int(sys.argv[1])))
accepted = server.accept()[0]
print("up", flush=True)
client.recv(1)"""
        with Server() as server:
            script = f"ip link set lo up; exec {sys.executable} -c '{talk}' {server.port}"
            with subprocess.Popen(["unshare", "-n", "sh", "-ec", script], stdout=subprocess.PIPE, text=True) as other:
                self.assertEqual(other.stdout.readline(), "up\n")
                self.check(drain_wait(server.port), 0, f"port {server.port}: no connections")
                other.terminate()

    def test_without_netlink_the_tables_are_read_from_proc(self):
        with Server() as server:
            server.connect()
            done = without_netlink([TOOLS / "drain-wait", "-v", "-t", "300ms", str(server.port)])
            self.assertEqual(done.returncode, 124, done)
            self.assertIn("1 connection: 127.0.0.1:", done.stderr)
            self.assertIn("/proc/net", done.stderr)
            server.end()
            self.assertEqual(without_netlink([TOOLS / "drain-wait", str(server.port)]).returncode, 0)

    def test_json(self):
        with Server() as server:
            first, _ = server.connect()
            waiting = subprocess.Popen([TOOLS / "drain-wait", "--json", "-t", "600ms", str(server.port)],
                                       stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
            time.sleep(0.3)
            second, _ = server.connect()
            told = json.loads(waiting.communicate(timeout=5)[0])
            self.assertEqual((told["outcome"], told["connections"], told["established"], told["closing"]), ("timeout", 2, 2, 0))
            self.assertEqual(told["app"], {})
            self.assertEqual([peer["peer"] for peer in told["peers"]],
                             [f"127.0.0.1:{sock.getsockname()[1]}" for sock in (first, second)])
            self.assertEqual(told["peers"][0]["state"], "ESTABLISHED")
            self.assertGreater(told["peers"][0]["seen"], told["peers"][1]["seen"])
            server.end(2)
            told = json.loads(drain_wait("--json", server.port).out)
            self.assertEqual((told["outcome"], told["connections"], told["peers"]), ("drained", 0, []))

    def test_signals_end_it_tidily(self):
        with Server() as server:
            server.connect()
            for number in (signal.SIGTERM, signal.SIGINT):
                waiting = subprocess.Popen([TOOLS / "drain-wait", "-t", "0", str(server.port)], stderr=subprocess.PIPE, text=True)
                waiting.stderr.readline()  # it waits
                waiting.send_signal(number)
                _, err = waiting.communicate(timeout=5)
                self.assertEqual(waiting.returncode, 128 + number)
                self.assertIn(f"stopped by {number.name}", err)

    def test_a_command_follows_once_drained(self):
        with Server() as server:
            result = drain_wait(server.port, "--", "sh", "-c", "echo done; exit 7")
            self.check(result, 7, "done\n", "no connections; drained after")
            server.connect()
            self.check(drain_wait("-t", "50ms", server.port, "--", "echo", "never"), 124, "")

    def test_an_answer_that_cannot_be_written_is_an_error(self):
        with open("/dev/full", "w") as full:
            done = subprocess.run([TOOLS / "drain-wait", "1"], stdout=full, stderr=subprocess.PIPE, text=True, check=False)
        self.assertEqual(done.returncode, 71)
        self.assertIn("standard output", done.stderr)


class WithTheApp(CliTest):
    def test_the_app_must_say_so_too(self):
        answers = [json_answer(json.dumps({"requests": 2, "activeStreams": 1})), json_answer(json.dumps({"requests": 0, "activeStreams": 1})),
                   json_answer(json.dumps({"requests": 0, "activeStreams": 0}))]
        with Server() as server, Web(*answers) as web:
            result = drain_wait("-i", "50ms", "--http", web.url, "--expect-json", ".requests == 0",
                                "--expect-json", ".activeStreams == 0", server.port)
            self.check(result, 0, "no connections; drained after")
            self.assertGreaterEqual(len(web.requests), 3)

    def test_what_the_app_counts_is_told(self):
        with Server() as server, Web(json_answer(json.dumps({"requests": 2, "app": {"activeStreams": 1}}))) as web:
            server.connect()
            arguments = ("-t", "1200ms", "--http", web.url, "--expect-json", ".requests == 0", "--expect-json",
                         ".app.activeStreams == 0", server.port)
            result = drain_wait(*arguments)
            self.assertEqual(result.status, 124)
            self.assertIn("drain-wait: connections 1, requests 2, activeStreams 1\n", result.err)
            self.assertIn(".requests == 0 gave false (it is 2)", result.err.splitlines()[-1])
            told = json.loads(drain_wait("--json", *arguments).out)
            self.assertEqual(told["app"], {".requests": 2, ".app.activeStreams": 1})

    def test_a_filter_that_is_none_is_a_usage_error(self):
        result = drain_wait("--http", "http://127.0.0.1:1/", "--expect-json", "..[", 1)
        self.check(result, 2, "", "is not a jq filter")

    def test_options_of_http_need_http(self):
        for option in (["--expect-json", "."], ["-k"], ["--bearer", "/x"], ["-i", "1s"]):
            self.check(drain_wait(*option, 1), 2, "", "goes with --http only")


class Usage(CliTest):
    def test_bad_input_is_refused_at_once(self):
        for arguments, why in ((["80x"], "80x"), (["0"], "0"), (["65536"], "65536"), ([""], "not a port"), (["udp:53"], "UDP has no connections"),
                               (["unix:/run/x"], "is no port"), (["db.example:5432"], "is a name"), (["192.0.2.1:80"], "is not of this machine"),
                               (["--max", "-1", "1"], "'-1'"), (["--max", "x", "1"], "'x'"), (["--peer-exclude", "10.0.0.0/33", "1"], "from 0 to 32"),
                               (["--peer-exclude", "::/129", "1"], "from 0 to 128"), (["--peer-exclude", "ten", "1"], "is no network"),
                               (["-t", "soon", "1"], "soon"), (["--http", "ftp://h/", "1"], "neither http nor https"), ([], "TARGET or --app is needed"),
                               (["--json", "1", "--", "true"], "does not go with a command")):
            with self.subTest(arguments):
                self.one_line(drain_wait(*arguments), 2, why)

    def test_the_examples_of_the_page_are_understood(self):
        lines = examples("drain-wait")
        self.assertGreater(len(lines), 2)
        for line in lines:
            with self.subTest(line):
                command = line.split(" -- ")[0] + " -t 1ms"
                done = subprocess.run(["sh", "-c", command], capture_output=True, text=True, check=False, cwd=self.scratch, timeout=20,
                                      env={**os.environ, "PATH": f"{TOOLS}:{os.environ['PATH']}", "SAFE_DEPLOY_CONFIG_DIR": "/nonexistent"})
                self.assertIn(done.returncode, (0, 124) if "--app" not in line else (78,), done)


class OfAnApp(AppTest):
    def test_the_port_is_the_configured_one(self):
        with Server() as server:
            self.configure(f"[app]\nlink = {self.link}\nreleases = {self.releases}\n[port]\nlisten = 127.0.0.1:{server.port}\n")
            self.check(self.tool("drain-wait", "--app", "demo"), 0, f"127.0.0.1:{server.port}: no connections")
            server.connect()
            self.check(self.tool("drain-wait", "--app", "demo", "-t", "50ms"), 124)

    def test_an_app_without_a_port(self):
        self.one_line(self.tool("drain-wait", "--app", "demo"), 78, "[port] listen is not set")
        self.configure("[port]\nlisten = unix:/run/x\n")
        self.one_line(self.tool("drain-wait", "--app", "demo"), 78, "[port] listen: unix:/run/x: is no port")


if __name__ == "__main__":
    unittest.main()
