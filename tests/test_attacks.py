"""Forged access tokens. Each would be accepted if one check were missing; all of them are 401."""

import base64
import hashlib
import hmac
import itertools
import json
import time
from collections.abc import Callable
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives import serialization

from auth.cli.keys import generate_private_key
from auth.config import Config
from auth.core.keys import load_private_key
from auth.core.models import Role

from .support.api import Api
from .support.world import World, claims


def encoded(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).decode().rstrip("=")


class Forge:
    """Makes tokens with the key of the service or a given key, so that only one check can refuse each token."""

    def __init__(self, config: Config, user: str) -> None:
        self.keyring = config.keyring
        now = int(time.time())
        self.header: dict[str, Any] = {"alg": "ES256", "kid": self.keyring.signing.kid, "typ": "JWT"}
        self.payload: dict[str, Any] = {
            "iss": "cloud.sdu.dk",
            "sub": user,
            "iat": now,
            "exp": now + 60,
            "aud": ["all:write"],
            "role": "USER",
            "extendedByChain": [],
        }

    def signed(self, header: bytes, payload: bytes, key: Any = None, algorithm: str = "ES256") -> str:
        signing_input = f"{encoded(header)}.{encoded(payload)}"
        signer = jwt.get_algorithm_by_name(algorithm)
        signature = signer.sign(signing_input.encode(), key or self.keyring.private_key)
        return f"{signing_input}.{encoded(signature)}"

    def token(self, header: dict[str, Any] | None = None, payload: dict[str, Any] | None = None, **key: Any) -> str:
        """A token with some members changed; `...` removes one."""
        headers = {n: v for n, v in (self.header | (header or {})).items() if v is not ...}
        members = {n: v for n, v in (self.payload | (payload or {})).items() if v is not ...}
        return self.signed(json.dumps(headers).encode(), json.dumps(members).encode(), **key)


@pytest.fixture
def forge(config: Config, world: World) -> Forge:
    return Forge(config, world.user())


def test_the_forge_makes_good_tokens(api: Api, forge: Forge) -> None:
    assert api.sessions(forge.token()).status == 200
    assert api.sessions(forge.token(header={"typ": ...})).status == 200
    assert (
        api.sessions(forge.token(payload={"exp": time.time() + 60.5, "nbf": time.time(), "more": [None]})).status == 200
    )
    assert api.sessions(forge.token(payload={"exp": int(time.time()) - 3})).status == 200
    assert api.sessions(forge.token(payload={"iat": time.time() + 3, "nbf": time.time() + 3})).status == 200


def refused(api: Api, token: str) -> None:
    api.sessions(token).refused(401, "INVALID_TOKEN")


@pytest.mark.parametrize("algorithm", ["none", "None", "NONE", "nOnE", "", None, 0, ["none"], {"none": 1}, True])
@pytest.mark.parametrize("signature", ["", "AA"])
def test_none_is_no_algorithm(api: Api, forge: Forge, algorithm: Any, signature: str) -> None:
    header = encoded(json.dumps(forge.header | {"alg": algorithm}).encode())
    refused(api, f"{header}.{encoded(json.dumps(forge.payload).encode())}.{signature}")


@pytest.mark.parametrize("algorithm", ["HS256", "HS384", "HS512"])
def test_the_public_key_is_no_hmac_secret(api: Api, forge: Forge, algorithm: str) -> None:
    public = forge.keyring.signing.key
    pem = public.public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    der = public.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    for secret in (pem, pem.strip(), der, b"", json.dumps(forge.keyring.signing.jwk).encode()):
        header = encoded(json.dumps(forge.header | {"alg": algorithm}).encode())
        signing_input = f"{header}.{encoded(json.dumps(forge.payload).encode())}"
        digest = hmac.new(secret, signing_input.encode(), getattr(hashlib, f"sha{algorithm[2:]}")).digest()
        refused(api, f"{signing_input}.{encoded(digest)}")


