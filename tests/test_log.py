"""The log: one line for each request, with its security event, and no secret in any line."""

import base64
import fcntl
import json
import logging
import os
import secrets
import select
import socket
import subprocess
import sys
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import IO, Any, Final

import pytest
from flask import Flask
from prometheus_client.parser import text_string_to_metric_families

from app import create_app
from auth.cli.keys import generate_private_key
from auth.config import Config
from auth.core import refresh_tokens
from auth.core.keys import Keyring, load_private_key
from auth.core.limits import CHAIN_SERVICES, ID_CHARACTERS, SCOPE_CHARACTERS
from auth.core.tokens import AccessTokens
from auth.http.rpc import RPCS
from auth.ops import log
from auth.ops.log import LINE_BYTES, Lines, traceback_without_messages

from .support.api import Answer, Api, any_address, request_class, send_to_app
from .support.lockouts import FAILURES, fail
from .support.second_factor import Authenticator, challenge_of, new_owner, wait_for_a_long_step
from .support.servers import PROJECT, Server, serving
from .support.world import ORIGIN, PASSWORD, Stored, World, claims

pytestmark = pytest.mark.xdist_group("log")

Line = dict[str, Any]

EXCHANGE = "urn:ietf:params:oauth:grant-type:token-exchange"
EXCHANGED = "urn:ietf:params:oauth:token-type:access_token"


class Logged:
    """A server and the lines it has written."""

    def __init__(self, server: Server, path: Path) -> None:
        self.server = server
        self.address = any_address()
        self.api = server.client(self.address)
        self._path = path

    def text(self) -> str:
        return self._path.read_text()

    def lines(self, answer: Answer | None = None) -> list[Line]:
        """All lines, or those of the request that had this answer."""
        lines = [json.loads(line) for line in self.text().splitlines()]
        return [line for line in lines if answer is None or line.get("requestId") == answer.header("X-Request-Id")]

    def of(self, answer: Answer) -> tuple[Line, Line | None]:
        """The request's one line, and the same one again where it is a security event."""
        lines = self.lines(answer)
        [line] = lines
        return line, line if "event" in line else None

    def event(self, answer: Answer) -> Line:
        """The line of the request's security event."""
        event = self.of(answer)[1]
        assert event is not None
        return event


@pytest.fixture(scope="module")
def logged(environment: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Logged]:
    path = tmp_path_factory.mktemp("log") / "lines"
    with serving({**environment, "LOG_LEVEL": "debug"}, workers=2, log=path) as [server]:
        yield Logged(server, path)


@dataclass
class Call:
    """An answer, and the expected content of its lines."""

    answer: Answer
    rpc: str | None
    principal: str | None
    event: str | None = None
    outcome: str | None = "success"


def logins(api: Api, user: str, name: str) -> list[Call]:
    return [
        Call(api.login(user, PASSWORD, name), "passwordLogin", user, "login"),
        Call(api.login(user, "wrong", name), "passwordLogin", user, "login", "INCORRECT_CREDENTIALS"),
        Call(api.login(f"no-{user}", "wrong", name), "passwordLogin", None, "login", "INCORRECT_CREDENTIALS"),
        Call(api.login(user, PASSWORD, f"no-{name}"), "passwordLogin", None, "login", "UNKNOWN_LOGIN_SERVICE"),
    ]


def refreshes(api: Api, session: Stored) -> list[Call]:
    token, csrf = session.refresh_token, session.csrf
    return [
        Call(api.refresh(token), "refresh", session.id, "refresh"),
        Call(api.refresh("unknown"), "refresh", None, "refresh", "INVALID_TOKEN"),
        Call(api.web_refresh(token, csrf, ORIGIN), "webRefresh", session.id, "refresh"),
        Call(api.web_refresh(token, "other", ORIGIN), "webRefresh", None, "refresh", "INVALID_TOKEN"),
    ]


def one_time_tokens(api: Api, session: Stored, service: Stored) -> list[Call]:
    one_time = api.request_one_time_token(session.access_token, "files:read")
    jti = one_time.json["jti"]
    return [
        Call(one_time, "requestOneTimeTokenWithAudience", session.id, "one-time token"),
        Call(api.claim(service.access_token, jti), "claim", service.id, "claim"),
        Call(api.claim(service.access_token, jti), "claim", service.id, "claim", "ALREADY_CLAIMED"),
    ]


