"""Replays the requests of tests/recorded and writes the answers as text, with placeholders for random parts.

    python -m tests.support.replay CHECKOUT

records the answers of another checkout of this project, such as an earlier release: it starts the servers itself, with
a PostgreSQL of its own or that of TEST_DATABASE_URL. The answers that tests/recorded/changes.py names are recorded from
this checkout instead.
"""

import json
import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from contextlib import suppress
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from pathlib import Path
from typing import Any, Final

import jwt
import psycopg
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from jwt.utils import base64url_decode

from auth import VERSION
from auth.core.keys import Keyring
from auth.core.passwords import hash_password
from auth.core.refresh_tokens import csrf_token
from dev.embedded import EmbeddedPostgres

from ..recorded.calls import CALLS, PASSWORD, REFRESH_TOKENS, TOKENS, Call
from ..recorded.changes import ANSWERS, TEXTS
from .databases import NewDatabase
from .servers import BIN, PROJECT, serving
from .wire import exchange, statuses
from .world import ORIGIN

RECORDED: Final = PROJECT / "tests" / "recorded"
ANSWERS_FILE: Final = RECORDED / "answers.txt"
RETRIES: Final = 5
ISSUER: Final = "cloud.sdu.dk"
KEY: Final = ec.derive_private_key(2026, ec.SECP256R1())  # always the same, and so its `kid`
STRANGERS_KEY: Final = ec.derive_private_key(2027, ec.SECP256R1())

_PLACEHOLDER: Final = re.compile(rb"<([^<>\n]+)>")
_JWT: Final = re.compile(r"eyJ[\w-]+\.[\w-]+\.[\w-]+")
_UUID: Final = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_FIXED: Final = "0000000-0000-4000-8000-0000000000"  # in each UUID of rows.sql
_SECRET: Final = re.compile(r"(refreshToken|csrfToken)(=|%22%3A%22)([\w-]{43,64})")
_MILLISECONDS: Final = re.compile(r"(?<=At\":)\d{13}\b")
_EXPIRES: Final = re.compile(r"(?<=; Expires=)([^;]+); Max-Age=(\d+)")
_LONG_RUN: Final = re.compile(r"(.)\1{99,}")


def environment(database_url: str) -> dict[str, str]:
    pem = KEY.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    ).decode()
    return {"DATABASE_URL": database_url, "JWT_PRIVATE_KEY": pem, "TRUSTED_ORIGINS": ORIGIN, "JWT_ISSUER": ISSUER}


def insert_rows(database_url: str) -> None:
    statements = (RECORDED / "rows.sql").read_text()
    parameters = {"password_hash": hash_password(PASSWORD)}
    with psycopg.ClientCursor(psycopg.connect(database_url, autocommit=True)) as cursor, cursor.connection:
        cursor.execute(statements, parameters)


def forget_factors(database_url: str) -> None:
    """The recorded release copies the column into a claim. Now the column says who has a second factor: nobody."""
    with psycopg.connect(database_url) as connection:
        connection.execute("UPDATE principal SET two_factor_authentication = false")