@pytest.mark.parametrize("algorithm", ["ES256", "RS256", "EdDSA"])
def test_another_key_does_not_sign(api: Api, forge: Forge, algorithm: str) -> None:
    key = load_private_key(generate_private_key(algorithm))
    for claimed in (algorithm, "ES256"):
        refused(api, forge.token(header={"alg": claimed}, key=key, algorithm=algorithm))


@pytest.mark.parametrize(
    "algorithm", ["ES384", "ES512", "ES256K", "RS256", "PS256", "EdDSA", "es256", "ES256 ", "HS256"]
)
def test_the_key_has_one_algorithm(api: Api, forge: Forge, algorithm: str) -> None:
    refused(api, forge.token(header={"alg": algorithm}))


@pytest.mark.parametrize(
    "kid",
    [..., None, "", 0, [], {}, True, "unknown", "../../../../dev/null", "/dev/null", "' OR '1'='1",
     "'; DROP TABLE jti; --",     "https://evil.example/key", "x" * 100_000, "\0", "é", " "],
    ids=lambda value: repr(value)[:20],
)  # fmt: skip
def test_a_key_is_selected_by_its_kid(api: Api, forge: Forge, kid: Any) -> None:
    refused(api, forge.token(header={"kid": kid}))


@pytest.mark.parametrize("member", ["jku", "x5u", "jwk", "x5c"])
def test_a_key_is_never_taken_from_the_token(api: Api, forge: Forge, member: str) -> None:
    other = load_private_key(generate_private_key("ES256"))
    jwk = jwt.get_algorithm_by_name("ES256").to_jwk(other.public_key(), as_dict=True)
    value = jwk if member == "jwk" else "https://evil.example/jwks.json"
    refused(api, forge.token(header={member: value}, key=other))
    refused(api, forge.token(header={member: value, "kid": "evil"}, key=other))
    assert api.sessions(forge.token(header={member: value})).status == 200


@pytest.mark.parametrize("crit", [["b64"], ["exp"], [], None, "b64", [""]])
@pytest.mark.parametrize("b64", [True, False, ...])
def test_critical_extensions_are_refused(api: Api, forge: Forge, crit: Any, b64: Any) -> None:
    refused(api, forge.token(header={"crit": crit, "b64": b64}))


def test_a_detached_payload_is_refused(api: Api, forge: Forge) -> None:
    refused(api, forge.token(header={"b64": False}))
    header, _, signature = forge.token(header={"b64": False}).split(".")
    refused(api, f"{header}..{signature}")


def test_a_changed_payload_breaks_the_signature(api: Api, forge: Forge, world: World) -> None:
    header, payload, signature = world.session().access_token.split(".")
    decoded = claims(f"{header}.{payload}.{signature}")
    for change in ({"role": "ADMIN"}, {"sub": "somebody"}, {"exp": decoded["exp"] + 1}):
        refused(api, f"{header}.{encoded(json.dumps(decoded | change).encode())}.{signature}")


def flipped(token: str) -> str:
    """The same bytes, spelled with a spare bit set in the last character."""
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    return token[:-1] + alphabet[alphabet.index(token[-1]) ^ 1]


