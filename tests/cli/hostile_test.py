"""health-wait against servers that mean no good: each answer ends in time, with a sentence, in bounded memory."""

import gzip
import json
import os
import random
import re
import select
import signal
import socket
import ssl
import subprocess
import sys
import threading
import time
import unittest

from cli import TOOLS, CliTest
from web import Web, json_answer, make_certificate

IN_TIME = 40  # seconds, for a machine that is busy with other tests; each hostile answer would last for ever
ATTEMPT = "20s"  # where something else than the time is the reason
LATE = "2s"  # where the time is: what must come before it is up does come, on such a machine, too
MEMORY = 64 << 20
SANITIZED = b"__asan_init" in (TOOLS / "health-wait").read_bytes()  # its own memory is without measure
OK = b"HTTP/1.1 200 OK\r\n"


class Raw:
    """A server that says what `say(connection)` says, once a request has been read."""

    def __init__(self, say, tls=None, alpn=()):
        self.say = say
        self.requests = []
        self.over = threading.Event()
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}/"
        self.context = None
        if tls:
            self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            self.context.load_cert_chain(*tls)
            self.context.set_alpn_protocols(list(alpn))
        self.threads = []

    def __enter__(self):
        self.start(self.accept)
        return self

    def __exit__(self, *failure):
        self.over.set()
        self.listener.shutdown(socket.SHUT_RDWR)
        for thread in self.threads:  # the first one adds no more once it has ended
            thread.join()
        self.listener.close()

    def start(self, what, *arguments):
        thread = threading.Thread(target=what, args=arguments)
        self.threads.append(thread)
        thread.start()

    def accept(self):
        while not self.over.is_set():
            try:
                connection = self.listener.accept()[0]
            except OSError:
                return
            self.start(self.serve, connection)

    def serve(self, connection):
        connection.settimeout(IN_TIME)
        try:
            if self.context:
                connection = self.context.wrap_socket(connection, server_side=True)
            with connection:
                request = b""
                while b"\r\n\r\n" not in request:
                    request += connection.recv(4096) or b"\r\n\r\n"
                self.requests.append(request)
                self.say(connection)
                connection.shutdown(socket.SHUT_WR)
                while connection.recv(4096):
                    pass
        except OSError:
            connection.close()  # a client that leaves is what these tests are about

    def for_ever(self, connection, piece, pause=0.0):
        while not self.over.wait(pause):
            connection.sendall(piece)


def hostile(say, **options):
    """`say` is given the server, too."""
    server = Raw(lambda connection: say(connection, server), **options)
    return server


# Runs the rest of its arguments and writes how much memory that had. A small process between the test and the tool: what is
# counted begins with the memory of who starts it (getrusage(2) after fork(2)), and the servers of these tests have theirs.
MEASURED = """
import os, sys
pid = os.posix_spawn(sys.argv[2], sys.argv[2:], os.environ)
status, used = os.wait4(pid, 0)[1:]
open(sys.argv[1], "w").write(str(used.ru_maxrss))
os._exit(os.waitstatus_to_exitcode(status) % 256)
"""


class Hostile(CliTest):
    def ask(self, url, *options):
        """(status, the object that --json prints, stderr)"""
        with open(self.scratch / "out", "w+") as out, open(self.scratch / "err", "w+") as err:
            start = time.monotonic()
            process = subprocess.Popen(
                [sys.executable, "-IS", "-c", MEASURED, self.scratch / "memory", TOOLS / "health-wait", "--json", "--attempts", "1", "--attempt-timeout", ATTEMPT, *options, url],
                stdin=subprocess.DEVNULL, stdout=out, stderr=err, env={**os.environ, "MAINPID": ""},
                start_new_session=True)
            pidfd = os.pidfd_open(process.pid)
            try:
                ended = select.select([pidfd], [], [], IN_TIME)[0]
            finally:
                os.close(pidfd)
            if not ended:
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            self.assertTrue(ended, f"not ended after {time.monotonic() - start:.1f} s")
            if not SANITIZED:
                self.assertLess(int((self.scratch / "memory").read_text()) << 10, MEMORY)
            out.seek(0)
            err.seek(0)
            said = err.read()
            return process.returncode, json.loads(out.read()), said

    def no(self, url, reason, words, *options, status=1):
        """A no for this reason, with these words (a regular expression) behind the URL."""
        code, told, said = self.ask(url, *options)
        check = told["checks"][0]
        self.assertEqual((code, check["ok"], check["reason"]), (status, False, reason), told)
        # Where all is several times slower, the check may be late to say itself what took so long.
        if SANITIZED and re.fullmatch("no answer within [0-9a-z]+, and it still hangs", check["message"]):
            return check["message"]
        self.assertRegex(check["message"], "^" + re.escape(url) + ": " + words, told)
        self.assertLess(len(said), 1000)
        return check["message"]

    def yes(self, url, *options):
        code, told, said = self.ask(url, *options)
        self.assertEqual((code, told["checks"][0]["reason"]), (0, "ok"), (told, said))


