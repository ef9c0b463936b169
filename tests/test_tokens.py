"""Access tokens: their claims, their verification by any JOSE library, and the keys that may sign and verify."""

import base64
import hashlib
import json
import time
from collections.abc import Callable
from dataclasses import replace

import jwt
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from flask import Flask

from auth.cli.keys import generate_private_key
from auth.config import Config
from auth.core.keys import ALGORITHMS, Keyring, VerificationKey, load_private_key, load_public_keys
from auth.core.limits import JWKS_SECONDS, LEEWAY_SECONDS
from auth.core.models import Role
from auth.core.tokens import AccessTokens

from .support.api import Api, any_address, send_to_app
from .support.world import PASSWORD, World, claims


def public_pem(private_pem: str) -> str:
    key = load_private_key(private_pem).public_key()
    form = serialization.PublicFormat.SubjectPublicKeyInfo
    return key.public_bytes(serialization.Encoding.PEM, form).decode()


def verified(api: Api, token: str) -> dict[str, object]:
    """The claims of the token, verified by the key set alone, as a resource server does."""
    header = jwt.get_unverified_header(token)
    key = jwt.PyJWKSet.from_dict(api.jwks())[header["kid"]]
    decoded: dict[str, object] = jwt.decode(
        token, key, [key.algorithm_name], issuer="cloud.sdu.dk", options={"verify_aud": False}
    )
    return decoded


def test_a_persons_token_says_who_and_what(api: Api, world: World) -> None:
    session = world.session(world.user(first_names="Ása 😀", email=None))
    token = api.refresh(session.refresh_token).ok()["accessToken"]
    header, payload = jwt.get_unverified_header(token), verified(api, token)
    assert (header["alg"], header["typ"]) == ("ES256", "JWT")
    assert set(header) == {"alg", "typ", "kid"}
    assert set(payload) == {
        "iss", "sub", "iat", "exp", "aud", "role", "uid", "principalType", "firstNames", "lastName",
        "twoFactorAuthentication", "serviceLicenseAgreement", "publicSessionReference", "extendedByChain",
        "auth_time", "amr",
    }  # fmt: skip
    assert (payload["role"], payload["principalType"], payload["firstNames"]) == ("USER", "password", "Ása 😀")
    assert isinstance(payload["uid"], int)
    segment = token.split(".")[1]
    assert base64.urlsafe_b64decode(segment + "=" * (-len(segment) % 4)).isascii()


def test_nothing_is_required_of_a_person(api: Api, world: World) -> None:
    """Where one of the two claims is false, UCloud's own web client lets its user go no further."""
    user, service = world.user(), world.service("files:read")
    login = api.login(user, PASSWORD, world.login_service()).ok()
    tokens = [
        login["accessToken"],
        api.refresh(login["refreshToken"]).ok()["accessToken"],
        api.request_one_time_token(login["accessToken"], "files:read").ok()["accessToken"],
        api.extend(service.access_token, login["accessToken"], "files:read").ok()["accessToken"],
    ]
    for payload in map(claims, tokens):
        assert (payload["twoFactorAuthentication"], payload["serviceLicenseAgreement"]) == (True, True)


def test_a_services_token_says_less(api: Api, world: World) -> None:
    service = world.service()
    payload = verified(api, api.refresh(service.refresh_token).ok()["accessToken"])
    assert set(payload) == {
        "iss", "sub", "iat", "exp", "aud", "role", "uid", "principalType", "publicSessionReference", "extendedByChain",
    }  # fmt: skip
    assert (payload["sub"], payload["role"], payload["principalType"]) == (service.id, "SERVICE", "service")
    assert payload["aud"] == ["all:write"]


def test_exp_is_rounded_up(world: World) -> None:
    token = world.access_token(world.user(), lifetime_ms=1)
    assert claims(token)["exp"] > time.time()
    assert claims(token)["exp"] - claims(token)["iat"] <= 2


def test_the_key_set_is_public(api: Api, world: World) -> None:
    answer = api.call("GET", "/.well-known/jwks.json")
    assert answer.header("Content-Type") == "application/jwk-set+json"
    assert answer.header("Cache-Control") == f"public, max-age={JWKS_SECONDS}"
    assert answer.header("Access-Control-Allow-Origin") == "*"
    [key] = answer.json["keys"]
    assert set(key) == {"kty", "crv", "x", "y", "kid", "use", "alg"}
    canonical = json.dumps({name: key[name] for name in ("crv", "kty", "x", "y")}, separators=(",", ":"))
    thumbprint = base64.urlsafe_b64encode(hashlib.sha256(canonical.encode()).digest()).decode().rstrip("=")
    assert key["kid"] == thumbprint


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_the_key_decides_the_algorithm(
    deploy: Callable[[Config], Flask], config: Config, world: World, algorithm: str
) -> None:
    key = load_private_key(generate_private_key(algorithm))
    api = Api(send_to_app(deploy(replace(config, keyring=Keyring(key))), any_address()))
    answer = api.refresh(world.session().refresh_token).ok()
    assert jwt.get_unverified_header(answer["accessToken"])["alg"] == algorithm
    assert verified(api, answer["accessToken"])["role"] == "USER"
    assert api.sessions(answer["accessToken"]).status == 200
    private = {"d", "p", "q", "dp", "dq", "qi", "k"}
    assert not private & set(api.jwks()["keys"][0])


