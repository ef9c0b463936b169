"""`make run`: the service on an embedded PostgreSQL, with somebody to log in as."""

import json
import os
import secrets
import signal
import socket
import sys
from pathlib import Path
from typing import Any, Final

from gunicorn.app.wsgiapp import WSGIApplication

from auth.config import Misconfigured, from_environment
from auth.core import refresh_tokens
from auth.core.errors import DatabaseUnavailable
from auth.core.keys import generate_private_key
from auth.core.limits import ACCESS_TOKEN_MS
from auth.core.models import Role
from auth.core.passwords import hash_password
from auth.core.scopes import ALL_WRITE
from auth.db import DirectDatabase
from auth.migrations import migrate
from dev.embedded import HOME, EmbeddedPostgres, locked

TAKEOVER_SECONDS: Final = 5  # in which a killed service's workers notice, and let go of what they hold
USERS: Final = {"user@dev": Role.USER, "admin@dev": Role.ADMIN}
SERVICE: Final = "_demo"
SERVICE_SCOPES: Final = ("files:write", "jobs:write")

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
    """gunicorn for the developer of this machine alone, who is told when it is ready."""

    welcome = ""

    def load_config(self) -> None:
        super().load_config()
        self.cfg.set("bind", f"127.0.0.1:{os.environ['PORT']}")
        self.cfg.set("graceful_timeout", 5)
        self.cfg.set("when_ready", self._ready)

    def _ready(self, _: Any) -> None:
        signal.signal(signal.SIGHUP, lambda *_: os.kill(os.getpid(), signal.SIGTERM))  # the terminal was closed
        print(self.welcome, flush=True)


def main() -> None:
    """Serve until Ctrl-C, then stop the database too; after a kill, the next run takes over what is left."""
    starter = os.getpid()
    try:
        with locked(HOME / "lock", TAKEOVER_SECONDS) as alone:
            if not alone:
                sys.exit("The service is running already, or a command is.")
            server = EmbeddedPostgres(HOME)
            try:
                server.start()
                with locked(HOME / "serving", TAKEOVER_SECONDS):
                    _serve(server.url())
            finally:
                if os.getpid() == starter:  # and not a worker that gunicorn forked
                    server.stop()
    except (Misconfigured, DatabaseUnavailable, OSError, RuntimeError) as problem:
        sys.exit(str(problem))
    except KeyboardInterrupt:
        sys.exit(130)


def _serve(database_url: str) -> None:
    port = os.environ.get("PORT") or "8080"
    address = f"http://localhost:{port}"
    os.environ |= {"PORT": port, "DATABASE_URL": database_url}
    os.environ["JWT_PRIVATE_KEY"] = _signing_key(HOME / "signing-key.pem")
    for name, value in (("TRUSTED_ORIGINS", address), ("COOKIE_SECURE", "0"), ("LOG_LEVEL", "warning")):
        os.environ.setdefault(name, value)
    from_environment()
    _check_port(int(port))
    Service.welcome = WELCOME.format(address=address, **_prepare(database_url, address))
    sys.argv = ["gunicorn", "app:app"]
    Service("%(prog)s [OPTIONS] [APP_MODULE]").run()


def _check_port(port: int) -> None:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            raise RuntimeError(f"Port {port} is in use. Another one: PORT=9000 make run") from None


def _signing_key(path: Path) -> str:
    if not path.exists():
        _write_secret(path, generate_private_key("ES256"))
    return path.read_text()


def _prepare(database_url: str, address: str) -> dict[str, str]:
    """Migrate, then recreate the demo accounts with the printed credentials."""
    path = HOME / "demo.json"
    if not path.exists():
        names = ("user", "admin", "service")
        _write_secret(path, json.dumps({name: refresh_tokens.generate() for name in names}))
    secret: dict[str, str] = json.loads(path.read_text())
    database = DirectDatabase(database_url)
    migrate(database)
    _make_users(database, secret)
    _make_services(database, secret["service"], address)
    return secret


def _make_users(database: DirectDatabase, secret: dict[str, str]) -> None:
    for user_id, role in USERS.items():
        name = user_id.removesuffix("@dev")
        password_hash = hash_password(secret[name])
        made = database.one(
            "principal_insert",
            id=user_id,
            role=role.value,
            principal_type="password",
            first_names=name.capitalize(),
            last_name="Dev",
            email=None,
            org_id=None,
            password_hash=password_hash,
        )
        if not made:
            database.one("principal_enable", id=user_id)
            database.one("principal_set_password", id=user_id, password_hash=password_hash)


def _make_services(database: DirectDatabase, refresh_token: str, address: str) -> None:
    database.one("service_insert", id=SERVICE)
    database.run("service_scope_insert", service_id=SERVICE, scopes=list(SERVICE_SCOPES))
    database.run(
        "refresh_token_insert_service",
        token_hash=refresh_tokens.digest(refresh_token),
        principal_id=SERVICE,
        scopes=[str(ALL_WRITE)],
        access_token_lifetime_ms=ACCESS_TOKEN_MS,
    )
    for name, mode in (("web", "WEB"), ("app", "APPLICATION")):
        endpoint = f"{address}/livez"  # of this port: the last run may have had another
        database.one("login_service_delete", name=name)
        database.one(
            "login_service_insert",
            name=name,
            endpoint=endpoint,
            mode=mode,
            refresh_token_ttl_seconds=None,
            idle_timeout_seconds=None,
        )


def _write_secret(path: Path, text: str) -> None:
    """Write whole or not at all, and readable by oneself only from the first byte on."""
    fresh = path.with_suffix(f".{secrets.token_hex(4)}")
    with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(text)
    fresh.rename(path)


if __name__ == "__main__":
    main()
