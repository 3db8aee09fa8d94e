"""preflight: certificates of files and servers, and talking TCP."""

import json
import socket
import threading
import unittest
from contextlib import contextmanager

from cli import AppTest
from web import Web, make_certificate


@contextmanager
def redis(answer):
    """Something on a port of this machine that answers each PING."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        def serve():
            while True:
                try:
                    client = listener.accept()[0]
                except OSError:  # it is over
                    return
                with client:
                    if client.recv(6) == b"PING\r\n":
                        client.sendall(answer)
                        client.recv(1)

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield listener.getsockname()[1]
        finally:
            listener.shutdown(socket.SHUT_RDWR)
            thread.join()


class Talking(AppTest):
    def ask(self, *lines):
        """The one check `a`, as --json has it, and the exit status."""
        self.configure("\n".join(["[app]", f"link = {self.link}", f"releases = {self.releases}", "[check a]", *lines, ""]))
        result = self.tool("preflight", "--app", "demo", "--only", "a", "--json")
        (told,) = json.loads(result.out)["checks"]
        return told, result.status

    def test_a_certificate_with_60_days_left(self):
        certificate, _ = make_certificate(self.scratch, days=60)
        told, status = self.ask(f"certificate = {certificate}")
        self.assertEqual((told["verdict"], status), ("ok", 0))
        self.assertRegex(told["message"], rf"^{certificate}: localhost valid until \d{{4}}-\d\d-\d\d \(in (59|60)d\)$")
        self.assertGreater(told["figures"]["valid-for"], 59 * 86400)

    def test_a_certificate_with_10_days_left(self):
        certificate, _ = make_certificate(self.scratch, days=10)
        told, status = self.ask(f"certificate = {certificate}")
        self.assertEqual((told["reason"], status), ("expires", 1))
        self.assertRegex(told["message"], r": localhost expires on \d{4}-\d\d-\d\d, in (9d 23h|10d): less than 14d$")
        self.assertEqual(self.ask(f"certificate = {certificate}", "valid-for = 7d")[1], 0)

    def test_a_server(self):
        certificate, key = make_certificate(self.scratch, days=60)
        with Web(tls=(certificate, key)) as web:
            place = f"localhost:{web.port}"
            self.assertEqual(self.ask(f"certificate = {place}", f"cacert = {certificate}")[1], 0)
            self.assertEqual(self.ask(f"certificate = {place}", f"cacert = {certificate}", "valid-for = 90d")[0]["reason"], "expires")
            self.assertEqual(self.ask(f"certificate = {place}", f"cacert = {certificate}", "server-name = other")[0]["reason"], "name")
            self.assertEqual(self.ask(f"certificate = {place}")[0]["reason"], "untrusted")
            self.assertEqual(self.ask(f"certificate = {place}", "insecure = yes")[1], 0)
        self.assertEqual(self.ask(f"certificate = {place}")[0]["reason"], "refused")

    def test_a_redis_ping(self):
        with redis(b"+PONG\r\n") as port:
            told, status = self.ask(f"tcp = 127.0.0.1:{port}", r"send = PING\r\n", "expect = +PONG")
            self.assertEqual((told["message"], status), (f"127.0.0.1:{port}: answered '+PONG'", 0))
            self.assertGreater(told["figures"]["latency"], 0)
        with redis(b"-NOAUTH Authentication required.\r\n") as port:
            told, status = self.ask(f"tcp = 127.0.0.1:{port}", r"send = PING\r\n", "expect = +PONG", "timeout = 2s")
            self.assertEqual((told["reason"], status), ("timeout", 1))
            self.assertIn("'+PONG' did not come within 2s (34 bytes came: '-NOAUTH", told["message"])

    def test_wrong_values(self):
        for lines, problem in (
            (["tcp = 127.0.0.1:1", r"send = PING\q"], r"demo.conf:6: send: '\q' begins with no escape"),
            (["tcp = udp:53"], "demo.conf:5: tcp"),
            (["certificate = x.pem"], "demo.conf:5: certificate"),
            (["certificate = /x.pem", "insecure = yes"], "demo.conf:6: insecure: is of use for HOST:PORT only"),
        ):
            self.configure("\n".join(["[app]", f"link = {self.link}", f"releases = {self.releases}", "[check a]", *lines, ""]))
            self.one_line(self.tool("preflight", "--app", "demo"), 78, problem)


if __name__ == "__main__":
    unittest.main()
