"""The request as handlers see it: the WSGI environment, the parts of the service and the record of the call."""

import ipaddress
import re
import secrets
import time
from collections.abc import Callable, Sequence
from functools import cache, cached_property, lru_cache, partial
from typing import Any, ClassVar, Final

from auth.config import Config
from auth.core import passwords
from auth.core.errors import ApiError, InvalidToken
from auth.core.tokens import AccessTokens
from auth.db import REQUEST_SECONDS, Database, Pool, Row

REQUEST_ID: Final = re.compile(r"[A-Za-z0-9._=+/:-]{1,128}", re.ASCII)
_WITH_PORT: Final = re.compile(r"(?:\[([0-9A-Fa-f]{0,4}:[0-9A-Fa-f:.]{1,45})\]|([0-9.]{7,15})(?=:))(?::([0-9]{1,5}))?")


class Request:
    """Each app has a subclass, whose class attributes are the components of the service: no look-up is needed."""

    config: ClassVar[Config]
    database: ClassVar[Pool]
    tokens: ClassVar[AccessTokens]
    endpoint: str | None = None  # where a route matched: the blueprint and the name of the RPC
    event: str | None = None  # the event's name in the log
    exception: Exception | None = None  # an unexpected exception; only the log gets it
    hash_wait_seconds: float | None = None  # the wait for a processor

    def __init__(self, environ: dict[str, Any]) -> None:
        self.started = time.perf_counter()
        self.environ = environ
        environ["auth.request"] = self
        self.method: str = environ["REQUEST_METHOD"]
        self.path: str = environ["PATH_INFO"]
        given = self.header("X-Request-Id")
        self.id = given if REQUEST_ID.fullmatch(given) else secrets.token_hex(16)
        nobody = {"principal": None, "session": None, "extendedByChain": ()}
        self.record: dict[str, Any] = {"requestId": self.id, "errorCode": None, **nobody}  # fields of the log line
        self.details: dict[str, Any] = {}  # the event's details; never a token, a password or a jti
        self.db = Database(lambda writes: self.database.lease(writes, self.deadline))
        self.headers_to_set: list[tuple[str, str]] = []  # of every answer, errors too

    @cached_property
    def deadline(self) -> float:
        """When waits for the database and for hashes must end, in seconds of `monotonic`. Set at first use."""
        return time.monotonic() + REQUEST_SECONDS

    def header(self, name: str) -> str:
        """The value of that header, or "" where there is none."""
        return str(self.environ.get(_variable(name), ""))

    def set_principal(self, principal: str | None, session: object = None, chain: Sequence[str] = ()) -> None:
        self.record |= {"principal": principal, "session": session, "extendedByChain": chain}

    def hashed(self, work: Callable[..., passwords.Result], *arguments: Any) -> passwords.Result:
        """The result of a function of `passwords`, in its turn. Raises `LoginBusy`."""
        return passwords.in_turn(self.deadline, partial(setattr, self, "hash_wait_seconds"), work, *arguments)

    def live_row(self, statement: str, refusal: type[ApiError] = InvalidToken, /, **parameters: object) -> Row:
        """The row of the statement; its `revoked` is recorded. Raises `refusal` if there is no row."""
        row = self.db.one(statement, **parameters)
        if row is None:
            raise refusal
        if "revoked" in row:
            self.details["revoked"] = row["revoked"]
        return row

    @cached_property
    def client_address(self) -> str | None:
        """The IP address that the trusted proxies name, else the peer's, else None. An IPv4-mapped one is IPv4."""
        # Werkzeug's ProxyFix honours quotes: a client's own `"` would swallow what a proxy appends.
        proxies = self.config.trusted_proxies
        entries = self.header("X-Forwarded-For").split(",") if proxies else []
        named = entries[-proxies] if 0 < proxies <= len(entries) else None
        return _address(named) or _address(self.environ.get("REMOTE_ADDR"))


@cache
def _variable(header: str) -> str:
    return "HTTP_" + header.upper().replace("-", "_")


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
