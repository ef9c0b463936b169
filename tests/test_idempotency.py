"""claim with an Idempotency-Key: a client whose answer was lost asks again."""

import secrets
from collections import Counter
from concurrent.futures import ThreadPoolExecutor

import pytest

from auth.core.models import Role

from .support.api import Api
from .support.world import World


@pytest.fixture
def jti() -> str:
    return secrets.token_hex(16)


def test_the_winner_may_ask_again_with_its_key(api: Api, world: World, jti: str) -> None:
    bearer = world.service().access_token
    for _ in range(3):
        assert api.claim(bearer, jti, "a key").status == 400
        assert api.claim(bearer, jti, "a-key").ok() == {}
    api.claim(bearer, jti, "A-key").refused(409, "ALREADY_CLAIMED")
    api.claim(bearer, jti).refused(409, "ALREADY_CLAIMED")
    api.claim(world.service().access_token, jti, "a-key").refused(409, "ALREADY_CLAIMED")
    assert api.claim(bearer, jti, "a-key").status == 200


def test_a_claim_without_a_key_cannot_be_asked_for_again(api: Api, world: World, jti: str) -> None:
    bearer = world.service().access_token
    assert api.claim(bearer, jti).status == 200
    for key in (None, "a-key"):
        api.claim(bearer, jti, key).refused(409, "ALREADY_CLAIMED")


def test_a_key_belongs_to_one_jti(api: Api, world: World) -> None:
    bearer = world.service().access_token
    for jti in (secrets.token_hex(16), secrets.token_hex(16)):
        for _ in range(2):
            assert api.claim(bearer, jti, "a-key").status == 200


def test_a_new_principal_of_the_same_id_is_another(api: Api, world: World, jti: str) -> None:
    admin = world.user(Role.ADMIN)
    assert api.claim(world.access_token(admin), jti, "a-key").status == 200
    world.db.one("principal_delete", id=admin, principal_types=["password"])
    person = {"first_names": "A", "last_name": "B", "email": None, "org_id": None, "password_hash": None}
    world.db.one("principal_insert", id=admin, role="ADMIN", principal_type="password", **person)
    api.claim(world.access_token(admin), jti, "a-key").refused(409, "ALREADY_CLAIMED")


@pytest.mark.parametrize("key", ["", " ", "a b", "a\tb", "é", "\x7f", "x" * 256])
def test_a_key_is_visible_ascii(api: Api, world: World, jti: str, key: str) -> None:
    bearer = world.service().access_token
    api.claim(bearer, jti, key.encode().decode("latin-1")).refused(400, "INVALID_REQUEST")
    assert api.claim(bearer, jti, "!~" + "x" * 253).status == 200


def test_the_key_comes_after_the_bearer(api: Api, world: World, jti: str) -> None:
    api.claim(None, jti, "é").refused(401, "INVALID_TOKEN")
    api.claim(world.session().access_token, jti, "a-key").refused(401, "ROLE_NOT_ALLOWED")


def test_of_many_keys_one_wins_and_stays_the_winner(api: Api, world: World) -> None:
    bearer = world.service().access_token
    for _ in range(10):
        jti, keys = secrets.token_hex(16), [f"key-{number}" for number in range(16)]
        with ThreadPoolExecutor(16) as pool:
            statuses = list(pool.map(lambda key, jti=jti: api.claim(bearer, jti, key).status, keys))
            assert Counter(statuses) == {200: 1, 409: 15}
            assert list(pool.map(lambda key, jti=jti: api.claim(bearer, jti, key).status, keys)) == statuses


def test_of_many_attempts_with_one_key_all_win(api: Api, world: World) -> None:
    """They are retries of each other, also while the first one is not yet answered."""
    bearer = world.service().access_token
    with ThreadPoolExecutor(16) as pool:
        for _ in range(10):
            jti = secrets.token_hex(16)
            statuses = Counter(pool.map(lambda _, jti=jti: api.claim(bearer, jti, "a-key").status, range(16)))
            assert statuses == {200: 16}
