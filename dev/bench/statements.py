"""The statements of `sql/`, with values for tables that `fill` made: alone under pgbench, and for their plans."""

import re
import subprocess
import tempfile
from typing import Final

import psycopg

from .load import CONNECTIONS, SECONDS
from .rows import ROWS, SESSIONS_EACH, fill, run
from .service import PGBENCH, PROJECT

# SQL where :n is the number of a person and of a token. A colon is pgbench's own, so a scope is put together.
KEYS: Final = {f"{name}_key": f"sha256(('{name}' || :n)::bytea)" for name in ("pair", "network", "username")}
NEW_TOKEN: Final = "sha256(gen_random_uuid()::text::bytea)"
NUMBERS: Final = (
    "batch delegations memory_seconds most_severe pair_failures severity_seconds sessions ttl_days window_seconds"
)
VALUES: Final = {
    **dict.fromkeys((*NUMBERS.split(), "access_token_lifetime_ms", "username_window_seconds", "wide_failures"), "100"),
    **dict.fromkeys(("bearer_id", "id", "principal_id", "user_id", "username"), "'person-' || :n"),
    **dict.fromkeys(("address", "ip_address"), "'203.0.113.7'"),
    **dict.fromkeys(("offset", "password_generation"), "0"),
    **dict.fromkeys(("bearer_uid", "idle_timeout_seconds", "refresh_token_ttl_seconds", "user_uid"), "NULL"),
    **dict.fromkeys(("bearer_reference", "reference", "user_reference"), "md5('t' || :n - 1)::uuid"),
    **dict.fromkeys(("bearer_issued_at", "user_issued_at"), "4102444800"),
    **dict.fromkeys(("bearer_not_after", "new_hash", "user_not_after"), "NULL"),
    "is_known_network": "false",
    "user_agent": "'a'",
    "attempted_at": ":attempted_at",
    "claim_days": "30",
    "extended_by_chain": "ARRAY['person-' || :n]",
    "items_per_page": "10",
    "jti": "gen_random_uuid()::text",
    "keys": f"ARRAY[{', '.join(KEYS.values())}]",
    "scopes": "ARRAY['all' || chr(58) || 'write']",
    "service": "'app'",
    "service_id": "'_bench'",
    "token_hash": "sha256(('t' || lpad(:n::text, 12, '0'))::bytea)",
    "token_hashes": f"ARRAY[{', '.join([NEW_TOKEN] * 100)}]",
    "uid": "(SELECT uid FROM principal WHERE id = 'person-' || :n)",
    "use_seconds": "300",
}
SCRIPTS: Final = {
    "refresh": ("refresh_token_find",),
    "claim": ("jti_claim_insert",),
    "login": ("login_find", "login_attempt_start", "session_insert", "login_attempt_return", "expired_delete"),
}
PLACEHOLDER: Final = re.compile(r"%\((\w+)\)s")


def statements() -> dict[str, str]:
    """By name, without their comments, the statements that have parameters, and values for all of them."""
    paths = sorted((PROJECT / "sql").glob("*.sql"))
    texts = {path.stem: re.sub(r"--.*", "", path.read_text()).strip() for path in paths}
    known = KEYS.keys() | VALUES.keys()
    return {name: text for name, text in texts.items() if "%(" in text and known >= {*parameters(text)}}


def parameters(text: str) -> list[str]:
    """The names of the statement's parameters, each once."""
    return list(dict.fromkeys(PLACEHOLDER.findall(text)))


def value(statement: str, parameter: str) -> str:
    """The SQL of a value."""
    if parameter in KEYS or statement == "service_insert":
        return KEYS.get(parameter, "'_' || :n")
    return NEW_TOKEN if parameter == "token_hash" and "_insert" in statement else VALUES[parameter]


def prepare(url: str, rows: int) -> None:
    """Fill tables so that every statement finds rows, and a thousand claims that have expired."""
    fill(url, rows)
    with psycopg.connect(url, autocommit=True) as connection:
        run(connection, "login_limits", people=rows // SESSIONS_EACH)
        run(connection, "jti_claims_expired")
        connection.execute("VACUUM ANALYZE")


def under_pgbench(url: str) -> dict[str, float]:
    """By call, how many times a second pgbench runs all of its statements, on tables that `prepare` filled."""
    return {f"statements of {call}": _under_pgbench(url, call) for call in SCRIPTS}


def _under_pgbench(url: str, call: str) -> float:
    highest = ROWS if call == "refresh" else ROWS // SESSIONS_EACH
    with tempfile.NamedTemporaryFile("w") as file:
        file.write("\n".join([f"\\set n random(1, {highest})", *map(for_pgbench, SCRIPTS[call])]))
        file.flush()
        options = ["-n", "-M", "prepared", f"-c{CONNECTIONS}", f"-T{SECONDS}", "-f", file.name]
        output = subprocess.check_output([PGBENCH, *options, url], text=True, stderr=subprocess.STDOUT)
    return float(output.partition("\ntps = ")[2].split()[0])


def for_pgbench(name: str) -> str:
    """The statement in pgbench's own language, with its values."""
    statement = re.sub(r"(?<!:):(?=[a-z])", ": ", statements()[name])  # of a slice; pgbench takes it for a variable
    ending = "\\gset" if name == "login_attempt_start" else ";"
    return PLACEHOLDER.sub(lambda match: f"({value(name, match[1])})", statement) + f" {ending}"