def extensions(api: Api, session: Stored, service: Stored) -> list[Call]:
    extended = api.extend(service.access_token, session.access_token, "files:read", refreshes=True)
    refused = api.extend(service.access_token, session.access_token, "jobs:read")
    return [
        Call(extended, "tokenExtension", service.id, "extension"),
        Call(refused, "tokenExtension", service.id, "extension", "SCOPE_NOT_IN_POLICY"),
        Call(api.refresh(extended.json["refreshToken"]), "refresh", session.id, "refresh"),
    ]


def revocations(api: Api, world: World, user: str, admin: Stored) -> list[Call]:
    mine, one, two, three = (world.session(user) for _ in range(4))
    one_id = claims(one.access_token)["publicSessionReference"]
    return [
        Call(api.invalidate_session(mine.access_token, one_id), "invalidateSession", user, "revocation"),
        Call(api.web_logout(two.refresh_token, two.csrf, ORIGIN), "webLogout", user, "logout"),
        Call(
            api.bulk_invalidate(admin.access_token, [three.refresh_token, "x"]),
            "bulkInvalidate",
            admin.id,
            "revocation",
        ),
        Call(api.invalidate_sessions(mine.access_token), "invalidateSessions", user, "revocation"),
        Call(api.logout(mine.refresh_token), "logout", None, "logout", "INVALID_TOKEN"),
        Call(api.logout(world.session(user).refresh_token), "logout", user, "logout"),
    ]


def delegations(api: Api, world: World, user: str) -> list[Call]:
    session, service = world.session(user), world.service("files:read")
    made = api.extend(service.access_token, session.access_token, "files:read", refreshes=True).json
    made_id = claims(made["accessToken"])["publicSessionReference"]
    return [
        Call(api.delegations(session.access_token), "listDelegations", user),
        Call(api.invalidate_delegation(session.access_token, made_id), "invalidateDelegation", user, "revocation"),
        Call(api.invalidate_delegations(session.access_token), "invalidateDelegations", user, "revocation"),
    ]


def passwords(api: Api, world: World, user: str) -> list[Call]:
    session, token, new = world.session(user), refresh_tokens.generate(), "seventeen violet kettles"
    world.db.one("password_reset_start", id=user, reset_token_hash=refresh_tokens.digest(token), valid_minutes=1)
    wrong = "INCORRECT_CREDENTIALS"
    return [
        Call(api.change_password(session.access_token, "no", new), "changePassword", user, "password change", wrong),
        Call(api.reset_password("unknown", new), "resetPassword", None, "password reset", "INVALID_TOKEN"),
        Call(api.reset_password(token, new), "resetPassword", user, "password reset"),
        Call(
            api.change_password(world.session(user, password_generation=1).access_token, new, f"{new}s"),
            "changePassword", user, "password change",
        ),
    ]  # fmt: skip


def second_factors(api: Api, world: World, user: str) -> list[Call]:
    session, service = world.session(user), world.login_service()
    created = api.create_credentials(session.access_token)
    wait_for_a_long_step()
    app, setup = Authenticator(created.json["secret"]), created.json["challengeId"]
    confirmed = api.answer_challenge(setup, app.code(-1), session.access_token)
    asked = api.login(user, PASSWORD, service)
    challenge, event = asked.json["2fa"], "second factor"
    return [
        Call(created, "twofactor.createCredentials", user),
        Call(confirmed, "twofactor.answerChallenge", user, event),
        Call(api.two_factor_status(session.access_token), "twofactor.twoFactorStatus", user),
        Call(asked, "passwordLogin", user, "login"),
        Call(api.answer_challenge("x", "123456"), "twofactor.answerChallenge", None, event, "INVALID_CHALLENGE"),
        Call(
            api.answer_challenge(challenge, app.wrong_code()),
            "twofactor.answerChallenge", user, event, "INCORRECT_CODE",
        ),
        Call(api.answer_challenge(challenge, app.code()), "twofactor.answerChallenge", user, event),
        Call(
            api.remove_credentials(session.access_token, PASSWORD, app.code(1)),
            "twofactor.removeCredentials", user, "second factor removal",
        ),
        Call(api.find_sla(session.access_token), "sla.find", user),
        Call(api.accept_sla(session.access_token, 0), "sla.accept", user),
    ]  # fmt: skip


