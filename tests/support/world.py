"""Makes the people, services and tokens that a test needs, under names that no other test has."""

import base64
import json
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any
from uuid import UUID

from passlib.hash import pbkdf2_sha256

from auth.core import refresh_tokens
from auth.core.limits import ACCESS_TOKEN_MS, SESSIONS
from auth.core.models import Role
from auth.core.passwords import hash_password
from auth.core.tokens import AccessTokens
from auth.db import Database, Row

ORIGIN = "https://cloud.example.org"
FOREVER = {"bearer_uid": None, "bearer_grant_reference": None, "bearer_issued_at": 2**40}  # a token that has not ended
PASSWORD = "correct horse battery staple"
QUICK_HASH = pbkdf2_sha256.using(rounds=1).hash(PASSWORD)  # for tests that compare a hundred times with it


@dataclass(frozen=True)
class Stored:
    """A refresh token that the database knows, and the access token it would mint."""

    id: str
    refresh_token: str
    access_token: str

    @property
    def client(self) -> tuple[str, str]:
        """The client_id and the client_secret of a service."""
        return self.id, self.refresh_token

    @property
    def csrf(self) -> str:
        return refresh_tokens.csrf_token(self.refresh_token)


def claims(token: str) -> dict[str, Any]:
    """The payload of a JWT, unverified."""
    payload = token.split(".")[1]
    found: dict[str, Any] = json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
    return found


@cache
def _hashed(password: str) -> str:
    return hash_password(password)


class World:
    def __init__(self, db: Database, tokens: AccessTokens) -> None:
        self.db = db
        self.tokens = tokens

    def user(
        self, role: Role = Role.USER, password: str | None = PASSWORD, named: str | None = None, **columns: object
    ) -> str:
        """A new user's id."""
        user_id = named or f"user-{secrets.token_hex(8)}"
        row = {"first_names": "Ada", "last_name": "Lovelace", "email": None, "org_id": None}
        row["password_hash"] = None if password is None or "password_hash" in columns else _hashed(password)
        self.db.one("principal_insert", id=user_id, role=role.value, principal_type="password", **(row | columns))
        return user_id

    def password_hash(self, user_id: str) -> str:
        """The stored hash of a user who is not disabled."""
        row = self.db.one("login_find", username=user_id, service=self.login_service(), address=None)
        assert row is not None
        return str(row["password_hash"])

    def service(self, *scopes: str, named: str | None = None) -> Stored:
        """A new service that may ask for those scopes, with its own token."""
        service_id = named or f"_service-{secrets.token_hex(8)}"
        self.db.one("service_insert", id=service_id, scopes=list(scopes))
        token = refresh_tokens.generate()
        stored = {"token_hash": refresh_tokens.digest(token), "access_token_lifetime_ms": ACCESS_TOKEN_MS}
        self.db.run("service_token_insert", service_id=service_id, **stored)
        return Stored(service_id, token, self.access_token(service_id))

    def login_service(
        self,
        mode: str = "APPLICATION",
        endpoint: str = "https://cloud.example.org/app",
        ttl: int | None = None,
        idle: int | None = None,
    ) -> str:
        """A new login service's name."""
        name = f"service-{secrets.token_hex(8)}"
        lifetimes = {"refresh_token_ttl_seconds": ttl, "idle_timeout_seconds": idle}
        self.db.one("login_service_insert", name=name, endpoint=endpoint, mode=mode, **lifetimes)
        return name

    def session(self, user_id: str | None = None, ttl: int | None = None, **columns: Any) -> Stored:
        """A new session, of a new user where none is given."""
        user_id = user_id or self.user()
        token = refresh_tokens.generate()
        values = {"ip_address": "203.0.113.7", "user_agent": "curl/8", "password_generation": 0, "new_hash": None}
        values |= {"step": None, "recovery_hash": None, "idle_timeout_seconds": None, "sessions": SESSIONS, **columns}
        row = self.db.one(
            "session_insert",
            token_hash=refresh_tokens.digest(token),
            id=user_id,
            uid=self.principal(user_id)["uid"],
            scopes=["all:write"],
            access_token_lifetime_ms=ACCESS_TOKEN_MS,
            refresh_token_ttl_seconds=ttl,
            **values,
        )
        assert row is not None
        return Stored(user_id, token, self.access_token(user_id, session=row["public_session_reference"]))

    def access_token(
        self,
        principal_id: str,
        scopes: Sequence[str] = ("all:write",),
        lifetime_ms: int = ACCESS_TOKEN_MS,
        session: UUID | None = None,
        extended_by: str | None = None,
        jti: str | None = None,
    ) -> str:
        """An access token of a principal, as the service would mint it."""
        chain = [extended_by] if extended_by else []
        return self.tokens.mint(
            self.principal(principal_id),
            scopes,
            lifetime_ms,
            publicSessionReference=session,
            extendedBy=extended_by,
            extendedByChain=chain,
            jti=jti,
        )

    def claim(self, jti: str, db: Database | None = None) -> bool:
        """Claims the jti by a service of its own; whether it was the first."""
        claimed = (db or self.db).one("jti_claim_insert", jti=jti, bearer_id=self.service().id, **FOREVER)
        assert claimed is not None
        return bool(claimed["is_first"])

    def principal(self, principal_id: str) -> Row:
        """The principal's row, as a token is minted from it."""
        row = self.db.one("bearer_find", bearer_id=principal_id, bearer_not_after=None, **FOREVER)
        assert row is not None
        return row
