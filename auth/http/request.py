"""The request as handlers see it: Flask's own, with the parts of the service and the record of the call."""

import ipaddress
import re
import time
import uuid
from collections.abc import Callable, Sequence
from functools import lru_cache, partial
from typing import Any, ClassVar, Final, TypeVar, cast

import flask
import msgspec

from auth.config import Config
from auth.core import passwords
from auth.core.errors import InvalidToken
from auth.core.tokens import AccessTokens
from auth.db import Row
from auth.pool import Pool, RequestDatabase

Result = TypeVar("Result")

REQUEST_ID: Final = re.compile(r"[A-Za-z0-9._=+/:-]{1,128}", re.ASCII)
_WITH_PORT: Final = re.compile(r"(?:\[([0-9A-Fa-f]{0,4}:[0-9A-Fa-f:.]{1,45})\]|([0-9.]{7,15})(?=:))(?::([0-9]{1,5}))?")


class Record(msgspec.Struct, rename="camel"):
    """The fields of the log line that are known before the answer."""

    request_id: str
    principal: str | None = None
    session: object = None
    extended_by_chain: Sequence[str] = ()
    error_code: str | None = None
    cause: str | msgspec.UnsetType = msgspec.UNSET  # of an error, for the log alone

    def set_principal(self, principal: str | None, session: object = None, chain: Sequence[str] = ()) -> None:
        """Record for which principal the request acts, by which session, through which services."""
        self.principal, self.session, self.extended_by_chain = principal, session, chain


class Request(flask.Request):
    """Each app has a subclass, whose class attributes are the components of the service: no look-up is needed."""

    config: ClassVar[Config]
    database: ClassVar[Pool]
    tokens: ClassVar[AccessTokens]
    event: str | None = None  # its name in the log
    exception: Exception | None = None  # an unexpected one, for the log
    hash_wait_seconds: float | None = None  # the wait for a processor

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        given = self.headers.get("X-Request-Id", "")
        request_id = given if REQUEST_ID.fullmatch(given) else str(uuid.uuid4())
        self.started = time.perf_counter()
        self.record = Record(request_id)
        self.details: dict[str, Any] = {}  # of the event; never a token, a password or a jti
        self.db = RequestDatabase(self.database)
        self.cookies_to_set: list[str] = []  # values of Set-Cookie, for whatever the answer will be

    def hashed(self, work: Callable[..., Result], *arguments: Any) -> Result:
        """The result of a function of `passwords`, in its turn. Raises `LoginBusy`."""
        return passwords.in_turn(self.db.deadline, partial(setattr, self, "hash_wait_seconds"), work, *arguments)

    def live_row(self, statement: str, **parameters: object) -> Row:
        """The row of the statement; its `revoked` is recorded. Raises `InvalidToken` where the grant has ended."""
        row = self.db.one(statement, **parameters)
        if row is None:
            raise InvalidToken
        if "revoked" in row:
            self.details["revoked"] = row["revoked"]
        return row

    @property
    def client_address(self) -> str | None:
        """The client's IP address in canonical form (an IPv4-mapped one as IPv4), or None where there is none.

        It is the address that the trusted proxies name, or else the peer's.
        """
        # Werkzeug's ProxyFix honours quotes: a client's own `"` would swallow what a proxy appends.
        proxies = self.config.trusted_proxies
        entries = self.headers.get("X-Forwarded-For", "").split(",") if proxies else []
        named = entries[-proxies] if 0 < proxies <= len(entries) else None
        return _address(named) or _address(self.remote_addr)


def current_request() -> Request:
    """The current request itself, and not Flask's proxy, which looks it up at each use."""
    return cast(Request, flask.request._get_current_object())  # type: ignore[attr-defined]


@lru_cache(1024)
def _address(text: str | None) -> str | None:
    """The IP address in the text, which may carry a port: `203.0.113.7:41234`, `[2001:db8::1]:443`."""
    host = (text or "").strip().partition("%")[0]
    if (found := _WITH_PORT.fullmatch(host)) and int(found[3] or 0) < 2**16:
        host = found[1] or found[2]
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return None
    return str((isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped) or address)