JSON = ("--expect-json", '.status == "healthy"')
PROGRAM = ("--expect-json", "[.status] | length > 0")  # which needs jq's interpreter


class Bodies(Hostile):
    def test_a_body_without_end(self):
        def say(connection, server):
            connection.sendall(OK + b"\r\n")
            server.for_ever(connection, b"x" * 65536)

        with hostile(say) as server:
            for expected in (JSON, PROGRAM, ("--expect-body", "healthy")):
                self.no(server.url, "too-large", "200, but its body is longer than 1M$", *expected)
            self.yes(server.url)  # where nobody looks at the body

    def test_a_chunk_without_end(self):
        def say(connection, server):
            connection.sendall(OK + b"Transfer-Encoding: chunked\r\n\r\nfffffffffff\r\n")
            server.for_ever(connection, b"x" * 65536)

        with hostile(say) as server:
            self.no(server.url, "too-large", "200, but its body is longer than 1M$", *JSON)

    def test_one_byte_a_second(self):
        def say(connection, server):
            connection.sendall(OK + b"Content-Length: 100\r\n\r\nx")
            server.for_ever(connection, b"x", pause=1)

        with hostile(say) as server:
            self.no(server.url, "timeout", rf"200, but the answer did not end within {LATE} \(\d bytes of its body came\)$",
                    "--attempt-timeout", LATE)

    def test_headers_a_byte_a_second(self):
        def say(connection, server):
            server.for_ever(connection, b"H", pause=1)

        with hostile(say) as server:
            self.no(server.url, "timeout", f"connected, but no answer within {LATE}$", "--attempt-timeout", LATE)

    def test_what_is_compressed_without_having_been_asked_for_is_bytes(self):
        bomb = gzip.compress(b" " * (10 << 20) + b'{"status": "healthy"}')
        with Web((200, {"Content-Encoding": "gzip"}, bomb)) as web:
            self.no(web.url, "json", "200, but the body is not JSON", *JSON)
            self.no(web.url, "body", rf"200, but its body of {len(bomb)} bytes does not match 'healthy'$",
                    "--expect-body", "healthy")
            self.assertNotIn("Accept-Encoding", web.requests[0][2])

    def test_json_of_100_mb(self):
        def say(connection, _):
            connection.sendall(OK + b"Content-Length: 100000000\r\n\r\n[0")
            for _ in range(1000):
                connection.sendall(b",1" * 50000)

        with hostile(say) as server:
            self.no(server.url, "too-large", "200, but its body is longer than 1M$", *JSON)

    def test_json_that_is_none(self):
        for text, words in (("", "it is empty"), ("<html>", "line 1, column 1: .*"), ('{"status": "healthy"', "line 1, .*"),
                            ('{"status": "healthy"} {}', "line 1, .*"), ("NaN", "line 1, .*"),
                            ('{"status": "healthy"}\0{', "byte 22 is NUL"), ("\0" * 1000000, "byte 1 is NUL"),
                            ("[" * 10000 + "]" * 10000, "more than 256 levels deep"),
                            ("[" * 1000000, "more than 256 levels deep"), ('{"a":' * 100000, "more than 256 levels deep"),
                            ("1e999", "it holds a number that is out of range"), ("9" * 1000000, "it holds a number .*"),
                            ('"' + "x" * 1000000, "line 1, .*")):
            with Web(json_answer(text)) as web:
                for expected in (JSON, PROGRAM):
                    with self.subTest(text[:30], expected=expected):
                        message = self.no(web.url, "json", rf"200, but the body is not JSON \({words}\)$", *expected)
                        self.assertLess(len(message), 250)

    @unittest.skipIf(SANITIZED, "memory cannot be limited then")
    def test_json_that_takes_much_memory(self):
        with Web(json_answer("[[]" + ",[]" * 300000 + "]")) as web:
            for expected in (JSON, PROGRAM):
                self.no(web.url, "memory", rf"200, but the filter `{re.escape(expected[1])}` needs more than 32M of memory "
                        r"for its body of 87\d\.?\d*K$", *expected)

    def test_a_large_answer_that_is_well(self):
        items = ",".join('{"id": %d, "name": "some name", "tags": ["a", "b"]}' % i for i in range(15000))
        with Web(json_answer('{"status": "healthy", "items": [' + items + "]}")) as web:
            for expected in (JSON, PROGRAM, ("--expect-body", "status.*healthy.*14999")):
                self.yes(web.url, *expected)


