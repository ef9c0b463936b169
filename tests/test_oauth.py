"""The doors of OAuth 2.0: token, introspection, revocation, metadata. test_verify.py tests /auth/verify."""

import base64
import json
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any
from urllib.parse import quote

import psycopg
import pytest
from flask import Flask

from auth.config import Config
from auth.core.errors import ApiError
from auth.core.limits import DELEGATIONS, MODEL_BODY_BYTES
from auth.core.models import Role

from .support.api import Answer, Api, any_address, send_to_app
from .support.command_line import CommandLine
from .support.rows import add_delegations
from .support.world import ORIGIN, PASSWORD, Stored, World, claims

FORM = "application/x-www-form-urlencoded"
EXCHANGE = "urn:ietf:params:oauth:grant-type:token-exchange"
ACCESS_TOKEN = "urn:ietf:params:oauth:token-type:access_token"
JWT = "urn:ietf:params:oauth:token-type:jwt"
TOKEN, INTROSPECT, REVOKE = "/auth/oauth/token", "/auth/oauth/introspect", "/auth/oauth/revoke"


def exchange(api: Api, service: Stored, subject: str, scope: str = "files:read", **others: str) -> Answer:
    parameters = {"subject_token": subject, "subject_token_type": ACCESS_TOKEN, "scope": scope} | others
    return api.token(EXCHANGE, service.client, **parameters)


def refused(answer: Answer, error: str, error_code: str | None = None, status: int = 400) -> None:
    """Assert that this is an error in both dialects."""
    answer.refused(status, error_code)
    assert answer.json["error"] == error
    assert answer.json["error_description"] == answer.json["why"]
    assert answer.header("Cache-Control") == "no-store, private"
    expected = "Basic" if error == "invalid_client" else None
    assert answer.header("WWW-Authenticate") == expected


# The token endpoint.


def test_a_client_gets_a_token_by_its_credentials(api: Api, world: World) -> None:
    service = world.service()
    answer = api.token("client_credentials", service.client)
    made = answer.ok()
    assert set(made) == {"access_token", "token_type", "expires_in", "scope"}
    assert (made["token_type"], made["expires_in"], made["scope"]) == ("Bearer", 600, "all:write")
    assert answer.header("Cache-Control") == "no-store, private"
    by_rpc = claims(api.refresh(service.refresh_token).ok()["accessToken"])
    by_door = claims(made["access_token"])
    assert {**by_door, "iat": 0, "exp": 0} == {**by_rpc, "iat": 0, "exp": 0}


def test_a_token_is_narrowed_to_the_scope_that_was_asked_for(api: Api, world: World) -> None:
    service, session = world.service(), world.session()
    for made in (
        api.token("client_credentials", service.client, scope=" files:READ  jobs.list:write files:read").ok(),
        api.token("refresh_token", refresh_token=session.refresh_token, scope="files:read jobs.list:write").ok(),
    ):
        assert made["scope"] == "files:read jobs.list:write"
        assert claims(made["access_token"])["aud"] == ["files:read", "jobs.list:write"]
    for scope, code in (("special:read", "SCOPE_NOT_COVERED"), ("files", "MALFORMED_SCOPE")):
        refused(api.token("client_credentials", service.client, scope=scope), "invalid_scope", code)
        answer = api.token("refresh_token", refresh_token=session.refresh_token, scope=f"files:read {scope}")
        refused(answer, "invalid_scope", code)


def test_an_empty_parameter_counts_as_left_out(api: Api, world: World) -> None:
    service = world.service()
    assert api.token("client_credentials", service.client, scope="", audience="").ok()["scope"] == "all:write"
    refused(api.token(""), "invalid_request", "INVALID_REQUEST")
    refused(api.token("refresh_token", refresh_token=""), "invalid_request", "INVALID_REQUEST")
    refused(api.form(REVOKE, token=""), "invalid_request", "INVALID_REQUEST")


