"""A platform's router in front of the service, like Heroku's: it ends TLS and sends the address of the client."""

import http.client
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread


@contextmanager
def routed(port: int, client: str) -> Iterator[int]:
    """The port of a router that forwards to that one, whose every caller has the address `client`."""

    class Handler(BaseHTTPRequestHandler):
        def forward(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"] or 0))
            claimed = self.headers.get_all("X-Forwarded-For", [])
            del self.headers["X-Forwarded-For"], self.headers["X-Forwarded-Proto"]
            self.headers["X-Forwarded-For"] = ", ".join([*claimed, client])
            self.headers["X-Forwarded-Proto"] = "https"
            self.answer(body)

        def answer(self, body: bytes) -> None:
            connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
            connection.request(self.command, self.path, body, dict(self.headers))
            response = connection.getresponse()
            content = response.read()
            self.send_response_only(response.status)
            for name, value in response.getheaders():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(content)
            connection.close()

        do_GET = do_POST = do_DELETE = forward  # noqa: N815, http.server's names

        def log_message(self, *_: object) -> None:
            """A test's output is its own."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as router:
        serving = Thread(target=router.serve_forever, args=(0.05,))
        serving.start()
        try:
            yield router.server_port
        finally:
            router.shutdown()
            serving.join()
