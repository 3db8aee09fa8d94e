"""A web server for tests, in this process: it answers what the test says and keeps what it was asked."""

import http.server
import socket
import socketserver
import ssl
import subprocess
import threading


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def respond(self):
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self.server.web.requests.append((self.command, self.path, self.headers, body))
        status, headers, content = self.server.web.next_answer()
        self.send_response(status)
        for name, value in {"Content-Length": len(content), "Connection": "close", **headers}.items():
            self.send_header(name, str(value))
        self.end_headers()
        self.wfile.write(content)

    do_GET = do_POST = do_PUT = respond

    def log_message(self, *arguments):
        pass


class Server(socketserver.ThreadingMixIn, http.server.HTTPServer):
    daemon_threads = True
    request_queue_size = 64

    def handle_error(self, request, client_address):
        pass  # a client that leaves early is its own affair


class UnixServer(Server):
    address_family = socket.AF_UNIX

    def server_bind(self):
        socketserver.TCPServer.server_bind(self)

    def get_request(self):
        return self.socket.accept()[0], ("unix", 0)


class Web:
    """`answers`: (status, headers, body), one after the other; the last one is for all that follow."""

    def __init__(self, *answers, host="127.0.0.1", port=0, path=None, tls=None):
        self.answers = list(answers) or [(200, {}, b"ok")]
        self.requests = []
        self.server = UnixServer(str(path), Handler) if path else Server((host, port), Handler)
        self.server.web = self
        if tls:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(*tls)
            self.server.socket = context.wrap_socket(self.server.socket, server_side=True)
        self.thread = threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.01})
        self.thread.start()

    def __enter__(self):
        return self

    def __exit__(self, *failure):
        self.server.shutdown()
        self.server.server_close()
        self.thread.join()

    def next_answer(self):
        return self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]

    @property
    def port(self):
        return self.server.server_address[1]

    @property
    def url(self):
        return f"http://127.0.0.1:{self.port}/"


def json_answer(text, status=200):
    return status, {"Content-Type": "application/json"}, text.encode()


def make_certificate(folder, name="localhost", days=2):
    """A self-signed certificate for `name`: (certificate, key)."""
    certificate, key = folder / f"{name}.pem", folder / f"{name}.key"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
         "-keyout", key, "-out", certificate, "-days", str(days), "-subj", f"/CN={name}",
         "-addext", f"subjectAltName=DNS:{name}"],
        check=True, capture_output=True)
    return certificate, key