def test_a_refresh_token_gets_access_tokens(api: Api, world: World) -> None:
    """Of a session, a delegation and a service. It stays as it is, and no client has to be named."""
    session, service = world.session(), world.service("files:read")
    delegation = api.extend(service.access_token, session.access_token, "files:read", refreshes=True).ok()
    for refresh_token, scope in (
        (session.refresh_token, "all:write"),
        (service.refresh_token, "all:write"),
        (delegation["refreshToken"], "files:read"),
    ):
        made = api.token("refresh_token", refresh_token=refresh_token).ok()
        assert set(made) == {"access_token", "token_type", "expires_in", "scope"}
        assert made["scope"] == scope
        assert api.refresh(refresh_token).status == 200
    api.sessions(api.token("refresh_token", refresh_token=session.refresh_token).ok()["access_token"]).ok()


def test_what_refresh_refuses_is_an_invalid_grant(api: Api, world: World, flask: CommandLine) -> None:
    ended, disabled = world.session(), world.session()
    api.logout(ended.refresh_token).ok()
    flask.json("users", "disable", disabled.id)
    for token in (ended.refresh_token, disabled.refresh_token, "unknown", ended.access_token):
        refused(api.token("refresh_token", refresh_token=token), "invalid_grant", "INVALID_TOKEN")


def test_a_delegation_without_allowed_scopes_is_an_invalid_grant(api: Api, world: World, flask: CommandLine) -> None:
    session, service = world.session(), world.service("files:read")
    delegation = api.extend(service.access_token, session.access_token, "files:read", refreshes=True).ok()
    flask.json("services", "scopes", service.id, "--remove", "files:read")
    refused(api.token("refresh_token", refresh_token=delegation["refreshToken"]), "invalid_grant", "INVALID_TOKEN")


def test_a_narrowed_token_is_no_restricted_one(api: Api, world: World) -> None:
    """Even with the scopes of a restricted token: otherwise it could add a factor, and end the other sessions."""
    session = world.session()
    for scope in ("auth.twofactor:write sla:write", "auth.twofactor:write"):
        made = api.token("refresh_token", refresh_token=session.refresh_token, scope=scope).ok()["access_token"]
        api.create_credentials(made).refused(403, "SESSION_TOKEN_NEEDED")
        api.two_factor_status(made).refused(403, "SESSION_TOKEN_NEEDED")


def test_an_unknown_grant_is_refused(api: Api, world: World) -> None:
    for grant in ("password", "authorization_code", "implicit", "CLIENT_CREDENTIALS", "a" * 1000):
        refused(api.token(grant, world.service().client), "unsupported_grant_type", "UNSUPPORTED_GRANT_TYPE")
    refused(api.form(TOKEN), "invalid_request", "INVALID_REQUEST")


def test_restricted_people_get_restricted_tokens_here_too(
    config: Config, deploy: Callable[[Config], Flask], world: World
) -> None:
    required = replace(config, second_factor_required=frozenset({Role.USER}))
    api = Api(send_to_app(deploy(required), any_address()))
    session, service = world.session(), world.service("files:read", "auth:write", "sla:write")
    made = api.token("refresh_token", refresh_token=session.refresh_token).ok()
    assert made["scope"] == "auth.twofactor:write sla:write"
    refused(
        api.token("refresh_token", refresh_token=session.refresh_token, scope="files:read"),
        "invalid_scope", "SCOPE_NOT_COVERED",
    )  # fmt: skip
    narrowed = api.token("refresh_token", refresh_token=session.refresh_token, scope="sla:write").ok()
    assert narrowed["scope"] == "sla:write"
    api.find_sla(made["access_token"]).ok()
    api.find_sla(narrowed["access_token"]).refused(403, "SESSION_TOKEN_NEEDED")
    for token in (made["access_token"], narrowed["access_token"]):
        api.extend(service.access_token, token, "sla:write").refused(401, "SCOPE_NOT_COVERED")
        refused(exchange(api, service, token, "sla:write"), "invalid_scope", "SCOPE_NOT_COVERED")