def doors(api: Api, session: Stored, service: Stored) -> list[Call]:
    exchange = {"subject_token": session.access_token, "subject_token_type": EXCHANGED}
    refused = (service.id, session.refresh_token)
    exchanged = api.token(EXCHANGE, service.client, **exchange, scope="files:read offline_access")
    made = api.create_personal_token(session.access_token, "files:read")
    return [
        Call(made, "createPersonalToken", session.id, "personal token"),
        Call(api.token("client_credentials", service.client), "oauth.token", service.id, "oauth token"),
        Call(
            api.token("client_credentials", ("_x", "unknown")), "oauth.token", None, "oauth token", "INVALID_CLIENT"
        ),
        Call(
            api.token("client_credentials", refused), "oauth.token", session.id, "oauth token", "INVALID_CLIENT"
        ),
        Call(exchanged, "oauth.token", service.id, "oauth token"),
        Call(
            api.token("refresh_token", refresh_token=made.json["token"]), "oauth.token", session.id, "oauth token"
        ),
        Call(api.introspect(service.client, session.access_token), "oauth.introspect", service.id, "introspection"),
        Call(api.introspect(service.client, "unknown"), "oauth.introspect", service.id, "introspection"),
        Call(api.verify(exchanged.json["access_token"]), "oauth.verify", session.id),
        Call(api.revoke(exchanged.json["refresh_token"]), "oauth.revoke", session.id, "logout"),
        Call(api.revoke("unknown"), "oauth.revoke", None, "logout"),
        Call(api.call("GET", "/.well-known/oauth-authorization-server"), "metadata", None),
    ]  # fmt: skip


def others(api: Api, session: Stored) -> list[Call]:
    return [
        Call(api.sessions(session.access_token), "listUserSessions", session.id),
        Call(api.call("GET", "/livez"), "livez", None),
        Call(api.call("OPTIONS", "/auth/login"), None, None),
        Call(api.call("GET", "/nothing/here"), None, None),
    ]


def test_every_call_leaves_its_lines(logged: Logged, world: World) -> None:
    api, user, service = logged.api, world.user(), world.service("files:write")
    session = world.session(user)
    calls = [*logins(api, user, world.login_service()), *refreshes(api, session), *others(api, session)]
    calls += [*one_time_tokens(api, session, service), *extensions(api, session, service)]
    calls += revocations(api, world, world.user(), service)
    calls += [*delegations(api, world, world.user()), *passwords(api, world, world.user())]
    calls += [*second_factors(api, world, world.user()), *doors(api, session, service)]
    assert set(RPCS) <= {call.rpc for call in calls}, "each RPC needs a Call here"
    for call in calls:
        request, event = logged.of(call.answer)
        assert (request["rpc"], request["status"]) == (call.rpc, call.answer.status)
        assert request["errorCode"] == (call.answer.json["errorCode"] if call.answer.status >= 400 else None)
        assert request["principal"] == call.principal
        assert 0 < request["durationMs"] < 10_000
        assert (event is None) == (call.event is None)
        if event is not None:
            assert (event["event"], event["outcome"]) == (call.event, call.outcome)
            assert (event["principal"], event["session"]) == (request["principal"], request["session"])
            assert event["client"] == logged.address


def test_lines_tell_the_session_and_the_chain(logged: Logged, world: World) -> None:
    session, service = world.session(), world.service("files:write")
    reference = claims(session.access_token)["publicSessionReference"]
    for call in refreshes(logged.api, session):
        assert logged.of(call.answer)[0]["session"] == (reference if call.answer.status == 200 else None)
    extended, _, again = extensions(logged.api, session, service)
    new_session = claims(extended.answer.json["accessToken"])["publicSessionReference"]
    event = logged.event(extended.answer)
    assert (event["user"], event["newSession"], event["newChain"]) == (session.id, new_session, [service.id])
    assert event["scopes"] == ["files:read"]
    refreshed = logged.event(again.answer)
    assert (refreshed["session"], refreshed["extendedByChain"]) == (new_session, [service.id])


