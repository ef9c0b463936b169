"""`make run`: the service on an embedded PostgreSQL, with accounts to log in by."""

import json
import os
import signal
import socket
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from tempfile import NamedTemporaryFile

import psycopg
from cryptography.fernet import Fernet
from gunicorn.app.wsgiapp import WSGIApplication

from auth.cli import keys, migrations
from auth.cli.common import DirectDatabase
from auth.config import Misconfigured, from_environment, read
from auth.core import limits, passwords, refresh_tokens
from auth.core.errors import DatabaseUnavailable
from dev.database import HOME, running

WELCOME = """
The service is at {address}. Paste these lines into another terminal:

export AUTH={address}
export USER_PASSWORD={user}
export ADMIN_PASSWORD={admin}
export DEMO_REFRESH_TOKEN={service}

Then try:

curl -s -H 'Accept: application/json' $AUTH/auth/login \\
  -d username=user@dev -d password=$USER_PASSWORD -d service=app
curl -s -X POST $AUTH/auth/refresh -H "Authorization: Bearer $DEMO_REFRESH_TOKEN"

docs/walkthrough.md goes on from here. Ctrl-C stops the service and its database.
"""


class Service(WSGIApplication):  # type: ignore[misc]
    """gunicorn, which prints how to log in when it is ready."""

    welcome = ""

    def load_config(self) -> None:
        super().load_config()
        self.cfg.set("when_ready", self._ready)

    def _ready(self, _: object) -> None:
        signal.signal(signal.SIGHUP, lambda *_: os.kill(os.getpid(), signal.SIGTERM))  # the terminal was closed
        print(self.welcome, flush=True)


def main() -> None:
    """Serve until Ctrl-C. After a kill, the next run uses the same database."""
    try:
        with running() as database_url:
            _serve(database_url)
    except (Misconfigured, DatabaseUnavailable, OSError, RuntimeError) as problem:
        sys.exit(str(problem))
    except KeyboardInterrupt:
        sys.exit(130)


def _serve(database_url: str) -> None:
    port = read(os.environ, "PORT")["PORT"]
    address = f"http://localhost:{port}"
    key = _kept("signing-key.pem", lambda: keys.generate_private_key("ES256"))
    second_factor_key = _kept("second-factor-key", lambda: Fernet.generate_key().decode())
    defaults = {"TRUSTED_ORIGINS": address, "COOKIE_SECURE": "0", "LOG_LEVEL": "warning"}
    defaults["SECOND_FACTOR_KEYS"] = second_factor_key
    os.environ |= {name: value for name, value in defaults.items() if not {name, f"{name}_FILE"} & {*os.environ}}
    os.environ |= {"DATABASE_URL": database_url, "JWT_PRIVATE_KEY": key}
    os.environ |= {"DATABASE_URL_FILE": "", "JWT_PRIVATE_KEY_FILE": ""}
    from_environment()
    _wait_for_port(port)
    migrations.migrate(DirectDatabase(database_url))
    Service.welcome = WELCOME.format(address=address, **_demo(database_url, address))
    sys.argv = ["gunicorn", "--bind", f"127.0.0.1:{port}", "--graceful-timeout", "5", "app:app"]
    Service("%(prog)s [OPTIONS] [APP_MODULE]").run()


def _wait_for_port(port: int) -> None:
    """The workers of a killed service keep the port for some more seconds."""
    for _ in range(50):
        with suppress(OSError), socket.create_server(("127.0.0.1", port)):
            return
        time.sleep(0.1)
    raise RuntimeError(f"Port {port} is in use. Another one: PORT=9000 make run")


def _demo(database_url: str, address: str) -> dict[str, str]:
    """Recreate the demo accounts. Returns their credentials, the same ones on every run."""
    names = ("user", "admin", "service")
    made = _kept("demo.json", lambda: json.dumps({name: refresh_tokens.generate() for name in names}))
    secret: dict[str, str] = json.loads(made)
    with psycopg.connect(database_url) as connection:
        values = {
            "user_hash": passwords.hash_password(secret["user"]),
            "admin_hash": passwords.hash_password(secret["admin"]),
            "token_hash": refresh_tokens.digest(secret["service"]),
            "access_token_lifetime_ms": limits.ACCESS_TOKEN_MS,
            "endpoint": f"{address}/livez",
        }
        connection.execute((Path(__file__).parent / "demo.sql").read_bytes(), values)
    return secret


def _kept(name: str, make: Callable[[], str]) -> str:
    """The text of the file. The first run creates it, atomically, and readable by its owner only."""
    path = HOME / name
    if not path.exists():
        with NamedTemporaryFile("w", dir=HOME, delete=False) as fresh:
            fresh.write(make())
        os.rename(fresh.name, path)
    return path.read_text()


if __name__ == "__main__":
    main()