@pytest.mark.parametrize(
    "spell",
    [
        lambda h, p, s: "",
        lambda h, p, s: ".",
        lambda h, p, s: "..",
        lambda h, p, s: f"{h}.{p}",
        lambda h, p, s: f"{h}.{p}.",
        lambda h, p, s: f"{h}..{s}",
        lambda h, p, s: f".{p}.{s}",
        lambda h, p, s: f"{h}.{p}.{s}.",
        lambda h, p, s: f"{h}.{p}.{s}.{s}",
        lambda h, p, s: f".{h}.{p}.{s}",
        lambda h, p, s: f"{h}.{p}.{s[:-4]}",
        lambda h, p, s: f"{h}.{p[:-4]}.{s}",
        lambda h, p, s: f"{h[:-4]}.{p}.{s}",
        lambda h, p, s: f"{h}.{p}.{s}==",
        lambda h, p, s: f"{h}.{p}.{s}=",
        lambda h, p, s: f"{h}==.{p}.{s}",
        lambda h, p, s: f"{h}.{p}.{flipped(s)}",
        lambda h, p, s: f"{h}.{p}.{s[:-1]} {s[-1]}",
        lambda h, p, s: f"{h}. {p}.{s}",
        lambda h, p, s: f"{h}.{p}.{s}\n",
        lambda h, p, s: f"{h}.{p}.{s[:40]}\t{s[40:]}",
        lambda h, p, s: f"{h}.{p}.{s}A",
        lambda h, p, s: f"{h}.{p}.{encoded(b'x' * 64)}",
        lambda h, p, s: f"{h}.{p}.{encoded(bytes(64))}",
        lambda h, p, s: f"{h}.{p}.é{s}",
        lambda h, p, s: f"{h}.{p}.{s}" + "A" * 40_000,
        lambda h, p, s: f"eyJhbGciOiJub25lIn0.{p}.{s}",
    ],
)
def test_a_token_has_one_spelling(api: Api, world: World, forge: Forge, spell: Callable[[str, str, str], str]) -> None:
    service = world.service("files:write")
    token = spell(*forge.token().split("."))
    api.extend(service.access_token, token, "files:read").refused(401, "INVALID_TOKEN")


@pytest.mark.parametrize("alphabet", [(b"-", b"+"), (b"_", b"/")])
def test_only_the_url_safe_alphabet_is_accepted(
    api: Api, world: World, forge: Forge, alphabet: tuple[bytes, bytes]
) -> None:
    safe, plain = alphabet
    token = forge.token()
    while safe.decode() not in token:
        token = forge.token()
    service = world.service("files:write")
    assert api.extend(service.access_token, token, "files:read").status == 200
    other = token.replace(safe.decode(), plain.decode())
    api.extend(service.access_token, other, "files:read").refused(401, "INVALID_TOKEN")