def test_recovery_and_ended_sessions_are_told(logged: Logged, world: World) -> None:
    api, service = logged.api, world.login_service()
    session = world.session()
    world.session(session.id)
    made = api.create_credentials(session.access_token).ok()
    code = Authenticator(made["secret"]).code()
    event = logged.event(api.answer_challenge(made["challengeId"], code, session.access_token))
    assert (event["revoked"], event.get("recovery")) == (1, None)
    event = logged.event(api.answer_challenge(challenge_of(api, session.id, service), made["recoveryCode"]))
    assert (event["event"], event["revoked"], event["recovery"]) == ("second factor", 1, True)
    owner = new_owner(api, world)
    event = logged.event(api.remove_credentials(owner.session.access_token, PASSWORD, owner.recovery_code))
    assert (event["event"], event["revoked"], event["recovery"]) == ("second factor removal", 0, True)


def test_request_and_claim_of_a_jti_log_the_same_hash(logged: Logged, world: World) -> None:
    told = [
        logged.event(call.answer)["jtiHash"]
        for _ in range(2)
        for call in one_time_tokens(logged.api, world.session(), world.service())
    ]
    assert told[:3] == [told[0]] * 3
    assert told[3:] == [told[3]] * 3
    assert told[0] != told[3]


def test_revocations_are_counted(logged: Logged, world: World) -> None:
    events = [logged.event(call.answer) for call in revocations(logged.api, world, world.user(), world.service())]
    assert [event.get("revoked") for event in events] == [1, 1, 1, 1, None, 1]


def test_a_lockout_and_a_foreign_key_are_events(logged: Logged, world: World) -> None:
    user, name = world.user(), world.login_service()
    client = logged.server.client()
    fail(client, user, name, FAILURES)
    event = logged.event(client.login(user, PASSWORD, name).refused(429))
    assert (event["event"], event["level"], event["principal"]) == ("lockout", "WARNING", user)
    foreign = AccessTokens(Keyring(load_private_key(generate_private_key("ES256"))), "cloud.sdu.dk")
    token = World(world.db, foreign).access_token(user)
    lines = logged.lines(logged.api.sessions(token).refused(401, "INVALID_TOKEN"))
    cause = "the token names a key that is not among JWT_PRIVATE_KEY and JWT_PUBLIC_KEYS"
    assert [line["cause"] for line in lines] == [cause]


def test_no_line_and_no_answer_contains_a_secret(logged: Logged, world: World) -> None:
    api, password = logged.api, secrets.token_hex(16)
    user, service, name = world.user(password=password), world.service("files:write"), world.login_service()
    tokens = api.login(user, password, name).ok()
    one_time = api.request_one_time_token(tokens["accessToken"], "files:read").ok()
    api.login(password, user, name)  # typed into the wrong field
    api.claim(service.access_token, one_time["jti"])
    api.claim(service.access_token, one_time["jti"])
    extended = api.extend(service.access_token, tokens["accessToken"], "files:read", refreshes=True).ok()
    key, new, reset = secrets.token_hex(16), secrets.token_hex(16), refresh_tokens.generate()
    world.db.one("password_reset_start", id=user, reset_token_hash=refresh_tokens.digest(reset), valid_minutes=1)
    api.claim(service.access_token, secrets.token_hex(8), key)
    api.change_password(tokens["accessToken"], new, reset)
    api.reset_password(new, reset)
    api.reset_password(reset, new)
    secret = [password, one_time["jti"], service.refresh_token, service.access_token, one_time["accessToken"]]
    secret += [made[key] for made in (tokens, extended) for key in ("accessToken", "refreshToken", "csrfToken")]
    secret += [key, new, reset, *second_factor_secrets(api, world), *door_secrets(api, world)]
    api.call("POST", f"/auth/{secret[2]}?jti={one_time['jti']}", X_Request_Id=f"{secret[3]}!")
    for broken in (
        b"GET /auth/claim?jti=%s HTP/1.1\r\n\r\n",
        b"GET /livez HTTP/1.1\r\nAuthorization Bearer %s\r\n\r\n",
        b"GET /livez HTTP/1.1\r\nX%s : 1\r\n\r\n",
        b"GET /livez HTTP/1.1\r\nTransfer-Encoding: %s\r\n\r\n",
        b"POST /auth/logout/bulk HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n%s\r\n",
        b"%s\r\n\r\n",
        b"GET /livez HTTP/1.1\r\nAuthorization: Bearer %s",
        b"GET /auth/sessions?%s=" + b"x" * 5000 + b" HTTP/1.1\r\n\r\n",
    ):
        for text in secret:
            answer = raw(logged.server.port, broken % text.encode())
            assert text.encode() not in answer
    everything = logged.text()
    assert user in everything
    for text in secret:
        for part in (text[:20], text[-20:]):
            assert part not in everything