# Token exchange.


def test_a_service_exchanges_a_users_token(api: Api, world: World) -> None:
    service, user = world.service("files:write"), world.session()
    for token_type in (ACCESS_TOKEN, JWT):
        answer = exchange(api, service, user.access_token, "files:READ", subject_token_type=token_type)
        made = answer.ok()
        assert set(made) == {"access_token", "token_type", "expires_in", "scope", "issued_token_type"}
        assert (made["issued_token_type"], made["scope"]) == (ACCESS_TOKEN, "files:read")
        assert made["expires_in"] == 600
        payload = claims(made["access_token"])
        assert (payload["sub"], payload["extendedBy"], payload["aud"]) == (user.id, service.id, ["files:read"])
        assert "publicSessionReference" not in payload
    assert api.delegations(user.access_token).ok()["itemsInTotal"] == 0


def test_offline_access_asks_for_a_refresh_token(api: Api, world: World) -> None:
    service, user = world.service("files:write"), world.session()
    made = exchange(api, service, user.access_token, "files:read offline_access jobs:read")
    refused(made, "invalid_scope", "SCOPE_NOT_IN_POLICY")
    assert api.delegations(user.access_token).ok()["itemsInTotal"] == 0
    made = exchange(api, service, user.access_token, "offline_access files:read").ok()
    assert made["scope"] == "files:read"
    assert api.delegations(user.access_token).ok()["itemsInTotal"] == 1
    again = api.token("refresh_token", refresh_token=made["refresh_token"]).ok()
    assert again["scope"] == "files:read"
    assert claims(again["access_token"])["extendedByChain"] == [service.id]
    refused(exchange(api, service, user.access_token, "offline_access"), "invalid_scope", "MALFORMED_SCOPE")


def test_a_token_for_one_audience_is_refused_by_each_grant(api: Api, world: World) -> None:
    """Otherwise a client that asks for a token for one server would get one that every server accepts."""
    service, user = world.service("files:write"), world.session()
    wrong = {"actor_token": user.access_token, "audience": "files", "resource": "https://files.example.org"}
    for name, value in wrong.items():
        parameter: dict[str, Any] = {name: value}
        for answer in (
            api.token("client_credentials", service.client, **parameter),
            api.token("refresh_token", refresh_token=user.refresh_token, **parameter),
            exchange(api, service, user.access_token, **parameter),
        ):
            refused(answer, "invalid_request", "INVALID_REQUEST")


def test_other_types_of_tokens_are_refused(api: Api, world: World) -> None:
    service, user = world.service("files:write"), world.session()
    wrong: list[dict[str, str]] = [
        {"subject_token": ""},
        {"subject_token_type": ""},
        {"subject_token_type": "urn:ietf:params:oauth:token-type:refresh_token"},
        {"subject_token_type": "urn:ietf:params:oauth:token-type:saml2"},
        {"requested_token_type": "urn:ietf:params:oauth:token-type:refresh_token"},
    ]
    for parameters in wrong:
        refused(exchange(api, service, user.access_token, **parameters), "invalid_request", "INVALID_REQUEST")
    for asked, issued in (("", ACCESS_TOKEN), (ACCESS_TOKEN, ACCESS_TOKEN), (JWT, JWT)):
        made = exchange(api, service, user.access_token, requested_token_type=asked).ok()
        assert made["issued_token_type"] == issued