@pytest.mark.parametrize(
    "change",
    [
        {"exp": ...}, {"iat": ...}, {"sub": ...}, {"role": ...}, {"iss": ...}, {"aud": ...},
        {"exp": None}, {"exp": "9999999999"}, {"exp": True}, {"exp": []}, {"exp": {}}, {"exp": 0}, {"exp": -1},
        {"exp": float("nan")}, {"exp": float("inf")}, {"exp": int(time.time()) - 3600},
        {"iat": None}, {"iat": "1"}, {"iat": True}, {"iat": int(time.time()) + 3600}, {"iat": float("-inf")},
        {"nbf": None}, {"nbf": "1"}, {"nbf": True}, {"nbf": int(time.time()) + 3600},
        {"sub": None}, {"sub": 5}, {"sub": ["a"]}, {"sub": ""}, {"sub": "a\0b"}, {"sub": "\ud800"}, {"sub": "a" * 256},
        {"role": None}, {"role": 5}, {"role": ["USER"]},
        {"iss": None}, {"iss": "elsewhere"},
        {"iss": ["cloud.sdu.dk"]}, {"iss": "CLOUD.SDU.DK"}, {"iss": "cloud.sdu.dk "},
        {"aud": None}, {"aud": "all:write"}, {"aud": [1]}, {"aud": {"all:write": 1}}, {"aud": [["all:write"]]},
        {"aud": ["all:write", "bad"]},
        {"jti": "once"}, {"jti": None}, {"jti": 5}, {"jti": ""},
        {"extendedBy": 5}, {"extendedBy": None}, {"extendedByChain": "a"}, {"extendedByChain": None},
        {"extendedBy": ""}, {"extendedBy": "a\0"}, {"extendedBy": "a" * 256}, {"extendedBy": []}, {"extendedBy": 0},
        {"extendedByChain": [5]}, {"extendedByChain": ["a\0"]}, {"extendedByChain": [""]}, {"extendedByChain": {}},
        {"extendedByChain": ""}, {"extendedByChain": 0}, {"extendedByChain": False},
        {"publicSessionReference": 5}, {"publicSessionReference": ""}, {"publicSessionReference": 0},
        {"publicSessionReference": None}, {"publicSessionReference": []}, {"publicSessionReference": False},
        {"publicSessionReference": "00000000-0000-0000-0000-000000000000"},
        {"extendedFrom": ""}, {"extendedFrom": None}, {"extendedFrom": 0},
        {"extendedFrom": "00000000-0000-0000-0000-000000000000"},
        {"uid": 0}, {"uid": -1}, {"uid": 2**63}, {"uid": -(2**63) - 1}, {"uid": 2**64}, {"uid": 10**400},
        {"uid": True}, {"uid": False}, {"uid": None}, {"uid": 1.0}, {"uid": 0.0}, {"uid": "1"}, {"uid": ""},
        {"exp": 1e300}, {"exp": 10**400}, {"iat": -1e300}, {"iat": -(10**400)}, {"nbf": -1e300}, {"nbf": -(10**400)},
        {"aud": []}, {"aud": ""}, {"aud": [""]}, {"aud": 0}, {"jti": 0}, {"jti": False}, {"jti": []},
    ],
    ids=map(str, itertools.count()),
)  # fmt: skip
def test_every_claim_has_its_type_and_bounds(api: Api, world: World, forge: Forge, change: dict[str, Any]) -> None:
    """For a bearer, and for the token that is extended, with and without a row of its own."""
    token, service = forge.token(payload=change), world.service("files:write")
    refused(api, token)
    for refreshes in (False, True):
        extended = api.extend(service.access_token, token, "files:read", refreshes=refreshes)
        extended.refused(401, "INVALID_TOKEN")
    extender = forge.token(payload={"sub": service.id, "role": "SERVICE"} | change)
    api.extend(extender, forge.token(), "files:read", refreshes=True).refused(401)
    api.claim(extender, "x").refused(401)


@pytest.mark.parametrize(
    "change",
    [{"uid": 2**63 - 1}, {"uid": 1}, {"publicSessionReference": "F" * 8 + "-FFFF" * 3 + "-" + "F" * 12}],
    ids=str,
)
def test_a_claim_within_its_bounds_means_what_it_says(
    api: Api, world: World, forge: Forge, change: dict[str, Any]
) -> None:
    """Somebody else's uid and a session that there is not: the grant does not live."""
    refused(api, forge.token(payload=change))


def test_the_spelling_of_a_reference_does_not_matter(api: Api, world: World, forge: Forge) -> None:
    reference = claims(world.session(forge.payload["sub"]).access_token)["publicSessionReference"]
    for spelling in (reference, reference.upper()):
        listed = api.sessions(forge.token(payload={"publicSessionReference": spelling})).ok()["items"]
        assert [(session["id"], session["current"]) for session in listed] == [(reference, True)]


def test_a_token_that_lives_very_long_is_extended(api: Api, world: World, forge: Forge) -> None:
    service, middle = world.service("files:write"), world.service("files:write")
    token = forge.token(payload={"exp": 2**40, "extendedBy": middle.id, "extendedByChain": [middle.id]})
    for refreshes in (False, True):
        assert api.extend(service.access_token, token, "files:read", refreshes=refreshes).ok()


@pytest.mark.parametrize("role", ["", "user", "ROOT", "UNKNOWN", "USER ", "GUEST", "SERVICE"])
def test_a_role_may_make_only_the_calls_that_list_it(api: Api, forge: Forge, role: str) -> None:
    api.sessions(forge.token(payload={"role": role})).refused(401, "ROLE_NOT_ALLOWED")


@pytest.mark.parametrize("role", ["", "user", "ROOT", "UNKNOWN"])
def test_a_role_that_is_not_ours_is_not_extended(api: Api, world: World, forge: Forge, role: str) -> None:
    service = world.service("files:write")
    assert api.extend(service.access_token, forge.token(), "files:read").status == 200
    token = forge.token(payload={"role": role})
    api.extend(service.access_token, token, "files:read").refused(401, "INVALID_TOKEN")