class Headers(Hostile):
    def test_headers_without_end(self):
        def say(connection, _):
            connection.sendall(OK)
            for _ in range(10000):
                connection.sendall(b"X-Filler: " + b"x" * 1000 + b"\r\n")
            connection.sendall(b"Content-Length: 0\r\n\r\n")

        with hostile(say) as server:
            self.no(server.url, "too-large", r"the headers of the answer do not end \(25\d(\.\d)?K and more\)$")

    def test_a_thousand_redirects(self):
        def say(connection, server):
            connection.sendall(f"HTTP/1.1 302 X\r\nLocation: /{len(server.requests)}\r\nContent-Length: 0\r\n"
                               "Connection: close\r\n\r\n".encode())

        with hostile(say) as server:
            self.no(server.url, "redirects", "more than 10 redirects$", "-L")
            self.assertEqual(len(server.requests), 11)

    def test_a_redirect_to_a_file(self):
        with Web((302, {"Location": "file:///etc/passwd"}, b"")) as web:
            self.no(web.url, "redirects", "302, a redirect to something that is not HTTP", "-L")
            self.no(web.url, "status", "302 to file:///etc/passwd, expected 200-299$")

    def test_a_first_line_that_is_none(self):
        for line in (b"HTTP/1.1 2000 OK", b"HTTP/1.1 20 OK", b"HTTP/1.1 200OK"):
            with hostile(lambda connection, _: connection.sendall(line + b"\r\nContent-Length: 0\r\n\r\n")) as server:
                self.no(server.url, "protocol", "what answers does not speak HTTP ")

    def test_http_0_9(self):
        with hostile(lambda connection, _: connection.sendall(b"<html>all is well</html>")) as server:
            self.no(server.url, "protocol", "what answers does not speak HTTP ")


class Silence(Hostile):
    def test_closed_at_once(self):
        with hostile(lambda *_: None) as server:
            self.no(server.url, "closed", "the connection was closed without an answer$")

    def test_an_answer_after_the_deadline(self):
        def say(connection, _):
            connection.recv(1)  # until the client has left
            connection.sendall(OK + b"Content-Length: 0\r\n\r\n")

        with hostile(say) as server:
            self.no(server.url, "timeout", f"connected, but no answer within {LATE}$", "--attempt-timeout", LATE)