def test_the_checks_of_an_extension_keep_their_order_and_codes(api: Api, world: World, database_url: str) -> None:
    service, user = world.service("files:write"), world.session()
    one_time = api.request_one_time_token(user.access_token, "files:read").ok()["accessToken"]
    ended = world.session()
    api.logout(ended.refresh_token).ok()
    for token in ("unknown", one_time, ended.access_token, service.access_token):
        refused(exchange(api, service, token, "special:read"), "invalid_grant", "INVALID_TOKEN")
    for scope, code in (
        ("files", "MALFORMED_SCOPE"),
        ("", "MALFORMED_SCOPE"),
        ("jobs:read", "SCOPE_NOT_IN_POLICY"),
        ("all:read", "SCOPE_NOT_IN_POLICY"),
    ):
        refused(exchange(api, service, user.access_token, scope), "invalid_scope", code)
    everything = world.service("all:write", "special:write")
    refused(exchange(api, everything, user.access_token, "all:read"), "invalid_scope", "SCOPE_NOT_EXTENDABLE")
    narrow = world.access_token(user.id, scopes=["files.list:read"])
    refused(exchange(api, service, narrow, "files:write"), "invalid_scope", "SCOPE_NOT_COVERED")
    add_delegations(database_url, user.id, service.id, DELEGATIONS)
    answer = exchange(api, service, user.access_token, "files:read offline_access")
    refused(answer, "invalid_request", "TOO_MANY_DELEGATIONS")


def test_extended_tokens_name_the_actors(api: Api, world: World) -> None:
    """RFC 8693, 4.1: the last service outermost. Tokens that nobody extended have no `act`."""
    user, first, second = world.session(), world.service("files:write"), world.service("files:write", "auth:write")
    one = exchange(api, first, user.access_token, "files:read offline_access").ok()
    assert claims(one["access_token"])["act"] == {"sub": first.id}
    two = exchange(api, second, one["access_token"], "files:read").ok()["access_token"]
    expected = {"sub": second.id, "act": {"sub": first.id}}
    assert (claims(two)["act"], claims(two)["extendedByChain"]) == (expected, [first.id, second.id])
    extended = api.extend(second.access_token, user.access_token, "auth:write", refreshes=True).ok()
    for token in (extended["accessToken"], api.refresh(extended["refreshToken"]).ok()["accessToken"]):
        assert claims(token)["act"] == {"sub": second.id}
    one_time = api.request_one_time_token(extended["accessToken"], "auth:read").ok()["accessToken"]
    assert claims(one_time)["act"] == {"sub": second.id}
    for token in (user.access_token, api.refresh(user.refresh_token).ok()["accessToken"], first.access_token):
        assert "act" not in claims(token)
    assert json.loads(base64.urlsafe_b64decode(two.split(".")[0] + "=="))["typ"] == "JWT"


# Clients.


def test_wrong_clients_get_one_answer(api: Api, world: World, flask: CommandLine, database_url: str) -> None:
    service, other, disabled, rotated, user = (
        *(world.service() for _ in range(4)),
        world.session(),
    )
    flask.json("services", "rotate", rotated.id)
    with psycopg.connect(database_url) as connection:
        connection.execute("UPDATE principal SET disabled_at = now() WHERE id = %s", [disabled.id])
    delegation = api.extend(
        world.service("files:read").access_token, user.access_token, "files:read", refreshes=True
    ).ok()["refreshToken"]
    wrong: list[tuple[str, str] | None] = [
        None,
        ("", ""),
        (service.id, ""),
        ("", service.refresh_token),
        (service.id, "wrong"),
        (f"{service.id}x", service.refresh_token),
        (service.id, other.refresh_token),
        (service.id, service.access_token),
        disabled.client,
        rotated.client,
        (user.id, user.refresh_token),
        (user.id, delegation),
    ]
    answers = set()
    for client in wrong:
        for answer in (
            api.token("client_credentials", client),
            api.token(EXCHANGE, client, subject_token=user.access_token, subject_token_type=JWT, scope="files:read"),
            api.introspect(client, user.access_token),
        ):
            refused(answer, "invalid_client", "INVALID_CLIENT", 401)
            answers.add(answer.body)
    assert len(answers) == 1