class Replay:
    """One pass over all requests: a later request may use the answer to an earlier one."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.values = {name: _signed(**options) for name, options in TOKENS.items()}  # by placeholder
        self.values |= {f"csrf of {token}": csrf_token(token) for token in REFRESH_TOKENS}
        self.names = {value: f"<{name}>" for name, value in self.values.items()}

    def answers(self) -> dict[str, str]:
        """Request and answer as text, by the name of the call."""
        return {call.name: self._answered(call) for call in CALLS}

    def _answered(self, call: Call) -> str:
        request = _with_length(_PLACEHOLDER.sub(self._value, call.request))
        received = exchange(self.port, request)
        for _ in range(RETRIES):  # a 503 says "ask again"; a machine under load answers it now and then
            if statuses(received) != [503]:
                break
            time.sleep(1)
            received = exchange(self.port, request)
        self._learn(call, received)
        return f"{_quoted('> ', call.request)}\n{self._described(call, received)}"

    def _value(self, found: re.Match[bytes]) -> bytes:
        """The value of a placeholder, or the placeholder itself if no earlier answer has given the value."""
        return self.values.get(found[1].decode(), found[0].decode()).encode("latin-1")

    def _learn(self, call: Call, received: bytes) -> None:
        """Give names to the random texts in a JSON answer: `<call.member>`."""
        with suppress(ValueError):
            members = json.loads(received.partition(b"\r\n\r\n")[2])
            for member in ("accessToken", "refreshToken", "csrfToken", "jti"):
                if value := members.get(member):
                    self._name(value, f"{call.name}.{member}")

    def _name(self, value: str, name: str) -> str:
        """The placeholder of that value: the name that it got first."""
        if value not in self.names:
            self.names[value] = f"<{name}>"
            self.values[name] = value
        return self.names[value]

    def _described(self, call: Call, received: bytes) -> str:
        text = received.decode(errors="surrogateescape")
        text = re.sub(r"(?<=\r\nDate: )[^\r]+", "<date>", text)
        text = re.sub(rf"(?<=\r\nX-Request-Id: )(?:{_UUID.pattern}|[0-9a-f]{{32}})(?=\r)", "<uuid>", text)
        if HTTPStatus(414).phrase in text:  # Python 3.13 renamed it
            text = text.replace(HTTPStatus(414).phrase, "URI Too Long").replace(
                "Content-Length: 60", "Content-Length: 52"
            )
        text = re.sub(r"(?<=\r\nRetry-After: )(2[0-5]|1?\d)\b", "<1 to 25>", text)
        text = re.sub(r"(?<=\r\nAllow: )[^\r]+", lambda found: ", ".join(sorted(found[0].split(", "))), text)
        text = _EXPIRES.sub(_by_max_age, text)
        text = _JWT.sub(lambda found: self._token(call, found[0]), text)
        text = _SECRET.sub(lambda found: found[1] + found[2] + self._name(found[3], f"{call.name}.{found[1]}"), text)
        text = _UUID.sub(lambda found: self._uuid(call, found[0]), text)
        for value, name in self.names.items():
            text = text.replace(value, name)
        text = _MILLISECONDS.sub(_relative, text)
        if call.body_differs:
            text = _without_body(text)
        elif '\r\n\r\n{"openapi":' in text:
            text = _with_lines(text)
        return _quoted("< ", text.encode(errors="surrogateescape"))

    def _uuid(self, call: Call, uuid: str) -> str:
        return uuid if _FIXED in uuid else self._name(uuid, f"{call.name}: uuid")

    def _token(self, call: Call, token: str) -> str:
        """Header and claims as they are encoded, with `exp` relative to `iat`, instead of the token."""
        jwt.decode(token, KEY.public_key(), ["ES256"], options={"verify_aud": False})
        header, claims = (base64url_decode(part).decode() for part in token.split(".")[:2])
        iat, exp = (json.loads(claims)[name] for name in ("iat", "exp"))
        assert abs(time.time() - iat) < 60, f"{call.name}: iat"
        claims = claims.replace(f'"iat":{iat},"exp":{exp}', f'"iat":<iat>,"exp":<iat + {exp - iat}>')
        claims = re.sub(r'"auth_time":\d+', '"auth_time":<seconds>', claims)
        return f"<JWT {header}.{claims}>"


def _signed(stranger: bool = False, header: dict[str, str] | None = None, **changed: Any) -> str:
    """An access token with these claims. None leaves a claim out; numbers of times are relative to now."""
    now = int(time.time())
    claims: dict[str, Any] = {
        "iss": ISSUER,
        "iat": 0,
        "exp": 600,
        "aud": ["all:write"],
        "extendedByChain": [],
    } | changed
    claims = {name: claim for name, claim in claims.items() if claim is not None}
    claims |= {name: now + claims[name] for name in ("iat", "exp", "nbf") if isinstance(claims.get(name), int)}
    headers = {"kid": Keyring(KEY).signing.kid} | (header or {})
    algorithm = headers.get("alg", "ES256")
    key = None if algorithm == "none" else STRANGERS_KEY if stranger else KEY
    return jwt.encode(claims, key, algorithm, headers)  # type: ignore[arg-type]


def _with_length(request: bytes) -> bytes:
    head, end, body = request.partition(b"\r\n\r\n")
    return head.replace(b"<length>", str(len(body)).encode()) + end + body


def _relative(found: re.Match[str]) -> str:
    """A time in milliseconds: relative to now if it is new, else as it is."""
    days, rest = divmod(int(found[0]) / 1000 - time.time() + 1800, 86400)
    return f"<now + {days:.0f} days>" if rest < 3600 and 0 <= days <= 30 else found[0]


def _without_body(answer: str) -> str:
    head = answer.partition("\r\n\r\n")[0]
    return re.sub(r"(?<=\r\nContent-Length: )\d+", "<length>", head) + "\r\n\r\n<body>"


def _with_lines(answer: str) -> str:
    """A long JSON document on lines, and sorted, since the order of its schemas differs from process to process."""
    head, end, body = answer.partition("\r\n\r\n")
    lines = json.dumps(json.loads(body), sort_keys=True, indent=1).splitlines()
    return head + end + "\r\n".join(lines).replace(VERSION, "<version>")


def _by_max_age(found: re.Match[str]) -> str:
    """A placeholder for the end of a cookie if it agrees with Max-Age; else the text as it is."""
    seconds = parsedate_to_datetime(found[1]).timestamp() - time.time() - int(found[2])
    return f"<now + Max-Age>; Max-Age={found[2]}" if abs(seconds) < 60 else found[0]


def _quoted(prefix: str, data: bytes) -> str:
    """The bytes as lines of text: each CRLF ends a line; other control characters are escaped."""
    text = _LONG_RUN.sub(lambda run: f"{run[1]}<{len(run[0])} times>", data.decode(errors="surrogateescape"))
    lines = text.replace("\\", "\\\\").split("\r\n")
    return "\n".join(prefix + "".join(c if c.isprintable() else ascii(c)[1:-1] for c in line) for line in lines)


def as_text(answers: Mapping[str, str]) -> str:
    return "".join(f"=== {name}\n{answer}\n\n" for name, answer in answers.items())


def recorded() -> dict[str, str]:
    """The recorded answers, by the name of the call."""
    parts = ANSWERS_FILE.read_text().removeprefix("=== ").removesuffix("\n\n").split("\n\n=== ")
    return dict(part.split("\n", 1) for part in parts)


def _answers_of(checkout: Path, server_url: str) -> dict[str, str]:
    with NewDatabase(server_url) as url:
        variables = {"PATH": os.environ["PATH"], "DATABASE_URL": url}
        subprocess.run([BIN / "flask", "db", "migrate"], cwd=checkout, env=variables, check=True)
        insert_rows(url)
        if checkout == PROJECT:
            forget_factors(url)
        with serving(environment(url), home=checkout) as [server]:
            return Replay(server.port).answers()


def _record(checkout: Path, server_url: str) -> None:
    answers, newer = _answers_of(checkout, server_url), _answers_of(PROJECT, server_url)
    for old, new, _reason in TEXTS:
        answers = {name: answer.replace(old, new) for name, answer in answers.items()}
    ANSWERS_FILE.write_text(as_text(answers | {name: newer[name] for name in ANSWERS}))


def main() -> None:
    checkout = Path(sys.argv[1]).resolve()
    if url := os.environ.get("TEST_DATABASE_URL"):
        _record(checkout, url)
        return
    server = EmbeddedPostgres(Path(tempfile.mkdtemp(prefix="auth-replay-")), ["fsync=off"])
    server.start()
    try:
        _record(checkout, server.url())
    finally:
        server.remove()


if __name__ == "__main__":
    main()