class Expressions(Hostile):
    def test_a_filter_that_loops_for_ever(self):
        with Web(json_answer("{}")) as web:
            for loop in ("last(range(1; infinite))", "def f: f; f", "[.. | 1] | until(false; .)"):
                with self.subTest(loop):
                    self.no(web.url, "timeout", rf"200, but the filter `{re.escape(loop)}` did not end within {LATE}$",
                            "--expect-json", loop, "--attempt-timeout", LATE)

    @unittest.skipIf(SANITIZED, "memory cannot be limited then")
    def test_a_filter_that_eats_memory(self):
        with Web(json_answer("{}")) as web:
            for eater in ("[range(1; infinite)]", '"x" * (1000000000 + length)', "last(foreach range(1; infinite) as $i ([]; . + [.]))"):
                with self.subTest(eater):
                    self.no(web.url, "memory",
                            rf"200, but the filter `{re.escape(eater)}` needs more than 32M of memory for its body of 2B$",
                            "--expect-json", eater)

    def processes_with(self, word):
        """The processes in whose command line it is."""
        found = []
        for folder in filter(str.isdigit, os.listdir("/proc")):
            try:
                with open(f"/proc/{folder}/cmdline", "rb") as file:
                    if word in file.read():
                        found.append(folder)
            except OSError:
                pass  # it has ended meanwhile
        return found

    def test_the_process_of_a_filter_ends_with_the_tool(self):
        with Web(json_answer("{}")) as web:
            mark = f"{random.getrandbits(60)}"
            self.no(web.url, "timeout", ".* did not end", "--expect-json", f"{mark} | last(range(1; infinite))",
                    "--attempt-timeout", LATE)
            over = time.monotonic() + IN_TIME  # the kernel ends it, in its own time
            while found := self.processes_with(mark.encode()):
                self.assertLess(time.monotonic(), over, found)
                time.sleep(0.01)

    def test_expressions_that_others_take_for_ever_for(self):
        with Web((200, {"X-App": "a" * 60000}, b"a" * 1000000)) as web:
            for pattern in ("(a+)+$b", "(.*a){20}c", "^(a|a)*c", "a.*c"):
                with self.subTest(pattern):
                    self.no(web.url, "body", "200, but its body of 1000000 bytes does not match ", "--expect-body",
                            pattern)
                    self.no(web.url, "header", "200, but the header x-app is 'aaa.*, which does not match ",
                            "--expect-header", f"X-App: {pattern}")

    def test_an_expression_that_begins_anew_at_each_byte(self):
        pattern = "a.*c|^b"
        words = rf": whether it matches '{re.escape(pattern)}' could not be told within {LATE}$"
        with Web((200, {"X-App": "a" * 60000}, b"a" * 1000000)) as web:
            self.no(web.url, "timeout", "200, but its body of 1000000 bytes" + words, "--expect-body", pattern,
                    "--attempt-timeout", LATE)

    @unittest.skipIf(SANITIZED, "memory cannot be limited then")
    def test_an_expression_with_a_state_for_each_byte(self):
        chance = random.Random(1)
        text = bytes(chance.choice(b"ab") for _ in range(60000))
        pattern = "(a|b)*a(a|b){100}c"
        words = rf": it takes more than 32M of memory to tell whether it matches '{re.escape(pattern)}'$"
        with Web((200, {"X-App": text.decode()}, text)) as web:
            self.no(web.url, "memory", "200, but its body of 60000 bytes" + words, "--expect-body", pattern)
            self.no(web.url, "memory", "200, but the header x-app" + words, "--expect-header", f"X-App: {pattern}")

    def test_expressions_that_take_long_to_compile_are_wrong_usage(self):
        for pattern in ("(" * 5000 + "a" + "*)" * 5000, "(a?){9999}", "((((a+)+)+)+)+" * 20, "((a{255}){255}){255}"):
            with self.subTest(pattern[:20]):
                done = subprocess.run([TOOLS / "health-wait", "--expect-body", pattern, "http://127.0.0.1:1/"],
                                      capture_output=True, text=True, timeout=IN_TIME)
                self.assertEqual(done.returncode, 2, done)
                self.assertIn("is not a regular expression (", done.stderr)


def expired_certificate(folder):
    """(certificate, key) for localhost, of a January long ago."""
    key = folder / "expired.key"
    request = folder / "expired.csr"
    (folder / "index.txt").write_text("")
    (folder / "ca.cnf").write_text(
        f"[ca]\ndefault_ca = x\n[x]\ndatabase = {folder}/index.txt\nnew_certs_dir = {folder}\nrand_serial = yes\n"
        "default_md = sha256\npolicy = any\ncopy_extensions = copy\n[any]\ncommonName = supplied\n")
    subprocess.run(["openssl", "req", "-new", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout",
                    key, "-out", request, "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost"],
                   check=True, capture_output=True)
    subprocess.run(["openssl", "ca", "-batch", "-selfsign", "-config", folder / "ca.cnf", "-keyfile", key, "-in", request,
                    "-out", folder / "expired.pem", "-startdate", "20200101000000Z", "-enddate", "20200131000000Z"],
                   check=True, capture_output=True)
    return folder / "expired.pem", key