@pytest.mark.parametrize(
    ("header", "payload"),
    [
        (None, b""),
        (None, b"null"),
        (None, b"[]"),
        (None, b'"text"'),
        (None, b"5"),
        (None, b"{"),
        (None, b"[" * 50_000 + b"]" * 50_000),
        (None, b'{"a":' * 50_000 + b"1" + b"}" * 50_000),
        (None, b"\xff\xfe"),
        (None, b'{"exp": ' + b"9" * 5_000 + b"}"),
        (b"", None),
        (b"null", None),
        (b"[]", None),
        (b"{", None),
        (b"[" * 50_000 + b"]" * 50_000, None),
        (b"\xff", None),
    ],
    ids=lambda value: str(value)[:16],
)
def test_header_and_payload_must_be_objects(
    api: Api, forge: Forge, header: bytes | None, payload: bytes | None
) -> None:
    good = json.dumps(forge.header).encode(), json.dumps(forge.payload).encode()
    refused(api, forge.signed(header if header is not None else good[0], payload if payload is not None else good[1]))


def test_no_member_is_named_twice(api: Api, forge: Forge) -> None:
    header, payload = json.dumps(forge.header), json.dumps(forge.payload)
    twice_payload = payload[:-1] + ', "role": "ADMIN"}'
    twice_header = header[:-1] + f', "kid": "{forge.keyring.signing.kid}"}}'
    for first, second in (
        (header, twice_payload),
        (twice_header, payload),
        (header, payload.replace('"USER"', '"USER", "role": "USER"')),
    ):
        refused(api, forge.signed(first.encode(), second.encode()))


@pytest.mark.parametrize("encoding", ["utf-16", "utf-32", "utf-8-sig"])
def test_json_is_utf_8(api: Api, forge: Forge, encoding: str) -> None:
    header, payload = json.dumps(forge.header), json.dumps(forge.payload)
    refused(api, forge.signed(header.encode(), payload.encode(encoding)))
    refused(api, forge.signed(header.encode(encoding), payload.encode()))


def test_infinity_by_overflow_is_no_number(api: Api, forge: Forge) -> None:
    payload = json.dumps(forge.payload).replace(str(forge.payload["exp"]), "1e400")
    refused(api, forge.signed(json.dumps(forge.header).encode(), payload.encode()))


def test_one_kind_of_token_never_serves_as_another(api: Api, world: World) -> None:
    session, service = world.session(), world.service("files:write")
    once = api.request_one_time_token(session.access_token, "all:write").ok()["accessToken"]
    refused(api, session.refresh_token)
    refused(api, session.csrf)
    refused(api, once)
    for token in (session.refresh_token, session.csrf, once, service.refresh_token):
        api.extend(service.access_token, token, "files:read").refused(401, "INVALID_TOKEN")
    for token in (session.access_token, session.csrf, once):
        api.refresh(token).refused(401, "INVALID_TOKEN")
        api.logout(token).refused(401, "INVALID_TOKEN")
    assert api.refresh(session.refresh_token).status == 200


def test_a_provider_or_app_gets_one_time_tokens_only(api: Api, world: World, forge: Forge) -> None:
    for role in (Role.PROVIDER, Role.THIRD_PARTY_APP):
        token = forge.token(payload={"role": role.value})
        assert api.request_one_time_token(token, "files:read").status == 200
        for answer in (
            api.sessions(token),
            api.claim(token, "x"),
            api.bulk_invalidate(token, []),
            api.invalidate_sessions(token),
        ):
            answer.refused(401, "ROLE_NOT_ALLOWED")
    guest = forge.token(payload={"role": "GUEST"})
    api.request_one_time_token(guest, "files:read").refused(401, "ROLE_NOT_ALLOWED")