def second_factor_secrets(api: Api, world: World) -> list[str]:
    """The secrets of a factor that was set up, asked for and removed. Its codes are too short to look for."""
    session, service = world.session(), world.login_service()
    made = api.create_credentials(session.access_token).ok()
    code = Authenticator(made["secret"]).code()
    api.answer_challenge(made["challengeId"], made["recoveryCode"], session.access_token).refused(401)
    api.answer_challenge(made["challengeId"], code, session.access_token).ok()
    challenge = challenge_of(api, session.id, service)
    api.answer_challenge(challenge, made["secret"]).refused(401)
    api.answer_challenge(challenge[1:], made["recoveryCode"]).refused(401)
    api.answer_challenge(challenge, made["recoveryCode"]).ok()
    return [made["secret"], made["recoveryCode"], made["challengeId"], challenge]


def door_secrets(api: Api, world: World) -> list[str]:
    """The secrets that doors get and give, in right and in wrong places. None is in an error either."""
    session, service = world.session(), world.service("files:write")
    personal = api.create_personal_token(session.access_token, "files:read", title=session.refresh_token).ok()["token"]
    header = base64.b64encode(":".join(service.client).encode()).decode()
    exchange = {"subject_token": session.access_token, "subject_token_type": EXCHANGED, "scope": "files:read"}
    made = api.token(EXCHANGE, service.client, **exchange | {"scope": "files:read offline_access"}).ok()
    secret = [*(session.refresh_token, session.access_token, service.refresh_token, header, personal)]
    secret += [made["access_token"], made["refresh_token"]]
    wrong = [
        *(api.token(text, service.client) for text in secret),
        *(api.token("client_credentials", (text, text), scope=text) for text in secret),
        *(api.token("refresh_token", refresh_token=text, scope=text) for text in secret),
        *(api.token(EXCHANGE, service.client, **exchange | {name: text}) for text in secret for name in exchange),
        *(api.verify(text, text) for text in secret),
    ]
    for answer in wrong:
        assert answer.status == 200 or not any(text in answer.body.decode() for text in secret)
    for text in secret:
        api.introspect(service.client, text).ok()
    for text in secret:
        api.revoke(text).ok()
    return secret


def raw(port: int, request: bytes) -> bytes:
    with socket.create_connection(("127.0.0.1", port), 10) as connection:
        connection.sendall(request)
        connection.shutdown(socket.SHUT_WR)
        return connection.makefile("rb").read()


@pytest.mark.parametrize(
    ("request_bytes", "status"),
    [
        (b"GET / HTP/1.1\r\n\r\n", 400),
        (b"GET /" + b"x" * 5000 + b" HTTP/1.1\r\n\r\n", 414),
        (b"GET / HTTP/1.1\r\nX: " + b"x" * 33_000 + b"\r\n\r\n", 431),
        (b"GET / HTTP/1.1\r\nTransfer-Encoding: snail\r\n\r\n", 501),
    ],
    ids=["no protocol", "long line", "long header", "unknown coding"],
)
def test_an_unreadable_request_gets_an_error_of_the_usual_form(
    logged: Logged, request_bytes: bytes, status: int
) -> None:
    head, _, body = raw(logged.server.port, request_bytes).partition(b"\r\n\r\n")
    assert int(head.split()[1]) == status
    assert set(json.loads(body)) == {"why", "errorCode"}


def test_every_line_has_the_same_form(environment: dict[str, str], tmp_path: Path) -> None:
    """gunicorn's own lines too, from the start to the end."""
    with serving({**environment, "LOG_LEVEL": "info"}, log=tmp_path / "lines") as [server]:
        raw(server.port, b"GET /secret HTP/1.1\r\n\r\n")
    lines = Logged(server, tmp_path / "lines").lines()
    assert all({"time", "level"} <= set(line) for line in lines)
    assert all(("requestId" in line) != ({"logger", "message"} <= set(line)) for line in lines)
    told = [line["message"] for line in lines if line.get("logger") == "gunicorn.error"]
    assert told[0].startswith("Starting gunicorn")
    assert told[-1].startswith("Shutting down")
    assert any("unreadable request" in line for line in told)


