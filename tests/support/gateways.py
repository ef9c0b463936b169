"""Gateways that ask the service before they let a request pass: nginx by `auth_request`, Apache by introspection."""

import json
import os
import subprocess
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from werkzeug import Request, Response
from werkzeug.serving import make_server

from .api import send_to_server
from .guide import blocks
from .programs import missing, program
from .servers import free_port

APACHE_MODULES = Path("/usr/lib/apache2/modules")


class Upstream:
    """The application behind a gateway. It answers with the headers that it was sent, as JSON."""

    def __init__(self) -> None:
        self.requests = 0

    def __call__(self, environ: Any, start_response: Any) -> Any:
        self.requests += 1
        headers = {name.lower(): value for name, value in Request(environ).headers.items()}
        return Response(json.dumps(headers))(environ, start_response)


@contextmanager
def running(application: Any) -> Iterator[int]:
    """The port at which the application is served."""
    with make_server("127.0.0.1", free_port(), application, threaded=True) as server:
        thread = threading.Thread(target=server.serve_forever, args=[0.05])
        thread.start()
        try:
            yield server.port
        finally:
            server.shutdown()
            thread.join()


@contextmanager
def asking_nginx(home: Path, upstream: int, service: int) -> Iterator[int]:
    """The port of an nginx with the configuration of docs/integrate.md, for these two ports."""
    [locations] = blocks("nginx")
    with nginx(home, locations.replace("9000", str(upstream)).replace("8080", str(service))) as port:
        yield port


@contextmanager
def nginx(home: Path, locations: str) -> Iterator[int]:
    """The port of an nginx with these locations."""
    port = free_port()
    folders = " ".join(f"{name}_temp_path {home};" for name in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi"))
    (home / "nginx.conf").write_text(
        f"daemon off; master_process off; pid {home}/pid; error_log stderr; events {{}} "
        f"http {{ access_log off; {folders} server {{ listen 127.0.0.1:{port};\n{locations} }} }}"
    )
    with started([program("nginx", "nginx-light"), "-p", home, "-c", home / "nginx.conf"], port):
        yield port


APACHE = """
ServerRoot {home}
ServerName localhost
Listen 127.0.0.1:{port}
PidFile {home}/pid
ErrorLog {home}/log
DefaultRuntimeDir {home}
Mutex posixsem
User nobody
Group nogroup
{modules}
OIDCOAuthServerMetadataURL {issuer}/.well-known/oauth-authorization-server
OIDCOAuthClientID {client_id}
OIDCOAuthClientSecret {client_secret}
OIDCClaimPrefix X-Claim-
<Location />
  AuthType oauth20
  OIDCOAuthTokenIntrospectionInterval -1
  Require valid-user
  ProxyPass http://127.0.0.1:{upstream}/
</Location>
<Location /files>
  <RequireAll>
    Require valid-user
    Require claim aud:files:read
  </RequireAll>
</Location>
"""


@contextmanager
def apache(home: Path, upstream: int, **settings: str) -> Iterator[int]:
    """The port of an Apache whose mod_auth_openidc introspects each token, and caches no answer."""
    server = program("apache2", "libapache2-mod-auth-openidc")
    if not (APACHE_MODULES / "mod_auth_openidc.so").exists():
        missing("mod_auth_openidc: apt-get install libapache2-mod-auth-openidc")
    port = free_port()
    names = ("mpm_event", "authn_core", "authz_core", "authz_user", "auth_openidc", "proxy", "proxy_http")
    modules = "\n".join(f"LoadModule {name}_module {APACHE_MODULES}/mod_{name}.so" for name in names)
    configuration = APACHE.format(home=home, port=port, modules=modules, upstream=upstream, **settings)
    (home / "apache.conf").write_text(configuration)
    with started([server, "-X", "-f", home / "apache.conf"], port):
        yield port


@contextmanager
def started(command: Sequence[str | Path], port: int) -> Iterator[None]:
    process = subprocess.Popen(command, env={"PATH": os.environ["PATH"]}, stderr=subprocess.DEVNULL)
    try:
        wait_for(port, process)
        yield
    finally:
        process.terminate()
        process.wait(30)


def wait_for(port: int, process: subprocess.Popen[bytes]) -> None:
    for _ in range(600):
        with suppress(OSError):
            send_to_server(port)("GET", "/", {}, None)
            return
        assert process.poll() is None, "the gateway did not start"
        time.sleep(0.05)
    raise AssertionError("the gateway did not answer")
