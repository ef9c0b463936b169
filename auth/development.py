"""`make run`: the service on an embedded PostgreSQL, with somebody to log in as."""

import json
import os
import secrets
import sys
from pathlib import Path
from typing import Final

from gunicorn.app.wsgiapp import WSGIApplication

from . import refresh_tokens
from .cli.common import EMBEDDED_HOME
from .db import Database, PatientDatabase
from .embedded import EmbeddedPostgres, sole_use
from .keys import generate_private_key
from .limits import ACCESS_TOKEN_MS
from .migrations import migrate
from .models import Role
from .passwords import hash_password
from .scopes import ALL_WRITE

USERS: Final = {"user@dev": Role.USER, "admin@dev": Role.ADMIN}
SERVICE: Final = "_demo"
SERVICE_SCOPES: Final = ("files:write", "jobs:write")

WELCOME = """
The service is at {address}. Paste this into another terminal:

export AUTH={address}
export USER_PASSWORD={user}
export ADMIN_PASSWORD={admin}
export DEMO_REFRESH_TOKEN={service}

curl -s -H 'Accept: application/json' $AUTH/auth/login \\
  -d username=user@dev -d password=$USER_PASSWORD -d service=app
curl -s -X POST $AUTH/auth/refresh -H "Authorization: Bearer $DEMO_REFRESH_TOKEN"

The README goes on from here. Ctrl-C stops the service and its database.
"""


def main() -> None:
    """Serve until Ctrl-C, then stop the database too; after a kill, the next run takes over what is left."""
    with sole_use(EMBEDDED_HOME) as alone:
        if not alone:
            sys.exit("The service is running already.")
        server = EmbeddedPostgres(EMBEDDED_HOME)
        starter = os.getpid()
        try:
            server.start()
            _serve(server.url())
        finally:
            if os.getpid() == starter:  # and not a worker that gunicorn forked
                server.stop()


def _serve(database_url: str) -> None:
    address = f"http://localhost:{os.environ.setdefault('PORT', '8080')}"
    os.environ["DATABASE_URL"] = database_url
    os.environ["JWT_PRIVATE_KEY"] = _signing_key(EMBEDDED_HOME / "signing-key.pem")
    os.environ.setdefault("TRUSTED_ORIGINS", address)
    os.environ.setdefault("COOKIE_SECURE", "0")
    os.environ.setdefault("LOG_LEVEL", "warning")
    secret = _prepare(database_url, address)
    print(WELCOME.format(address=address, **secret), flush=True)
    sys.argv = ["gunicorn", "--graceful-timeout", "5", "app:app"]
    WSGIApplication("%(prog)s [OPTIONS] [APP_MODULE]").run()


def _signing_key(path: Path) -> str:
    if not path.exists():
        _write_secret(path, generate_private_key("ES256"))
    return path.read_text()


def _prepare(database_url: str, address: str) -> dict[str, str]:
    """Migrate, and make what one needs to log in; what somebody deleted is made again."""
    path = EMBEDDED_HOME / "demo.json"
    fresh = not path.exists()
    if fresh:
        names = ("user", "admin", "service")
        _write_secret(path, json.dumps({name: refresh_tokens.generate() for name in names}))
    secret: dict[str, str] = json.loads(path.read_text())
    database = PatientDatabase(database_url)
    migrate(database)
    _make_users(database, secret, fresh)
    _make_services(database, secret["service"], address)
    return secret


def _make_users(database: Database, secret: dict[str, str], fresh: bool) -> None:
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
        if fresh and not made:
            database.one("principal_set_password", id=user_id, password_hash=password_hash)


def _make_services(database: Database, refresh_token: str, address: str) -> None:
    database.one(
        "principal_insert",
        id=SERVICE,
        role=Role.SERVICE.value,
        principal_type="service",
        first_names=None,
        last_name=None,
        email=None,
        org_id=None,
        password_hash=None,
    )
    database.run("service_scope_insert", service_id=SERVICE, scopes=list(SERVICE_SCOPES))
    database.run(
        "refresh_token_insert_service",
        token_hash=refresh_tokens.digest(refresh_token),
        principal_id=SERVICE,
        scopes=[str(ALL_WRITE)],
        access_token_lifetime_ms=ACCESS_TOKEN_MS,
    )
    for name, mode in (("web", "WEB"), ("app", "APPLICATION")):
        database.one(
            "login_service_insert",
            name=name,
            endpoint=f"{address}/",
            mode=mode,
            refresh_token_ttl_seconds=None,
        )


def _write_secret(path: Path, text: str) -> None:
    """Write whole or not at all, and readable by oneself only from the first byte on."""
    fresh = path.with_suffix(f".{secrets.token_hex(4)}")
    with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(text)
    fresh.rename(path)


if __name__ == "__main__":
    main()
