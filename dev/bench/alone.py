"""The limits of what we are made of: Flask under gunicorn, the statements under pgbench, signing, and hashing."""

import re
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from multiprocessing import get_context
from pathlib import Path
from typing import Final

from auth import limits, passwords
from auth.db import SQL_FOLDER, PatientDatabase
from auth.embedded_binaries import server_binaries
from auth.keys import Keyring, generate_private_key, load_private_key
from auth.migrations import migrate
from auth.tokens import AccessTokens, Grant
from tests.servers import BIN, PROJECT, free_port

from .load import CONNECTIONS, Work, request
from .processes import serving
from .rows import SESSIONS, fill
from .service import WORKERS

# What the parameters of the statements become under pgbench, where n is the number of a random row.
ROW: Final = "sha256(('t' || lpad(:n::text, 12, '0'))::bytea)"
KEYS: Final = {name: f"sha256(('{name}' || :n)::bytea)" for name in ("pair", "network", "username")}
SESSION: Final = {
    "principal_id": "'person-' || :n",
    "password_generation": "0",
    "token_hash": "sha256(gen_random_uuid()::text::bytea)",
    "scopes": "ARRAY['all' || chr(58) || 'write']",  # a colon is pgbench's own
    "access_token_lifetime_ms": "600000",
    "ttl_seconds": "NULL",
    "ip_address": "'203.0.113.7'",
    "user_agent": "'curl/8'",
    "attempted_at": ":attempted_at",
    "claim_days": str(limits.CLAIM_DAYS),
}
ATTEMPT: Final = KEYS | {
    "principal_id": "'person-' || :n",
    "network_address": "'203.0.113.7'",
    "pair_failures": str(limits.LOCKOUT_PAIR_FAILURES),
    "pair_seconds": str(limits.LOCKOUT_PAIR_SECONDS),
    "wide_failures": str(limits.LOCKOUT_WIDE_FAILURES),
    "username_seconds": str(limits.LOCKOUT_USERNAME_SECONDS),
    "most_severe": str(limits.LOCKOUT_SEVERITY),
    "severity_seconds": str(limits.LOCKOUT_SEVERITY_SECONDS),
    "memory_seconds": str(limits.LOCKOUT_MEMORY_SECONDS),
}
ALL_KEYS: Final = f"ARRAY[{', '.join(KEYS.values())}]"
Statements = Mapping[str, Mapping[str, str]]
SCRIPTS: Final[Mapping[str, Statements]] = {
    "refresh": {"refresh_token_find": {"token_hash": ROW}},
    "claim": {"jti_claim_insert": {"jti": "gen_random_uuid()::text"}},
    "login": {
        "login_find": {"username": "'person-' || :n", "service": "'app'"},
        "login_attempt_start": ATTEMPT,
        "session_insert": SESSION | {"keys": ALL_KEYS},
    },
}


@contextmanager
def empty_route(environment: Mapping[str, str]) -> Iterator[Work]:
    """An empty JSON route of a bare Flask app, under the same gunicorn.conf.py."""
    port = free_port()
    command: list[str | Path] = [
        BIN / "gunicorn",
        "bench.empty:app",
        f"--bind=127.0.0.1:{port}",
        f"--workers={WORKERS}",
    ]
    with serving(command, PROJECT, environment, port):
        yield Work("an empty Flask route", port, [request("GET", "/", {})], b"{}")


def prepare_statements(url: str, rows: int) -> None:
    """A database in which the statements find what they look for."""
    database = PatientDatabase(url)
    migrate(database)
    fill(url, rows)
    app = {"name": "app", "endpoint": "https://cloud.example.org/app", "mode": "WEB", "refresh_token_ttl_seconds": None}
    database.one("login_service_insert", **app)
    with database.transaction() as transaction:
        key = f"unnest({ALL_KEYS})".replace(":n", "n")
        rows_of_limits = f"SELECT {key}, now() + interval '1 day' FROM generate_series(1, {rows // SESSIONS}) AS n"
        transaction.script(f"INSERT INTO login_limit (key, expires_at) {rows_of_limits}")


def statements_alone(url: str, script: str, rows: int, seconds: int) -> float:
    """How many times a second pgbench runs all the statements of a call."""
    highest = rows // SESSIONS if script == "login" else rows
    lines = [f"\\set n random(1, {highest})", *(_for_pgbench(name, SCRIPTS[script][name]) for name in SCRIPTS[script])]
    with tempfile.NamedTemporaryFile("w") as file:
        file.write("\n".join(lines))
        file.flush()
        program = server_binaries(Path(), None) / "pgbench"
        options = ["-n", "-M", "prepared", f"-c{CONNECTIONS}", f"-T{seconds}", "-f", file.name]
        finished = subprocess.run([program, *options, url], capture_output=True, text=True, check=False)
    found = re.search(r"^tps = ([\d.]+)", finished.stdout, re.MULTILINE)
    if finished.returncode or found is None:
        raise RuntimeError(f"pgbench failed: {finished.stderr}")
    return float(found[1])


def _for_pgbench(name: str, values: Mapping[str, str]) -> str:
    text = re.sub(r"--.*", "", (SQL_FOLDER / f"{name}.sql").read_text()).strip()
    text = re.sub(r"(?<!:):(?=[a-z])", ": ", text)  # of a slice; pgbench would take it for a variable
    ending = "\\gset" if name == "login_attempt_start" else ";"
    return re.sub(r"%\((\w+)\)s", lambda found: f"({values[found[1]]})", text) + f" {ending}"


class Cores:
    """A process for each worker, to do one thing and nothing else; answers with how often a second, in all."""

    def __init__(self) -> None:
        self._pool = ProcessPoolExecutor(WORKERS, mp_context=get_context("spawn"))

    def signing(self, seconds: int) -> float:
        return sum(self._pool.map(_sign, [seconds] * WORKERS))

    def hashing(self, seconds: int) -> float:
        return sum(self._pool.map(_hash, [seconds] * WORKERS))


def _sign(seconds: int) -> float:
    tokens = AccessTokens(Keyring.of(load_private_key(generate_private_key("ES256"))), "cloud.sdu.dk")
    names = {"first_names": "Ada", "last_name": "Lovelace", "email": "ada@example.org", "org_id": None}
    flags = {"two_factor_authentication": False, "service_license_agreement": False}
    person = {"id": "ada", "uid": 1, "role": "USER", "principal_type": "password", **names, **flags}
    grant = Grant(["all:write"], 600_000, "53d9ee49-ba48-4dc7-9e4b-1c41c7bbbc0e")
    return _rate(lambda: tokens.mint(person, grant), seconds)


def _hash(seconds: int) -> float:
    stored = passwords.hash_password("a password")
    return _rate(lambda: passwords.verify("a password", stored), seconds)


def _rate(work: Callable[[], object], seconds: int) -> float:
    started, done = time.perf_counter(), 0
    while (taken := time.perf_counter() - started) < seconds:
        work()
        done += 1
    return done / taken