@pytest.mark.parametrize("given", ["abc-1", str(uuid.UUID(int=7)), "Root=1-67891233-abcdef", "x" * 128])
def test_a_request_id_is_taken_over(api: Api, given: str) -> None:
    for path in ("/livez", "/auth/sessions", "/nothing"):
        assert api.call("GET", path, X_Request_Id=given).header("X-Request-Id") == given


@pytest.mark.parametrize("given", [None, "", "a b", "x" * 129, "é", '"', "<script>", "a,b"])
def test_a_request_id_is_made(api: Api, given: str | None) -> None:
    ids = {api.call("GET", "/livez", X_Request_Id=given).header("X-Request-Id") or "" for _ in range(2)}
    assert len(ids) == 2
    assert all(uuid.UUID(made) for made in ids)


def test_errors_that_cause_each_other_are_logged_once() -> None:
    one, other = ValueError(), KeyError()
    one.__cause__, other.__cause__ = other, one
    told = traceback_without_messages(one)
    assert (told.count("ValueError"), told.count("KeyError")) == (1, 1)


def test_an_unexpected_error_is_logged_without_request_data(
    config: Config, address: str, capfd: pytest.CaptureFixture[str]
) -> None:
    def fail(secret: str) -> str:
        raise ValueError(f"cannot read {secret}") from KeyError(secret)

    broken = create_app(config)
    broken.add_url_rule("/break/<secret>", view_func=lambda _, secret: fail(f"{secret}{secret}"))
    Api(send_to_app(broken, address)).call("GET", "/break/abc").refused(500, "INTERNAL_ERROR")
    request_class(broken).database.close()
    [line] = [json.loads(text) for text in capfd.readouterr().out.splitlines()]
    assert "ValueError" in line["exception"]
    assert "KeyError" in line["exception"]
    assert "in fail" in line["exception"]
    assert "abcabc" not in json.dumps(line)


MANY: Final = ",".join(f"{number}:read" for number in range(430))  # as many as a request line may have


def named(world: World, character: str, kind: str = "") -> str:
    """The id of a new user or service, as long as ids can be."""
    suffix = f"{secrets.token_hex(8)}"
    principal_id = f"{kind}{character * (ID_CHARACTERS - len(kind) - len(suffix))}{suffix}"
    columns = dict.fromkeys(("first_names", "last_name"), None if kind else "Ada")
    columns |= dict.fromkeys(("email", "org_id", "password_hash"))
    role, principal_type = ("SERVICE", "service") if kind else ("USER", "password")
    world.db.one("principal_insert", id=principal_id, role=role, principal_type=principal_type, **columns)
    return principal_id


def extended(
    world: World, api: Api, character: str, services: int = CHAIN_SERVICES - 1, scopes_asked: int = 8
) -> Answer:
    """A service with a long name extends a token that such services have extended, of a user with such a name."""
    user, service = named(world, character), named(world, character, "_")
    scopes = [f"files.{'x' * 900}{number}:read" for number in range(scopes_asked)]
    world.db.run("service_scope_change", service_id=service, added=scopes, removed=[])
    chain = [named(world, character, "_") for _ in range(services)]
    token = world.tokens.mint(
        world.principal(user), ["all:write"], 600_000, extendedBy=chain[-1], extendedByChain=chain
    )
    return api.extend(world.access_token(service), token, *scopes)


LONG: Final[dict[str, Callable[[World, Api], Answer]]] = {
    "many scopes": lambda world, api: api.call("POST", f"/auth/request?audience={MANY}", world.session().access_token),
    "long scopes": lambda world, api: api.request_one_time_token(
        world.session().access_token,
        ",".join(f"files.{'x' * (SCOPE_CHARACTERS - 20)}{number}:read" for number in range(9)),
    ),
    "names in ASCII": lambda world, api: extended(world, api, "a"),
    "names that JSON escapes": lambda world, api: extended(world, api, '"'),
    "names in emoji": lambda world, api: extended(world, api, "\N{PILE OF POO}", 1, 3),  # a token has no room for more
    "a request that failed": lambda world, api: api.call("GET", f"/break/{'x' * 3000}"),
}