class Certificates(Hostile):
    def refused(self, words, tls, *options, host="localhost"):
        with Web(tls=tls) as web:
            self.no(f"https://{host}:{web.port}/", "tls", f"TLS: .*{words}", *options)

    def test_each_is_refused_with_what_is_wrong_with_it(self):
        self.refused("certificate has expired", tls := expired_certificate(self.scratch), "--cacert", tls[0])
        tls = make_certificate(self.scratch)
        self.refused("self-signed certificate", tls)
        self.refused("127.0.0.1", tls, "--cacert", tls[0], host="127.0.0.1")
        other = make_certificate(self.scratch, name="example.org")
        self.refused("name.* matches target host ?name 'localhost'", other, "--cacert", other[0])


FRAME_DATA, FRAME_HEADERS, FRAME_SETTINGS = 0, 1, 4
END_STREAM, END_HEADERS, ACK = 1, 4, 1


def frame(kind, flags, stream, payload=b""):
    """RFC 9113, section 4.1."""
    return len(payload).to_bytes(3, "big") + bytes([kind, flags]) + stream.to_bytes(4, "big") + payload


class Protocols(Hostile):
    def test_http_2_where_tls_agrees_on_it(self):
        def say(connection, _):
            connection.sendall(frame(FRAME_SETTINGS, 0, 0) + frame(FRAME_SETTINGS, ACK, 0))
            status_200 = b"\x88"  # RFC 7541, appendix A: index 8
            connection.sendall(frame(FRAME_HEADERS, END_HEADERS, 1, status_200) +
                               frame(FRAME_DATA, END_STREAM, 1, b'{"status": "healthy"}'))

        tls = make_certificate(self.scratch)
        with hostile(say, tls=tls, alpn=("h2",)) as server:
            self.yes(f"https://localhost:{server.port}/", "--cacert", tls[0], *JSON)
            self.assertTrue(server.requests[0].startswith(b"PRI * HTTP/2.0\r\n"), server.requests)

    def test_http_1_without_tls_and_where_the_server_wants_it(self):
        def say(connection, _):
            connection.sendall(OK + b"Content-Length: 0\r\nConnection: close\r\n\r\n")

        tls = make_certificate(self.scratch)
        with hostile(say, tls=tls, alpn=("http/1.1",)) as server:
            self.yes(f"https://localhost:{server.port}/", "--cacert", tls[0])
            self.assertTrue(server.requests[0].startswith(b"GET / HTTP/1.1\r\n"), server.requests)
        with hostile(say) as server:
            self.yes(server.url)
            self.assertNotIn(b"Upgrade", server.requests[0])


class Reasons(Hostile):
    def test_each_kind_of_no_has_a_reason_and_a_sentence_of_its_own(self):
        tls = make_certificate(self.scratch)
        with Web(json_answer('{"status": "unhealthy"}')) as web, Web(tls=tls) as secret, socket.socket() as bound, \
                hostile(lambda connection, server: server.over.wait(IN_TIME)) as silent:
            bound.bind(("127.0.0.1", 0))
            closed = f"http://127.0.0.1:{bound.getsockname()[1]}/"
            told = [self.no(*case) for case in (
                (f"https://localhost:{secret.port}/", "tls", "TLS: "),
                (web.url, "status", "200, expected 404$", "--expect-status", "404"),
                (web.url, "header", "200, but the header x-app is missing, expected 'demo'$", "--expect-header",
                 "X-App: demo"),
                (web.url, "body", "200, but its body of 23 bytes does not match 'well'$", "--expect-body", "well"),
                (web.url, "json", r'200, but \.status == "healthy" gave false \(it is "unhealthy"\)$', *JSON),
                (web.url, "latency", "200, but after .*, more than 1us$", "--max-latency", "1us"),
                (silent.url, "timeout", f"connected, but no answer within {LATE}$", "--attempt-timeout", LATE),
            )]
            # A port of this machine that nobody listens on is seen before anything is sent there, but not behind a
            # redirect. Where nobody answered, no attempt is used up.
            with Web((302, {"Location": closed}, b"")) as elsewhere:
                told.append(self.no(elsewhere.url, "refused", "connection refused by 127.0.0.1$", "-L"))
            told.append(self.no("http://nothing.invalid/", "dns", "the name 'nothing.invalid' has no address$", "-t", "4s",
                                status=124))
            _, waiting, _ = self.ask(closed, "-t", "2s")
            self.assertEqual(waiting["checks"][0]["reason"], "not-listening")
            self.assertEqual(len({message.split(": ", 1)[1] for message in told}), len(told))


if __name__ == "__main__":
    unittest.main()
