"""The service as it is deployed: gunicorn processes that share nothing but the database."""

import http.client
import io
import json
import secrets
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from itertools import chain
from urllib.parse import urlencode

import jwt
import psycopg
import pytest

from auth.core import refresh_tokens
from auth.core.models import Role

from .support.api import COOKIE, Api
from .support.servers import Server
from .support.world import ORIGIN, PASSWORD, World, claims
from .test_login import multipart

pytestmark = pytest.mark.xdist_group("servers")


@pytest.fixture
def one(servers: list[Server]) -> Api:
    return servers[0].api


@pytest.fixture
def other(servers: list[Server]) -> Api:
    return servers[1].api


def test_a_user_logs_in_in_every_form(one: Api, other: Api, world: World) -> None:
    user, service = world.user(), world.login_service()
    fields = {"username": user, "password": PASSWORD, "service": service}
    body, content_type = multipart(**fields)
    logins = [
        one.login(**fields),
        one.call("POST", "/auth/login", data=body, Content_Type=content_type, Accept="application/json"),
        one.call("POST", "/auth/login", json_body=fields, Accept="application/json"),
    ]
    for login in logins:
        tokens = login.ok()
        cookie = login.cookies[COOKIE].value
        assert tokens["refreshToken"] == cookie
        assert claims(other.refresh(tokens["refreshToken"]).ok()["accessToken"])["sub"] == user
        assert claims(other.web_refresh(cookie, tokens["csrfToken"], ORIGIN).ok()["accessToken"])["sub"] == user
    assert one.sessions(logins[0].json["accessToken"]).ok()["itemsInTotal"] == 3


def test_three_services_act_for_a_user_in_turn(one: Api, other: Api, world: World) -> None:
    services = [world.service("files:write") for _ in range(3)]
    for refreshes in (True, False):
        token, acting = one.login(world.user(), PASSWORD, world.login_service()).ok()["accessToken"], []
        for service in services:
            bearer = one.refresh(service.refresh_token).ok()["accessToken"]
            extended = other.extend(bearer, token, "files:write", refreshes=refreshes).ok()
            acting.append(service.id)
            token = extended["accessToken"]
            assert claims(token)["extendedByChain"] == acting
            if refreshes:
                again = one.refresh(extended["refreshToken"]).ok()["accessToken"]
                assert claims(again)["extendedByChain"] == acting
            else:
                assert extended["refreshToken"] is None


def test_a_download_happens_once(servers: list[Server], one: Api, other: Api, world: World) -> None:
    """A resource server that has nothing but the key set's address accepts each one-time token once."""
    session, storage = world.session(), world.service()
    minted = one.request_one_time_token(session.access_token, "files.download:write").ok()
    keys = jwt.PyJWKClient(f"http://127.0.0.1:{servers[1].port}/.well-known/jwks.json")
    key = keys.get_signing_key_from_jwt(minted["accessToken"])
    payload = jwt.decode(
        minted["accessToken"], key, [key.algorithm_name], audience="files.download:write", issuer="cloud.sdu.dk"
    )
    assert payload["sub"] == session.id
    assert one.claim(storage.access_token, payload["jti"]).status == 200
    other.claim(storage.access_token, payload["jti"]).refused(409, "ALREADY_CLAIMED")


def test_sessions_are_seen_and_ended_everywhere(one: Api, other: Api, world: World) -> None:
    user = world.user()
    sessions = [world.session(user, user_agent=str(number)) for number in range(25)]
    bearer = sessions[-1].access_token
    pages = [other.sessions(bearer, f"?itemsPerPage=10&page={page}").ok()["items"] for page in range(3)]
    assert [item["userAgent"] for page in pages for item in page] == [str(n) for n in reversed(range(25))]
    assert one.logout(sessions[0].refresh_token).status == 200
    assert one.web_logout(sessions[1].refresh_token, sessions[1].csrf, ORIGIN).status == 200
    assert one.bulk_invalidate(world.service().access_token, [sessions[2].refresh_token]).status == 200
    assert other.sessions(bearer).ok()["itemsInTotal"] == 22
    assert one.invalidate_sessions(bearer).status == 200
    for session in sessions:
        other.refresh(session.refresh_token).refused(401, "INVALID_TOKEN")