@pytest.mark.parametrize("header", ["Basic", "Basic !", "Basic eA==", "Basic /w==", "Basic \u00e9", "basic  "])
def test_a_basic_header_that_cannot_be_read_is_an_invalid_client(api: Api, world: World, header: str) -> None:
    """Also beside right credentials in the form: where both come, the header counts."""
    service = world.service()
    body = f"grant_type=client_credentials&client_id={service.id}&client_secret={service.refresh_token}"
    answer = api.call("POST", TOKEN, data=body.encode(), Content_Type=FORM, Authorization=header)
    refused(answer, "invalid_client", "INVALID_CLIENT", 401)


def test_a_client_may_use_the_form_instead_of_the_header(api: Api, world: World) -> None:
    """Where both come, the header counts. A header of another scheme does not."""
    service, other = world.service(), world.service()
    posted: dict[str, Any] = {"client_id": service.id, "client_secret": service.refresh_token}
    assert claims(api.token("client_credentials", **posted).ok()["access_token"])["sub"] == service.id
    assert api.form(INTROSPECT, **posted, token=service.access_token).ok()["active"] is True
    both = api.token("client_credentials", other.client, **posted).ok()
    assert claims(both["access_token"])["sub"] == other.id
    refused(api.token("client_credentials", (service.id, "x"), **posted), "invalid_client", status=401)
    body = b"grant_type=client_credentials&client_id=%s&client_secret=%s" % tuple(t.encode() for t in service.client)
    assert api.call("POST", TOKEN, "x", data=body, Content_Type=FORM).status == 200


def test_ids_and_secrets_in_the_header_are_percent_decoded(api: Api, world: World) -> None:
    """RFC 6749, 2.3.1. `quote_plus` of `Api.form` writes a blank as `+`."""
    service = world.service(named=f"_\u00e5 b+%:/{world.service().id}")
    made = api.token("client_credentials", service.client).ok()
    assert claims(made["access_token"])["sub"] == service.id
    encoded = "".join(f"%{byte:02X}" for byte in service.refresh_token.encode())
    basic = base64.b64encode(f"{quote(service.id)}:{encoded}".encode()).decode()
    body = b"grant_type=client_credentials"
    api.call("POST", TOKEN, data=body, Content_Type=FORM, Authorization=f"Basic {basic}").ok()


# Requests.


def test_only_urlencoded_forms_are_taken(api: Api, world: World) -> None:
    service = world.service()
    form = {"grant_type": "client_credentials", "client_id": service.id, "client_secret": service.refresh_token}
    for path in (TOKEN, INTROSPECT, REVOKE):
        for media_type in ("application/json", "multipart/form-data; boundary=x", "text/plain", None):
            answer = api.call("POST", path, data=json.dumps(form).encode(), Content_Type=media_type)
            refused(answer, "invalid_request", "UNSUPPORTED_MEDIA_TYPE", 415)
    body = "&".join(f"{name}={value}" for name, value in form.items()).encode()
    api.call("POST", TOKEN, data=body, Content_Type=f"{FORM};charset=UTF-8").ok()


def test_a_form_that_is_too_long_or_cannot_be_read(api: Api) -> None:
    for path in (TOKEN, INTROSPECT, REVOKE):
        long = api.call("POST", path, data=b"a" * (MODEL_BODY_BYTES + 1), Content_Type=FORM)
        refused(long, "invalid_request", "BODY_TOO_LARGE", 413)
        for body in (b"grant_type=%ff&token=%ff", b"&".join([b"token=x"] * 200), b""):
            answer = api.call("POST", path, data=body, Content_Type=FORM)
            refused(answer, "invalid_request", "INVALID_REQUEST")


def test_of_a_parameter_given_twice_the_first_counts(api: Api, world: World) -> None:
    service = world.service()
    body = "grant_type=client_credentials&grant_type=password&scope=files:read&scope=jobs:read&unknown=1&"
    body += f"client_id={service.id}&client_id=_x&client_secret={service.refresh_token}"
    made = api.call("POST", TOKEN, data=body.encode(), Content_Type=FORM).ok()
    assert made["scope"] == "files:read"


