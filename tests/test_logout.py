"""logout, webLogout and bulkInvalidate."""

import pytest

from auth.core import refresh_tokens
from auth.core.models import Role

from .support.api import COOKIE, Answer, Api
from .support.world import ORIGIN, World


def expired(answer: Answer) -> bool:
    cookie = answer.cookies.get(COOKIE)
    if cookie is None:
        return False
    assert (cookie["path"], cookie["samesite"], cookie["httponly"], cookie["secure"]) == ("/", "Strict", True, True)
    return cookie.value == "" and cookie["max-age"] == "0"


def test_a_logout_ends_one_session(api: Api, world: World) -> None:
    user = world.user()
    session, other = world.session(user), world.session(user)
    assert api.logout(session.refresh_token).ok() == {}
    api.refresh(session.refresh_token).refused(401, "INVALID_TOKEN")
    assert api.refresh(other.refresh_token).status == 200
    api.logout(session.refresh_token).refused(401, "INVALID_TOKEN")


def test_an_unknown_or_expired_token_cannot_log_out(api: Api, world: World) -> None:
    for token in (None, "unknown", refresh_tokens.generate(), world.session(ttl=-1).refresh_token):
        api.logout(token).refused(401, "INVALID_TOKEN")


def test_a_web_logout_ends_the_session_and_the_cookie(api: Api, world: World) -> None:
    session = world.session()
    answer = api.web_logout(session.refresh_token, session.csrf, ORIGIN)
    assert answer.ok() == {}
    assert expired(answer)
    api.refresh(session.refresh_token).refused(401)


def test_a_web_logout_of_an_unknown_token_expires_the_cookie_all_the_same(api: Api) -> None:
    token = refresh_tokens.generate()
    answer = api.web_logout(token, refresh_tokens.csrf_token(token), ORIGIN).refused(401, "INVALID_TOKEN")
    assert expired(answer)


def test_a_web_logout_with_another_csrf_token_leaves_everything(api: Api, world: World) -> None:
    session = world.session()
    answer = api.web_logout(session.refresh_token, world.session().csrf, ORIGIN).refused(401, "INVALID_TOKEN")
    assert not answer.cookies
    assert api.refresh(session.refresh_token).status == 200


@pytest.mark.parametrize("role", [Role.ADMIN, Role.SERVICE])
def test_many_tokens_end_at_once(api: Api, world: World, role: Role) -> None:
    caller = world.service().access_token if role is Role.SERVICE else world.access_token(world.user(role))
    ended, kept = [world.session().refresh_token for _ in range(3)], world.session().refresh_token
    assert api.bulk_invalidate(caller, [*ended, *ended, "unknown", "", "\0"]).ok() == {}
    for token in ended:
        api.refresh(token).refused(401)
    assert api.refresh(kept).status == 200
    assert api.bulk_invalidate(caller, []).ok() == {}


def test_ten_thousand_tokens_are_one_call(api: Api, world: World) -> None:
    session = world.session()
    tokens = [refresh_tokens.generate() for _ in range(9_999)] + [session.refresh_token]
    assert api.bulk_invalidate(world.service().access_token, tokens).ok() == {}
    api.refresh(session.refresh_token).refused(401)


def test_only_the_privileged_end_many_tokens(api: Api, world: World) -> None:
    session = world.session()
    service = world.service()
    narrow = world.access_token(service.id, scopes=["auth.bulkInvalidate:read", "files:write"])
    for bearer in (None, session.access_token, narrow, session.refresh_token):
        answer = api.bulk_invalidate(bearer, [session.refresh_token]).refused(401)
        assert answer.header("WWW-Authenticate") == "Bearer"
    assert api.refresh(session.refresh_token).status == 200


@pytest.mark.parametrize(
    "body", [{}, {"tokens": None}, {"tokens": "a"}, {"tokens": [1]}, {"tokens": [None]}, {"tokens": [["a"]]}, [], "a"]
)
def test_a_body_that_is_not_the_model_is_400(api: Api, world: World, body: object) -> None:
    api.call("POST", "/auth/logout/bulk", world.service().access_token, json_body=body).refused(400, "INVALID_REQUEST")