@pytest.mark.parametrize("act", [pytest.param(act, id=name) for name, act in LONG.items()])
def test_a_request_line_is_short_enough_for_a_pipe(
    deploy: Callable[[Config], Flask],
    config: Config,
    world: World,
    address: str,
    capfd: pytest.CaptureFixture[str],
    act: Callable[[World, Api], Answer],
) -> None:
    """Also where everything in it is as long as it can be. It is JSON, and tells the length of what it cut."""
    app, request_id = deploy(config), "r" * 128
    app.add_url_rule("/break/<path:text>", view_func=lambda _, text: deep(text))
    send = send_to_app(app, address)
    api = Api(lambda method, path, headers, body: send(method, path, {**headers, "X-Request-Id": request_id}, body))
    capfd.readouterr()
    answer = act(world, api)
    [text] = capfd.readouterr().out.splitlines(keepends=True)
    assert len(text.encode()) <= LINE_BYTES
    line = json.loads(text)
    assert (line["requestId"], line["status"]) == (request_id, answer.status)
    cut = {name.removesuffix("InAll") for name in line if name.endswith("InAll")}
    assert cut <= {"scopes", "newChain", "principal", "user", "exception"}
    assert all(0 < len(line[name]) < line[f"{name}InAll"] for name in cut)
    assert cut or line["exception"].startswith("ValueError\n")
    assert line["status"] == 200 or "in deepest" in line["exception"]


def deep(text: str, calls: int = 40) -> str:
    """Each call of `deep` by `deeper`, so that no frame repeats the last one."""
    return deeper(text, calls - 1) if calls else deepest(text)


def deeper(text: str, calls: int) -> str:
    return deep(text, calls)


def deepest(text: str) -> str:
    raise ValueError(text) from KeyError(text)


def test_a_line_of_gunicorn_is_short_enough_for_a_pipe(capfd: pytest.CaptureFixture[str]) -> None:
    for message in ("x" * 10_000, '"' * 10_000, "\N{PILE OF POO}" * 10_000):
        record = logging.LogRecord("gunicorn.error", logging.ERROR, "", 1, "%s", (message,), None)
        with pytest.raises(ValueError, match="secret") as caught:
            deep("secret")
        record.exc_info = (caught.type, caught.value, caught.tb)
        Lines().handle(record)
        text = capfd.readouterr().out
        assert len(text.encode()) <= LINE_BYTES
        line = json.loads(text)
        assert message.startswith(line["message"])
        assert line["messageInAll"] == 10_000
        assert "in deepest" in line["exc_info"]
        assert "secret" not in text


@contextmanager
def piped(folder: Path) -> Iterator[tuple[Path, IO[bytes]]]:
    """A pipe of the smallest size, by its path and its end for reading."""
    path = folder / "pipe"
    os.mkfifo(path)
    with os.fdopen(os.open(path, os.O_RDONLY | os.O_NONBLOCK), "rb") as reader:
        fcntl.fcntl(reader, fcntl.F_SETPIPE_SZ, 4096)
        yield path, reader


def read(reader: IO[bytes]) -> bytes:
    """All that is in the pipe."""
    return reader.read() or b""


def dropped(api: Api) -> float:
    families = text_string_to_metric_families(api.call("GET", "/metrics").body.decode())
    return sum(s.value for family in families for s in family.samples if s.name == "auth_log_lines_dropped_total")


@pytest.fixture(scope="module")
def unread(environment: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Server, IO[bytes]]]:
    """A server whose standard output is a small pipe, and the end for reading. It stops while nobody reads."""
    with piped(tmp_path_factory.mktemp("log")) as (path, reader):
        with serving({**environment, "LOG_LEVEL": "info"}, workers=2, log=path) as [server]:
            yield server, reader
        assert server.process.returncode == 0


def test_standard_output_that_nobody_reads_holds_up_nothing(unread: tuple[Server, IO[bytes]], world: World) -> None:
    """Lines for which there is no room are dropped and counted; where the reader is back, lines come again."""
    (server, reader), token = unread, world.session().refresh_token
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda _: server.api.refresh(token), range(60)))
    assert {answer.status for answer in answers} == {200}
    assert server.api.call("GET", "/livez").status == 200
    assert raw(server.port, b"GET / HTP/1.1\r\n\r\n").startswith(b"HTTP/1.1 400")  # gunicorn logs a line here
    before = dropped(server.api)
    assert before >= 40
    assert all(map(json.loads, read(reader).splitlines()))
    answer = server.api.refresh(token)
    [line] = map(json.loads, read(reader).splitlines())
    assert line["requestId"] == answer.header("X-Request-Id")
    assert dropped(server.api) == before + 1  # the line of the first /metrics