def test_pages_of_trusted_origins_may_use_the_doors(api: Api, world: World) -> None:
    token = world.session().refresh_token
    body = f"grant_type=refresh_token&refresh_token={token}".encode()
    answer = api.call("POST", TOKEN, data=body, Content_Type=FORM, Origin=ORIGIN)
    assert (answer.status, answer.header("Access-Control-Allow-Origin")) == (200, ORIGIN)
    answer = api.call("POST", TOKEN, data=body, Content_Type=FORM, Origin="https://evil.example")
    assert answer.header("Access-Control-Allow-Origin") is None


def all_errors(kind: type[ApiError] = ApiError) -> list[type[ApiError]]:
    return [found for below in kind.__subclasses__() for found in (below, *all_errors(below))]


def test_every_error_has_a_description_that_clients_may_show() -> None:
    """RFC 6749, 5.2, allows these characters."""
    allowed = {chr(code) for code in range(0x20, 0x7F)} - {'"', "\\"}
    for kind in all_errors():
        assert set(kind.__doc__ or "") <= allowed, kind


# Introspection.


def test_a_client_asks_whether_a_token_is_active(api: Api, world: World) -> None:
    service, user = world.service(), world.session()
    answer = api.introspect(service.client, user.access_token)
    found = answer.ok()
    assert answer.header("Cache-Control") == "no-store, private"
    assert found.items() >= claims(user.access_token).items()
    assert (found["active"], found["token_type"]) == (True, "Bearer")
    assert (found["username"], found["scope"]) == (user.id, "all:write")
    assert "client_id" not in found
    assert api.introspect(service.client, service.access_token).ok()["username"] == service.id


def test_the_answer_about_an_extended_token_names_its_client(api: Api, world: World) -> None:
    user, first, second = world.session(), world.service("files:write"), world.service("files:write")
    token = exchange(api, first, user.access_token).ok()["access_token"]
    token = exchange(api, second, token).ok()["access_token"]
    found = api.introspect(first.client, token).ok()
    assert (found["client_id"], found["username"]) == (second.id, user.id)
    assert found["act"] == {"sub": second.id, "act": {"sub": first.id}}


def test_a_one_time_token_is_active_until_it_is_claimed(api: Api, world: World) -> None:
    service, user = world.service(), world.session()
    made = api.request_one_time_token(user.access_token, "files:read").ok()
    found = api.introspect(service.client, made["accessToken"]).ok()
    assert (found["active"], found["jti"]) == (True, made["jti"])
    api.claim(service.access_token, made["jti"]).ok()
    assert api.introspect(service.client, made["accessToken"]).ok() == {"active": False}


def expired(world: World, user: str) -> str:
    token = world.access_token(user, lifetime_ms=1)
    while claims(token)["exp"] + 5 > time.time():  # with the leeway
        time.sleep(0.1)
    return token


def test_other_tokens_are_not_active(api: Api, world: World, flask: CommandLine) -> None:
    service, user, ended, disabled = world.service(), world.session(), world.session(), world.session()
    api.logout(ended.refresh_token).ok()
    flask.json("users", "disable", disabled.id)
    head, payload, signature = user.access_token.split(".")
    inactive = ["x", "a.b.c", "\u00e9", user.refresh_token, service.refresh_token, ended.access_token]
    unknown_role = world.tokens.mint({**world.principal(user.id), "role": "AUDITOR"}, ["all:write"], 600_000)
    one_time = api.request_one_time_token(world.session(ended.id).access_token, "files:read").ok()["accessToken"]
    api.invalidate_sessions(world.session(ended.id).access_token).ok()
    inactive += [disabled.access_token, f"{head}.{payload}.{signature[::-1]}", expired(world, user.id)]
    inactive += [unknown_role, one_time]
    for token in inactive:
        assert api.introspect(service.client, token).ok() == {"active": False}
    refused(api.form(INTROSPECT, service.client), "invalid_request", "INVALID_REQUEST")


