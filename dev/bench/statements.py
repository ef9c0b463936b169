"""Statements of refresh, claim and login for pgbench, with values for tables that `fill` made: see tests/drills/."""

import re
from typing import Final

from .service import PROJECT

# SQL where :n is the number of a person and of a token. A colon is pgbench's own, so a scope is put together.
KEYS: Final = {f"{name}_key": f"sha256(('{name}' || :n)::bytea)" for name in ("pair", "network", "username")}
NUMBERS: Final = "batch claim_days memory_seconds most_severe pair_failures sessions severity_seconds window_seconds"
NULLS: Final = "bearer_uid idle_timeout_seconds new_hash recovery_hash refresh_token_ttl_seconds step"
VALUES: Final = {
    **KEYS,
    **dict.fromkeys((*NUMBERS.split(), "access_token_lifetime_ms", "username_window_seconds", "wide_failures"), "100"),
    **dict.fromkeys(("bearer_id", "id", "username"), "'person-' || :n"),
    **dict.fromkeys(("address", "ip_address", "user_agent"), "'203.0.113.7'"),
    **dict.fromkeys(NULLS.split(), "NULL"),
    "attempted_at": ":attempted_at",
    "bearer_issued_at": "4102444800",
    "bearer_grant_reference": "md5('t' || :n - 1)::uuid",
    "is_known_network": "false",
    "jti": "gen_random_uuid()::text",
    "keys": f"ARRAY[{', '.join(KEYS.values())}]",
    "password_generation": "0",
    "scopes": "ARRAY['all' || chr(58) || 'write']",
    "service": "'app'",
    "uid": "(SELECT uid FROM principal WHERE id = 'person-' || :n)",
    "use_seconds": "300",
}
STORED_TOKEN: Final = "sha256(('t' || lpad(:n::text, 12, '0'))::bytea)"
NEW_TOKEN: Final = "sha256(gen_random_uuid()::text::bytea)"
LOGIN: Final = ("login_find", "login_attempt_start", "session_insert", "login_attempt_return", "expired_delete")


def for_pgbench(name: str) -> str:
    """The statement in pgbench's own language, with its values."""
    text = re.sub(r"--.*", "", (PROJECT / "sql" / f"{name}.sql").read_text()).strip()
    text = re.sub(r"(?<!:):(?=[a-z])", ": ", text)  # of a slice; pgbench takes it for a variable
    values = VALUES | {"token_hash": NEW_TOKEN if name == "session_insert" else STORED_TOKEN}
    ending = "\\gset" if name == "login_attempt_start" else ";"
    return re.sub(r"%\((\w+)\)s", lambda match: f"({values[match[1]]})", text) + f" {ending}"