def test_lines_of_many_threads_stay_whole_where_the_reader_is_slow(
    unread: tuple[Server, IO[bytes]], world: World
) -> None:
    """Each line is in the pipe as a whole, or counted as dropped."""
    (server, reader), token = unread, world.session().access_token
    read(reader)
    before, text = dropped(server.api), bytearray()
    with ThreadPoolExecutor(8) as pool:
        answers = [pool.submit(server.api.call, "POST", f"/auth/request?audience={MANY}", token) for _ in range(60)]
        while not all(answer.done() for answer in answers):
            text += reader.read(1000) or b""
    text += read(reader)
    assert {answer.result().status for answer in answers} == {200}
    lines = map(json.loads, text.splitlines())
    logged = [line["requestId"] for line in lines if line.get("event") == "one-time token"]
    assert set(logged) <= {answer.result().header("X-Request-Id") for answer in answers}
    assert len(set(logged)) == len(logged) == 60 - (dropped(server.api) - before)


@pytest.mark.parametrize("reason", ["the disk is full", "the reader is gone", "there is no room"])
def test_a_log_that_takes_nothing_changes_no_answer(
    api: Api, world: World, monkeypatch: pytest.MonkeyPatch, reason: str
) -> None:
    token = world.session().refresh_token
    reader, writer = os.pipe()
    with open("/dev/full" if reason == "the disk is full" else writer, "wb", buffering=0) as output:
        if reason == "there is no room":
            os.set_blocking(writer, False)
            while output.write(b"x" * 4096):
                pass
        else:
            os.close(reader)
        before = dropped(api)
        monkeypatch.setattr(log, "_standard_output", lambda: output)
        assert api.refresh(token).status == 200
        monkeypatch.undo()
    assert dropped(api) == before + 1


WRITES: Final = """
import os, socket, sys
from auth.ops import log

def write():
    return log.write({"text": "x" * 3000}, lambda value: str(value).encode())

one, other = socket.socketpair()
written = 0
while written < 1000 and write():
    written += 1
print(written, one.fileno(), file=sys.stderr, flush=True)
sys.stdin.readline()
print(write(), file=sys.stderr)
other.setblocking(False)
try:
    print(other.recv(1), file=sys.stderr)
except BlockingIOError:
    print("nothing", file=sys.stderr)
"""


@contextmanager
def writing(stdout: Any, **options: Any) -> Iterator[subprocess.Popen[str]]:
    """A process that writes lines until one is dropped, then waits for a line, and then writes one more."""
    command = [sys.executable, "-c", WRITES]
    options |= {"cwd": PROJECT, "stdout": stdout, "stdin": subprocess.PIPE, "stderr": subprocess.PIPE}
    with subprocess.Popen(command, text=True, **options) as process:
        yield process


def test_only_the_service_writes_without_waiting_to_a_pipe() -> None:
    """Another program that shares the pipe, such as a shell, still waits for the reader."""
    reader, shared = os.pipe()
    with writing(shared) as process, os.fdopen(reader, "rb"), os.fdopen(shared, "wb"):
        assert 0 < int(told(process).split()[0]) < 1000
        assert os.get_blocking(shared)
        while select.select([reader], [], [], 0)[0]:
            os.read(reader, 65536)
        assert process.communicate("\n")[1].split() == ["True", "nothing"]


def test_a_socket_as_standard_output_is_not_waited_for() -> None:
    """systemd's journal is one."""
    ours, theirs = socket.socketpair()
    with ours, theirs, writing(theirs) as process:
        assert 0 < int(told(process).split()[0]) < 1000
        ours.setblocking(False)
        with suppress(BlockingIOError):
            while ours.recv(65536):
                pass
        assert process.communicate("\n")[1].split() == ["True", "nothing"]


def test_lines_go_nowhere_where_standard_output_is_closed() -> None:
    """The next connection gets its number."""
    with writing(None, preexec_fn=partial(os.close, 1)) as process:
        assert told(process).split() == ["1000", "1"]
        assert process.communicate("\n")[1].split() == ["True", "nothing"]


def told(process: subprocess.Popen[str]) -> str:
    """The next line of the process on standard error."""
    assert process.stderr is not None
    return process.stderr.readline()
