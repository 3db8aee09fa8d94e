"""health-wait: what is healthy, what is not, and when the waiting ends."""

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
import unittest
from contextlib import contextmanager

from cli import TOOLS, AppTest, CliTest, examples, run
from web import Web, json_answer, make_certificate

OVERSHOOT = 0.05  # how much longer than its timeout a tool may take
SLACK = 2  # for a machine that is busy with other tests


def health_wait(*arguments, **options):
    environment = dict(options.pop("env", os.environ))
    environment.setdefault("MAINPID", "")
    return run("health-wait", *arguments, env=environment, **options)


class Running:
    """A health-wait in the background, whose stderr can be waited for."""

    def __init__(self, *arguments, env=None):
        self.process = subprocess.Popen(
            [TOOLS / "health-wait", *map(str, arguments)], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            stderr=subprocess.PIPE, text=True, env={**os.environ, "MAINPID": "", **(env or {})})
        self.lines = []

    def __enter__(self):
        return self

    def __exit__(self, *failure):
        if self.process.poll() is None:
            self.process.kill()
        self.process.communicate()

    def until_it_says(self, text):
        for line in self.process.stderr:
            self.lines.append(line)
            if text in line:
                return
        raise AssertionError(f"{text!r} was not said: {self.lines}")

    def end(self, timeout=10):
        """(status, everything that was said)"""
        out, err = self.process.communicate(timeout=timeout)
        return self.process.returncode, "".join(self.lines) + out + err


@contextmanager
def elapsed(least, most):
    start = time.monotonic()
    yield
    took = time.monotonic() - start
    assert least <= took <= most, f"took {took:.3f} s"


