"""The statements of requests, and the plans that PostgreSQL keeps for them."""

import re
from collections.abc import Mapping
from typing import Any
from uuid import uuid4

import psycopg

from auth.core.limits import CLAIM_DAYS, DELEGATIONS, LOCKOUT, PURGE_ROWS, SESSIONS, USE_SECONDS
from auth.db import SQL_FOLDER

PLACEHOLDER = re.compile(r"%\((\w+)\)s")

BEARER = {"bearer_id": "user-7", "bearer_uid": None, "bearer_grant_reference": uuid4(), "bearer_issued_at": 1}
USER = {"user_id": "user-8", "user_uid": 8, "user_grant_reference": uuid4(), "user_issued_at": 1}
KEYS = {"pair_key": b"x" * 32, "network_key": b"y" * 32, "username_key": b"z" * 32}
PER_REQUEST: dict[str, dict[str, Any]] = {
    "bearer_find": {"bearer_not_after": None, **BEARER},
    "delegation_delete": {"session_reference": uuid4(), **BEARER},
    "delegation_delete_all": BEARER,
    "delegation_list": {"items_per_page": 10, "offset": 0, **BEARER},
    "expired_delete": {"batch": PURGE_ROWS, "claim_days": CLAIM_DAYS},
    "extension_find": {"user_not_after": None, **BEARER, **USER},
    "extension_insert": {
        **BEARER, **USER, "user_not_after": None, "token_hash": b"z" * 32, "scopes": ["a:read"],
        "session_reference": uuid4(), "access_token_lifetime_ms": 1, "extended_by_chain": ["user-7"],
        "ttl_days": 30, "delegations": DELEGATIONS,
    },
    "jti_claim_insert": {"jti": "new", **BEARER},
    "jti_claim_insert_with_key": {"jti": "new", "key_hash": b"k" * 32, **BEARER},
    "jti_claim_find": {"jti": "old"},
    "login_attempt_return": {"keys": list(KEYS.values()), "attempted_at": 1},
    "login_attempt_start": {"is_known_network": False, **KEYS, **LOCKOUT},
    "login_find": {"username": "user-7", "service": "service-7", "address": "10.0.0.1"},
    "password_change": {"password_hash": "a", "password_generation": 0, **BEARER},
    "password_find": {"address": "10.0.0.1", **BEARER},
    "password_rehash": {"id": "user-7", "uid": 7, "password_generation": 0, "new_hash": "b"},
    "password_reset": {"password_hash": "a", "reset_token_hash": b"r" * 32},
    "password_reset_find": {"reset_token_hash": b"r" * 32},
    "principal_mark_ended": {"id": "user-7"},
    "refresh_token_delete": {"token_hash": b"x" * 32},
    "refresh_token_delete_many": {"token_hashes": [b"x" * 32, b"y" * 32], **BEARER},
    "refresh_token_find": {"token_hash": b"x" * 32, "use_seconds": USE_SECONDS},
    "script_token_insert": {
        "token_hash": b"z" * 32, "scopes": ["a:read"], "title": "t", "days": 30, "tokens": 100,
        "access_token_lifetime_ms": 1, **BEARER,
    },
    "second_factor_attempt": {"id": "user-7", "codes": 100},
    "second_factor_uncount": {"id": "user-7", "secret": "s"},
    "second_factor_delete": {"password_generation": 0, "step": 1, "recovery_hash": b"r" * 32, **BEARER},
    "second_factor_insert": {
        "password_generation": 0, "secret": "s", "step": 1, "recovery_hash": b"r" * 32, **BEARER,
    },
    "session_delete": {"session_reference": uuid4(), **BEARER},
    "session_delete_all": BEARER,
    "session_insert": {
        "token_hash": b"w" * 32, "id": "user-7", "uid": 7, "password_generation": 0,
        "scopes": ["a:read"], "access_token_lifetime_ms": 1, "refresh_token_ttl_seconds": None,
        "idle_timeout_seconds": None, "ip_address": None, "user_agent": None, "sessions": SESSIONS, "new_hash": "b",
        "step": None, "recovery_hash": b"r" * 32,
    },
    "session_list": {"items_per_page": 10, "offset": 0, **BEARER},
    "sla_accept": {"version": 0, **BEARER},
    "sla_find": BEARER,
}  # fmt: skip


def explain(connection: psycopg.Connection[Any], name: str, values: Mapping[str, Any], options: str) -> Any:
    """The output of EXPLAIN for the statement's generic plan, run with these values. The effects are rolled back."""
    text = (SQL_FOLDER / f"{name}.sql").read_text()
    parameters = list(dict.fromkeys(PLACEHOLDER.findall(text)))
    statement = PLACEHOLDER.sub(lambda found: f"${parameters.index(found[1]) + 1}", text)
    arguments = ", ".join(["%s"] * len(parameters))
    cursor = psycopg.ClientCursor(connection)
    with connection.transaction(force_rollback=True):
        cursor.execute("SET LOCAL plan_cache_mode = force_generic_plan")
        cursor.execute("DEALLOCATE ALL")
        cursor.execute(f"PREPARE explained AS {statement}")
        cursor.execute(f"EXPLAIN ({options}) EXECUTE explained ({arguments})", [values[each] for each in parameters])
        return [row[0] for row in cursor.fetchall()]