def test_ten_thousand_tokens_end_in_one_statement(one: Api, other: Api, world: World) -> None:
    user = world.user()
    sessions = [world.session(user).refresh_token for _ in range(50)]
    tokens = sessions + [refresh_tokens.generate() for _ in range(9_950)]
    assert one.bulk_invalidate(world.access_token(world.user(Role.ADMIN)), tokens).status == 200
    assert {other.refresh(token).status for token in sessions} == {401}


def test_sixty_four_claims_of_each_of_two_hundred_jtis(servers: list[Server], world: World) -> None:
    """One claim wins and all others get 409. After a 503 of a stalled machine a client asks again: the claim may have
    been stored before the 503, and then nobody gets a 200.
    """
    bearer = world.service().access_token
    jtis = [secrets.token_hex(16) for _ in range(200)]

    def claim_all(thread: int) -> list[list[int]]:
        connection = http.client.HTTPConnection("127.0.0.1", servers[thread % 2].port, timeout=60)
        statuses = [claim_until_answered(connection, bearer, jti) for jti in jtis]
        connection.close()
        return statuses

    with ThreadPoolExecutor(64) as pool:
        threads = list(pool.map(claim_all, range(64)))
    counts = [Counter(chain(*statuses)) for statuses in zip(*threads, strict=True)]
    for count in counts:
        if count[503]:
            assert count[200] <= 1
            assert count[200] + count[409] == 64
        else:
            assert count == {200: 1, 409: 63}
    assert sum(count[503] for count in counts) <= 64 * 200 // 100


def claim_until_answered(connection: http.client.HTTPConnection, bearer: str, jti: str) -> list[int]:
    """The statuses of one client's claims of a jti: those before the last one are 503."""
    statuses = list[int]()
    while not statuses or (statuses[-1] == 503 and len(statuses) < 20):
        connection.request("POST", f"/auth/claim?jti={jti}", headers={"Authorization": f"Bearer {bearer}"})
        response = connection.getresponse()
        response.read()
        statuses.append(response.status)
        time.sleep(0.5 * (response.status == 503))
    return statuses


def test_a_dump_holds_no_secret(one: Api, world: World, database_url: str) -> None:
    password = secrets.token_hex(16)
    user, service = world.user(password=password), world.service("files:write")
    login = one.login(user, password, world.login_service()).ok()
    extended = one.extend(service.access_token, login["accessToken"], "files:read", refreshes=True).ok()
    secret = [password, service.refresh_token, login["accessToken"], extended["accessToken"]]
    secret += [tokens[name] for tokens in (login, extended) for name in ("refreshToken", "csrfToken")]
    content = dump(database_url)
    assert user in content
    for text in secret:
        for part in (text[:16], text[-16:]):  # no part may be in the dump either
            assert part not in content
            assert part.encode().hex() not in content
        assert secrets_bytes(text).hex() not in content


def secrets_bytes(text: str) -> bytes:
    import base64

    return base64.urlsafe_b64decode(text.split(".")[-1] + "===")


def dump(database_url: str) -> str:
    """Everything that the database's tables hold, as text."""
    content = io.BytesIO()
    with psycopg.connect(database_url) as connection:
        tables = connection.execute("SELECT tablename FROM pg_tables WHERE schemaname = 'public'").fetchall()
        assert len(tables) >= 6
        for (table,) in tables:
            with connection.cursor().copy(
                psycopg.sql.SQL("COPY {} TO STDOUT").format(psycopg.sql.Identifier(table))
            ) as copy:
                for data in copy:
                    content.write(data)
    return content.getvalue().decode()


def test_the_wire_carries_both_bodies(servers: list[Server], world: World) -> None:
    """A chunked body is read like one whose length was announced."""
    form = urlencode({"username": world.user(), "password": PASSWORD, "service": world.login_service()}).encode()
    connection = http.client.HTTPConnection("127.0.0.1", servers[0].port, timeout=30)
    headers = {"Content-Type": "application/x-www-form-urlencoded", "Accept": "application/json"}
    for body in (form, iter([form[:5], form[5:]])):
        connection.request("POST", "/auth/login", body, headers, encode_chunked=not isinstance(body, bytes))
        response = connection.getresponse()
        assert (response.status, set(json.loads(response.read()))) == (
            200,
            {"accessToken", "csrfToken", "refreshToken"},
        )
    connection.close()