@contextmanager
def silent_server():
    """Accepts connections and says nothing."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        held = []
        thread = threading.Thread(target=lambda: accept_all(listener, held), daemon=True)
        thread.start()
        try:
            yield f"http://127.0.0.1:{listener.getsockname()[1]}/"
        finally:
            listener.shutdown(socket.SHUT_RDWR)
            thread.join()
            for connection in held:
                connection.close()


def accept_all(listener, held):
    try:
        while True:
            held.append(listener.accept()[0])
    except OSError:
        pass


@contextmanager
def reserved_port():
    """A port that is bound, so that nobody else gets it, and not listened on."""
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        yield bound, bound.getsockname()[1]


class Healthy(CliTest):
    def test_2xx_is_healthy(self):
        with Web() as web:
            result = self.check(health_wait(web.url), 0, err="")
            self.assertRegex(result.out, rf"^{web.url}: 200; healthy after [\d.]+[mu]?s\n$")
            self.assertEqual(len(web.requests), 1)

    def test_quiet_says_nothing(self):
        with Web() as web:
            self.check(health_wait("-q", web.url), 0, out="", err="")

    def test_json(self):
        with Web() as web:
            told = json.loads(health_wait("--json", web.url).out)
        self.assertEqual((told["outcome"], told["reason"], told["attempts"]), ("healthy", "ok", 0))
        (check,) = told["checks"]
        self.assertEqual((check["name"], check["ok"], check["reason"]), (web.url, True, "ok"))
        self.assertEqual(check["figures"]["status"], 200)
        self.assertGreater(check["figures"]["latency"], 0)

    def test_everything_that_is_expected_together(self):
        with Web((418, {"X-App": "demo"}, b'{"n": 1}')) as web:
            self.check(health_wait(
                "--expect-status", "200,418", "--expect-json", ".n == 1", "--expect-json", ".m == null",
                "--expect-body", '"n"', "--expect-header", "x-app: ^demo$", "--max-latency", "5s", web.url), 0)

    def test_the_request_is_as_asked_for(self):
        with Web() as web:
            self.check(health_wait("-X", "PUT", "-d", "x=1", "-H", "X-A: b", web.url), 0)
            method, path, headers, body = web.requests[0]
            self.assertEqual((method, path, headers["X-A"], body), ("PUT", "/", "b", b"x=1"))

    def test_a_token_is_read_from_a_file_and_never_told(self):
        token = self.scratch / "token"
        token.write_text("sesame\n")
        with Web((401, {}, b"")) as web:
            result = health_wait("--bearer", token, "--attempts", 1, web.url)
            self.assertEqual(web.requests[0][2]["Authorization"], "Bearer sesame")
            self.assertNotIn("sesame", result.out + result.err)
            self.check(health_wait("--bearer", "credential:token", "--attempts", 1, web.url,
                                   env=dict(os.environ, CREDENTIALS_DIRECTORY=str(self.scratch))), 1)
            self.assertEqual(web.requests[1][2]["Authorization"], "Bearer sesame")

    def test_a_unix_socket(self):
        path = self.scratch / "socket"
        with Web(path=path) as web:
            self.check(health_wait("--unix-socket", path, "http://localhost/x"), 0)
            self.assertEqual(web.requests[0][1], "/x")

    def test_a_proxy_of_the_environment_is_ignored(self):
        with Web() as web:
            self.check(health_wait(web.url, env=dict(os.environ, http_proxy="http://127.0.0.1:1")), 0)

    def test_ipv6(self):
        try:
            with socket.create_server(("::1", 0), family=socket.AF_INET6):
                pass
        except OSError:
            self.skipTest("there is no IPv6 here")
        with socket.create_server(("::1", 0), family=socket.AF_INET6) as listener:
            threading.Thread(target=answer_once, args=(listener,), daemon=True).start()
            self.check(health_wait(f"http://[::1]:{listener.getsockname()[1]}/"), 0)

    def test_localhost_is_asked_at_each_of_its_addresses(self):
        with Web() as web:  # on 127.0.0.1 only
            self.check(health_wait(f"http://localhost:{web.port}/", "-t", 5), 0)

    def test_all_urls_must_be_healthy(self):
        with Web() as one, Web((503, {}, b""), (200, {}, b"")) as other:
            result = self.check(health_wait("-i", "50ms", one.url, other.url), 0)
            self.assertIn(one.url, result.out)
            self.assertIn(other.url, result.out)
        with Web() as one, Web((503, {}, b"")) as other:
            self.check(health_wait("--attempts", 1, one.url, other.url), 1, err=f"{other.url}: 503")


def answer_once(listener):
    connection = listener.accept()[0]
    with connection:
        connection.recv(4096)
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")


class Unhealthy(CliTest):
    def no(self, answer, words, *options, reason):
        with Web(answer) as web:
            self.one_line(health_wait("--attempts", 1, *options, web.url), 1, f"health-wait: {web.url}: {words}")
            told = json.loads(health_wait("--json", "--attempts", 1, *options, web.url).out)
            self.assertEqual((told["outcome"], told["reason"], told["checks"][0]["reason"]), ("unhealthy", reason, reason))

    def test_a_status(self):
        self.no((503, {}, b""), "503, expected 200-299", reason="status")

    def test_a_redirect_is_not_followed(self):
        self.no((302, {"Location": "/login?secret"}, b""), "302 to /login, expected 200-299", reason="status")
        with Web() as target, Web((302, {"Location": target.url}, b"")) as web:
            self.check(health_wait("-L", web.url), 0)

    def test_json(self):
        self.no(json_answer('{"services": {"redis": {"status": "disconnected"}}}'),
                '200, but .services.redis.status == "connected" gave false (it is "disconnected")',
                "--expect-json", '.services.redis.status == "connected"', reason="json")
        self.no((200, {}, b"<html>"), "200, but the body is not JSON", "--expect-json", "true", reason="json")

    def test_body_and_header(self):
        self.no((200, {}, b"no"), "200, but its body of 2 bytes does not match 'yes'", "--expect-body", "yes",
                reason="body")
        self.no((200, {}, b""), "200, but the header x-version is missing, expected '1'", "--expect-header",
                "X-Version: 1", reason="header")

    def test_latency(self):
        with Web() as web:
            self.check(health_wait("--attempts", 1, "--max-latency", "1us", web.url), 1, err="200, but after ")

    def test_a_body_that_is_too_long(self):
        self.no((200, {}, b"1" * 2000), "200, but its body is longer than 1K", "--max-body", "1K", "--expect-json",
                "true", reason="too-large")

    def test_a_server_that_says_nothing(self):
        with silent_server() as url, elapsed(0.2, 0.2 + OVERSHOOT + SLACK):
            self.one_line(health_wait("--attempts", 1, "--attempt-timeout", "200ms", url), 1,
                          "connected, but no answer within 200ms")

    def test_certificates_are_verified(self):
        tls = make_certificate(self.scratch)
        with Web(tls=tls) as web:
            url = f"https://localhost:{web.port}/"
            self.check(health_wait("--attempts", 1, url), 1, err="TLS: ")
            self.assertEqual(json.loads(health_wait("--json", "--attempts", 1, url).out)["reason"], "tls")
            self.check(health_wait("--cacert", tls[0], url), 0)
            self.check(health_wait("-k", url), 0)
            self.check(health_wait("--cacert", tls[0], "--attempts", 1, f"https://127.0.0.1:{web.port}/"), 1, err="TLS: ")


class Waiting(CliTest):
    def test_a_port_that_is_not_open_yet_is_awaited_and_asked_at_once(self):
        with reserved_port() as (bound, port), Running("--attempts", 1, f"http://127.0.0.1:{port}/") as running:
            running.until_it_says(f"nothing listens on 127.0.0.1:{port}")
            bound.listen()
            start = time.monotonic()
            answer_once(bound)
            status, said = running.end()
            self.assertEqual(status, 0, said)
            self.assertLess(time.monotonic() - start, SLACK)

    def test_attempts_are_answers_that_said_no(self):
        answers = [(503, {}, b""), (503, {}, b""), (200, {}, b"")]
        with Web(*answers) as web:
            self.check(health_wait("--attempts", 3, "-i", "20ms", web.url), 0)
        with Web(*answers) as web:
            self.check(health_wait("--attempts", 2, "-i", "20ms", web.url), 1, err="; 2 attempts in ")
            self.assertEqual(len(web.requests), 2)

    def test_the_timeout_is_kept_and_told(self):
        with reserved_port() as (_, port), elapsed(1, 1 + OVERSHOOT + SLACK):
            self.one_line(health_wait("-t", "1s", f"http://127.0.0.1:{port}/"), 124,
                          f"health-wait: nothing listens on 127.0.0.1:{port}; waited 1")
        with silent_server() as url, elapsed(0.9, 1 + OVERSHOOT + SLACK):
            self.check(health_wait("-t", "1s", url), 124, err="connected, but no answer within")

    def test_what_changes_is_told_once(self):
        with Web((503, {}, b""), (503, {}, b""), (404, {}, b""), (200, {}, b"")) as web:
            result = self.check(health_wait("-i", "20ms", web.url), 0)
            told = [line.split(": ")[-1] for line in result.err.splitlines()]
            self.assertEqual(told, ["503, expected 200-299", "404, expected 200-299"])

    def test_rise(self):
        with Web((200, {}, b""), (503, {}, b""), (200, {}, b"")) as web:
            self.check(health_wait("--rise", 2, "-i", "20ms", web.url), 0)
            self.assertEqual(len(web.requests), 4)

    def test_hold(self):
        with Web() as web, elapsed(0.3, 0.3 + SLACK):
            self.check(health_wait("--hold", "300ms", "-i", "50ms", web.url), 0)
            self.assertGreater(len(web.requests), 2)
        with Web((200, {}, b""), (200, {}, b""), (503, {}, b"")) as web:
            self.check(health_wait("--hold", "10s", "-i", "20ms", web.url), 1,
                       err="503, expected 200-299, after it had been healthy")

    def test_a_process_that_ends_ends_the_waiting(self):
        with reserved_port() as (_, port):
            url = f"http://127.0.0.1:{port}/"
            for code, words in (("import sys; input(); sys.exit(3)", "exited with status 3"),
                                ("import os, signal; input(); os.kill(os.getpid(), signal.SIGKILL)",
                                 "was killed by SIGKILL")):
                child = subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE)
                with Running(url, "--pid", child.pid) as running:
                    running.until_it_says("nothing listens")
                    child.stdin.write(b"\n")
                    child.stdin.close()
                    start = time.monotonic()
                    status, said = running.end()
                    self.assertLess(time.monotonic() - start, SLACK)
                    self.assertEqual(status, 1, said)
                    self.assertIn(f"process {child.pid} {words}", said)
                child.wait()
                self.check(health_wait(url, env=dict(os.environ, MAINPID=str(child.pid))), 1, err=f"process {child.pid}")
                self.check(health_wait("-t", "50ms", "--pid", 0, url, env=dict(os.environ, MAINPID=str(child.pid))), 124)

    def test_signals_end_it_at_once(self):
        with reserved_port() as (_, port):
            for number in (signal.SIGTERM, signal.SIGINT):
                with Running(f"http://127.0.0.1:{port}/") as running:
                    running.until_it_says("nothing listens")
                    running.process.send_signal(number)
                    status, said = running.end()
                    self.assertEqual(status, 128 + number, said)
                    self.assertIn(f"stopped by {number.name}", said)

    def test_a_signal_ends_it_in_the_middle_of_a_request(self):
        with silent_server() as url, Running("--attempt-timeout", "60s", url) as running:
            time.sleep(0)  # wherever it is by now
            with Running("-t", "100ms", url) as other:  # by then the first one asks
                other.end()
            running.process.send_signal(signal.SIGTERM)
            self.assertEqual(running.end()[0], 143)

    def test_an_answer_of_somebody_else_is_none_of_the_unit(self):
        with Web() as web:
            result = health_wait("-t", "300ms", "--unit", "no-such-app", web.url)
            self.assertIn(result.status, (1, 124), result)  # 1 where systemd knows that there is no such unit
            self.assertEqual(web.requests, [])


class Examples(CliTest):
    def test_the_examples_of_the_page_work(self):
        with Web(json_answer('{"status": "healthy"}')) as web:
            environment = {**os.environ, "PATH": f"{TOOLS}:{os.environ['PATH']}", "MAINPID": ""}
            lines = examples("health-wait")
            self.assertGreaterEqual(len(lines), 4)
            for line in lines:
                with self.subTest(line):
                    here = line.replace("http://127.0.0.1:9000/", web.url).replace("10s", "100ms")
                    done = subprocess.run(here, shell=True, env=environment, capture_output=True, text=True, timeout=20)
                    self.assertEqual((done.returncode, done.stderr), (0, ""))


class Usage(CliTest):
    def test_wrong_usage_is_found_at_once(self):
        with reserved_port() as (_, port):
            url = f"http://127.0.0.1:{port}/"
            for arguments in (
                (), ("ftp://x/",), ("127.0.0.1:80",), ("http://user:pass@x/",), ("http://x:99999/",),
                ("--expect-status", "2xx", url), ("--expect-status", "700", url), ("--expect-body", "(", url),
                ("--expect-body", r"(a)\1", url), ("--expect-header", "X", url), ("--max-latency", "fast", url),
                ("-H", "no colon", url), ("-X", "GE T", url), ("--attempts", "0", url), ("-i", "0", url),
                ("--rise", "-1", url), ("-t", "1x", url), ("--pid", "x", url), ("--max-body", "much", url),
                ("--expect-json", ".a ==", url), ("--expect-json", "$release == 1", url),
                ("--expect-json", "true", "--expect-json", "nothing(1)", url), ("--no-such-option", url),
                ("--memory-max", "1G", url), ("--no-journal-errors", url), ("--unit", "x", "--memory-max", "0", url),
                ("--unit", "x", "--memory-max", "much", url),
                ("--max-body", "0", url), ("--max-latency", "0", url), ("--unit", "x", "http://192.0.2.1/"), ("--app", "demo", url), ("--app", "a/b"),
            ):
                with self.subTest(arguments), elapsed(0, 5):
                    self.one_line(health_wait(*arguments), 2, "health-wait: ")

    def test_files_that_cannot_be_read(self):
        for option in ("--bearer", "--cacert", "--cert", "--key"):
            with self.subTest(option):
                self.one_line(health_wait(option, "/nonexistent", "https://127.0.0.1:1/"), 71, "/nonexistent: ")
        self.one_line(health_wait("--bearer", "credential:x", "http://127.0.0.1:1/",
                                  env={k: v for k, v in os.environ.items() if k != "CREDENTIALS_DIRECTORY"}),
                      1, "credential:x: no credentials were given")


class App(AppTest):
    def setUp(self):
        super().setUp()
        self.environment["MAINPID"] = ""

    def configure_checks(self, *lines, health="", port=""):
        self.configure("\n".join([
            "[app]", f"link = {self.link}", f"releases = {self.releases}", "[port]", port, "[health]",
            "timeout = 10s", "interval = 20ms", health, *lines, ""]))

    def configure_check(self, url, *lines, **sections):
        self.configure_checks("[check api]", "when = health", f"http = {url}", *lines, **sections)

    def wait(self, *arguments):
        return self.tool("health-wait", "--app", "demo", *arguments)

    def failure(self):
        state = json.loads((self.scratch / "state/demo/state.json").read_text())
        return state["failure"]

    def test_what_the_command_line_says_wins(self):
        self.configure_check("http://127.0.0.1:1/", health="attempts = 3")
        with elapsed(0.9, 1.1 + SLACK):
            self.check(self.wait("-t", "1s", "--pid", 0), 124, err="api: nothing listens on 127.0.0.1:1; waited ")

    def test_a_filter_that_does_not_compile_is_told_with_its_place(self):
        self.configure_check("http://127.0.0.1:1/", "expect-json = .a ==")
        with elapsed(0, 5):
            self.check(self.wait("--pid", 0), 78, err=f"{self.scratch}/etc/demo.conf:13: expect-json: '.a =='")

    def test_a_check_that_wants_a_release_is_skipped_where_there_is_none(self):
        self.configure_check("http://127.0.0.1:1/${release}")
        self.check(self.wait("--pid", 0), 0, out="nothing could be asked: api: ")
        told = json.loads(self.wait("--pid", 0, "--json").out)
        self.assertEqual((told["outcome"], [check["verdict"] for check in told["checks"]]), ("healthy", ["skipped"]))
        self.assertEqual([check["ok"] for check in told["checks"]], [False])

    def test_a_warning_is_told_as_one(self):
        self.configure_checks("[check file]", "when = health", f"path = {self.scratch}/none", "level = warning",
                              "[check other]", "when = health", "path = /")
        self.check(self.wait("--pid", 0), 0, out=f"warning: file: {self.scratch}/none: does not exist; other: /")
        told = json.loads(self.wait("--pid", 0, "--json").out)
        self.assertEqual([(check["verdict"], check["ok"]) for check in told["checks"]], [("warning", True), ("ok", True)])

    def test_where_nothing_can_be_asked_that_is_told_when_the_time_is_up(self):
        self.configure_checks("[check net]", "when = health", "inodes = /proc")
        result = self.wait("--pid", 0, "-t", "2s")
        self.check(result, 124, err="health-wait: nothing could be asked: net: ")
        self.assertRegex(result.err, "; waited 2")

    def test_it_is_a_no_where_it_is_required(self):
        self.configure_check("http://127.0.0.1:1/${release}", "required = yes")
        self.check(self.wait("--pid", 0), 1, err="demo.conf:12: http: ${release}: no release is deployed")

    def test_a_skipped_check_does_not_keep_the_others_from_being_asked(self):
        appears = self.scratch / "appears"
        self.configure_check("http://127.0.0.1:1/${release}", "[check other]", "when = health", f"path = {appears}")
        self.check(self.wait("--pid", 0, "-t", "2s"), 124, err=f"other: {appears}: does not exist; waited ")
        threading.Timer(0.1, appears.touch).start()
        result = self.wait("--pid", 0, "--hold", "200ms")
        self.check(result, 0, out="skipped: api: ")
        self.assertIn(f"; other: {appears}", result.out)

    def test_the_checks_of_another_phase(self):
        self.configure_check("http://127.0.0.1:1/", "[check later]", "when = watch, monitor", "path = /")
        for phase in ("watch", "monitor"):
            told = json.loads(self.wait("--pid", 0, "--when", phase, "--json").out)
            self.assertEqual([(check["name"], check["ok"]) for check in told["checks"]], [("later", True)])
        self.one_line(self.wait("--when", "preflight"), 2, "--when preflight: is for preflight(1)")
        self.one_line(self.wait("--when", "lunch"), 2, "'lunch': is none of")
        self.one_line(health_wait("--when", "watch", "http://127.0.0.1:1/"), 2, "--when: goes with --app")

    def test_systemd_is_told_how_far_the_waiting_is(self):
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
            listener.bind(str(self.scratch / "notify"))
            self.configure_check("http://127.0.0.1:1/")
            self.environment["NOTIFY_SOCKET"] = str(self.scratch / "notify")
            self.check(self.wait("-t", "2s", "--pid", 0), 124)
            told = []
            listener.setblocking(False)
            try:
                while True:
                    told.append(listener.recv(4096).decode())
            except BlockingIOError:
                pass
        self.assertEqual(told[0], "STATUS=health-wait: nothing listens on 127.0.0.1:1")
        self.assertRegex(told[-1], "^STATUS=health-wait: api: nothing listens on 127.0.0.1:1; waited ")
        self.assertFalse([each for each in told if "EXTEND" in each], "this is no start of a unit")

    def test_nothing_to_ask_is_healthy(self):
        self.check(self.wait("--pid", 0), 0, out="nothing is asked")

    def test_a_configuration_that_is_wrong(self):
        self.one_line(self.tool("health-wait", "--app", "other"), 78, "other.conf")
        self.configure("[app]\nunti = x\n")
        self.one_line(self.wait(), 78, "demo.conf:2")

    def test_options_for_a_url_do_not_go_with_an_app(self):
        for arguments in (("--expect-status", "200"), ("-k",), ("--unit", "x")):
            self.one_line(self.wait(*arguments), 2, "does not go with --app")

    def test_a_failure_is_recorded_while_a_candidate_is_live(self):
        self.release("v1", "v2")
        self.deploy("v1")
        self.configure_check("http://127.0.0.1:1/")
        self.check(self.wait("-t", "1s", "--pid", 0), 124)
        self.assertEqual(self.failure(), "")
        self.check(self.tool("atomic-link", "--app", "demo", "v2"), 0)
        self.check(self.wait("-t", "1s", "--pid", 0), 124)
        self.assertIn("api: nothing listens on 127.0.0.1:1", self.failure())


if __name__ == "__main__":
    unittest.main()