def test_the_client_is_checked_before_the_token(api: Api, world: World) -> None:
    refused(api.introspect(("_x", "y"), "unknown"), "invalid_client", "INVALID_CLIENT", 401)


# Revocation.


def test_whoever_has_a_refresh_token_may_end_it(api: Api, world: World) -> None:
    user, service = world.session(), world.service("files:read")
    delegation = api.extend(service.access_token, user.access_token, "files:read", refreshes=True).ok()
    assert api.revoke(delegation["refreshToken"]).ok() == {}
    assert api.refresh(delegation["refreshToken"]).status == 401
    assert api.form(REVOKE, service.client, token=user.refresh_token, token_type_hint="access_token").ok() == {}
    assert api.refresh(user.refresh_token).status == 401
    assert api.sessions(user.access_token).status == 401


def test_revoking_an_unknown_token_succeeds(api: Api, world: World) -> None:
    user = world.session()
    for token in ("unknown", user.access_token, "\u00e9"):
        assert api.revoke(token).ok() == {}
    assert api.refresh(user.refresh_token).status == 200


# Metadata.


@pytest.fixture
def with_issuer(config: Config, deploy: Callable[[Config], Flask]) -> Callable[[str], Api]:
    return lambda issuer: Api(send_to_app(deploy(replace(config, issuer=issuer)), any_address()))


WELL_KNOWN = "/.well-known/oauth-authorization-server"


@pytest.mark.parametrize(
    ("issuer", "path"),
    [
        ("https://auth.example.org", ""),
        ("https://auth.example.org:8443/", ""),
        ("https://example.org/a/b", "/a/b"),
        ("https://example.org/tenant/", "/tenant"),
        ("http://localhost:8080", ""),
        ("http://127.0.0.1:8080/x", "/x"),
        ("http://[::1]:8080", ""),
    ],
)
def test_the_metadata_is_at_the_path_of_the_issuer(with_issuer: Callable[[str], Api], issuer: str, path: str) -> None:
    api = with_issuer(issuer)
    answer = api.call("GET", WELL_KNOWN + path)
    found: dict[str, Any] = answer.ok()
    base = issuer.rstrip("/")
    assert found == {
        "issuer": issuer,
        "token_endpoint": base + TOKEN,
        "introspection_endpoint": base + INTROSPECT,
        "revocation_endpoint": base + REVOKE,
        "jwks_uri": f"{base}/.well-known/jwks.json",
        "grant_types_supported": ["client_credentials", "refresh_token", EXCHANGE],
        "token_endpoint_auth_methods_supported": ["client_secret_basic", "client_secret_post", "none"],
        "introspection_endpoint_auth_methods_supported": ["client_secret_basic", "client_secret_post"],
        "revocation_endpoint_auth_methods_supported": ["none"],
        "response_types_supported": ["none"],
    }
    assert answer.header("Cache-Control") == "no-store"
    for other in {"", "/other", f"{path}/more"} - {path}:
        api.call("GET", WELL_KNOWN + other).refused(404, "NOT_FOUND")


@pytest.mark.parametrize(
    "issuer",
    ["cloud.sdu.dk", "http://example.org", "http://127.0.0.1.example.org", "http://localhost.example.org",
     "https://", "https://a.example?x", "https://a.example/#x", "ftp://localhost"],
)  # fmt: skip
def test_an_issuer_that_is_no_safe_url_has_no_metadata(with_issuer: Callable[[str], Api], issuer: str) -> None:
    with_issuer(issuer).call("GET", WELL_KNOWN).refused(404, "NOT_FOUND")


def test_the_tokens_of_an_issuer_with_a_url_verify(with_issuer: Callable[[str], Api], world: World) -> None:
    api, user, login = with_issuer("https://auth.example.org"), world.user(), world.login_service()
    token = api.login(user, PASSWORD, login).ok()["accessToken"]
    assert claims(token)["iss"] == "https://auth.example.org"
    assert api.verify(token).status == 200