def test_the_thumbprint_is_that_of_rfc_7638() -> None:
    """The example of RFC 7638, section 3.1."""
    n = (
        "0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7aPFFxuhDR1L6tSoc_BJECPebWKRXjBZCiFV4n3okn"
        "jhMstn64tZ_2W-5JsGY4Hc5n9yBXArwl93lqt7_RN5w6Cf0h4QyQ5v-65YGjQR0_FDW2QvzqY368QQMicAtaSqzs8KJZgnYb9c7d0zgdAZHzu6q"
        "MQvRL5hajrn1n91CbOpbISD08qNLyrdkt-bFTWhAI4vMQFh6WeZu0fM4lFd2NcRwr3XPksINHaQ-G_xBniIqbw0Ls1jF44-csFCur-kEgU8awap"
        "JzKnqDKgw"
    )
    key = jwt.PyJWK.from_dict({"kty": "RSA", "n": n, "e": "AQAB"}).key
    assert VerificationKey(key).kid == "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs"


def test_a_rotation_fails_nobody(deploy: Callable[[Config], Flask], config: Config, world: World) -> None:
    old, new = generate_private_key("ES256"), generate_private_key("RS256")

    def service(signing: str, *publics: str) -> Api:
        ring = Keyring(load_private_key(signing), load_public_keys("\n".join(publics)))
        return Api(send_to_app(deploy(replace(config, keyring=ring)), any_address()))

    refresh_token = world.session().refresh_token
    published, switched = service(old, public_pem(new)), service(new, public_pem(old))
    before = published.refresh(refresh_token).ok()["accessToken"]
    after = switched.refresh(refresh_token).ok()["accessToken"]
    for api in (published, switched):
        assert len(api.jwks()["keys"]) == 2
        for token in (before, after):
            assert api.sessions(token).status == 200
    retired = service(new)
    assert retired.sessions(after).status == 200
    retired.sessions(before).refused(401, "INVALID_TOKEN")


def test_clocks_may_differ(api: Api, world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """The service's own clock stands still here, so that the bounds are exact."""
    token = world.access_token(world.user(), lifetime_ms=60_000)
    issued_at, expires = claims(token)["iat"], claims(token)["exp"]
    for now, status in (
        (issued_at - LEEWAY_SECONDS - 0.1, 401),
        (issued_at - LEEWAY_SECONDS, 200),
        (expires + LEEWAY_SECONDS - 0.1, 200),
        (expires + LEEWAY_SECONDS, 401),
    ):
        monkeypatch.setattr("auth.core.tokens.time.time", lambda now=now: now)
        assert api.sessions(token).status == status, now


def test_a_token_that_was_verified_before_expires_all_the_same(
    api: Api, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    token = world.access_token(world.user(), lifetime_ms=60_000)
    for _ in range(2):
        assert api.sessions(token).status == 200
    now = time.time()
    monkeypatch.setattr("auth.core.tokens.time.time", lambda: now + 60 + LEEWAY_SECONDS + 2)
    api.sessions(token).refused(401, "INVALID_TOKEN")
    monkeypatch.setattr("auth.core.tokens.time.time", lambda: now - LEEWAY_SECONDS - 2)
    api.sessions(token).refused(401, "INVALID_TOKEN")


def test_a_verified_token_does_not_make_a_forged_one_valid(api: Api, world: World) -> None:
    """Also one that is too long to be remembered is verified each time."""
    user = world.user()
    for scopes in (["all:write"], ["all:write", *(f"files.of{number}:read" for number in range(500))]):
        token = world.access_token(user, scopes)
        forged = ".".join([*token.split(".")[:2], world.access_token(world.user()).split(".")[2]])
        for _ in range(2):
            assert api.sessions(token).status == 200
            api.sessions(forged).refused(401, "INVALID_TOKEN")


def test_another_issuers_token_is_invalid(api: Api, config: Config, world: World) -> None:
    principal = world.principal(world.user())
    assert principal is not None

    foreign = AccessTokens(config.keyring, "elsewhere").mint(principal, ["all:write"], 60_000)
    api.sessions(foreign).refused(401, "INVALID_TOKEN")


def test_an_unknown_role_may_make_no_call() -> None:
    assert Role("ROOT") is Role.UNKNOWN
    assert Role("user") is Role.UNKNOWN


def test_pems_may_be_folded_into_a_line() -> None:
    pem = generate_private_key("ES256")
    assert load_private_key(pem.replace("\n", "\\n"))
    two = public_pem(pem) + public_pem(generate_private_key("EdDSA"))
    assert [key.algorithm for key in load_public_keys(two.replace("\n", "\\n"))] == ["ES256", "EdDSA"]


def _private(key: ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey, password: bytes | None = None) -> str:
    encryption = serialization.BestAvailableEncryption(password) if password else serialization.NoEncryption()
    return key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, encryption).decode()


@pytest.mark.parametrize(
    "pem",
    [
        "",
        "secret",
        public_pem(generate_private_key("ES256")),
        _private(ec.generate_private_key(ec.SECP384R1())),
        _private(ec.generate_private_key(ec.SECP256K1())),
        _private(rsa.generate_private_key(65537, 1024)),
        _private(ec.generate_private_key(ec.SECP256R1()), b"password"),
    ],
)
def test_a_weak_or_foreign_key_cannot_sign(pem: str) -> None:
    with pytest.raises(ValueError, match="must be") as refusal:
        load_private_key(pem)
    assert pem not in str(refusal.value) or not pem


@pytest.mark.parametrize(
    "pem", ["secret", "-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----", generate_private_key("ES256")]
)
def test_text_that_is_no_public_key_is_refused(pem: str) -> None:
    with pytest.raises(ValueError, match="must be"):
        load_public_keys(pem)
