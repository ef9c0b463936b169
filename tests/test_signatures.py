"""No token is signed after a call that ended its grant was answered."""

from collections.abc import Callable
from typing import Any

import pytest
from flask import Flask

from auth.core.models import AccessToken
from auth.http.rpc import RPCS

from .support.api import Answer, Api, request_class
from .support.second_factor import challenge_of, new_owner
from .support.statements import before_each, noted
from .support.world import ORIGIN, PASSWORD, World

NEW = "seventeen violet kettles"
# Each call that signs a token, and the statement just before the signature, which finds or stores the token's grant. An
# extension signs before it stores: a token that is too long is not stored, and an ended grant stores nothing.
SIGNING = {
    "passwordLogin": "session_insert",
    "twofactor.answerChallenge": "session_insert",
    "refresh": "refresh_token_find",
    "webRefresh": "refresh_token_find",
    "requestOneTimeTokenWithAudience": "bearer_find",
    "tokenExtension": "extension_find",
    "tokenExtension, stored": "extension_find",
}


def note_signatures(app: Flask, monkeypatch: pytest.MonkeyPatch, events: list[str]) -> None:
    """Append "signature" to the events when a token is signed."""
    tokens = request_class(app).tokens
    mint = tokens.mint

    def noted_mint(*arguments: Any, **provenance: Any) -> str:
        events.append("signature")
        return mint(*arguments, **provenance)

    monkeypatch.setattr(tokens, "mint", noted_mint)


@pytest.mark.parametrize("held", ["login_attempt_return", "expired_delete"])
def test_a_login_signs_its_token_before_a_new_password_ends_its_session(
    api: Api, app: Flask, world: World, monkeypatch: pytest.MonkeyPatch, held: str
) -> None:
    """The password changes while a later statement of the login waits."""
    user, service, events = world.session(), world.login_service(), list[str]()

    def change(statement: str) -> None:
        if statement == held and "change" not in events:
            events.append("change")
            api.change_password(user.access_token, PASSWORD, NEW).ok()

    note_signatures(app, monkeypatch, events)
    before_each(monkeypatch, change)
    login = api.login(user.id, PASSWORD, service).ok()
    assert events == ["signature", "change"]
    api.refresh(login["refreshToken"]).refused(401, "INVALID_TOKEN")


def call_that_signs(name: str, api: Api, world: World) -> Callable[[], Answer]:
    user, service = world.session(), world.service("files:read")
    login_service, extended = world.login_service(), (service.access_token, user.access_token, "files:read")
    owner = new_owner(api, world)
    challenge = challenge_of(api, owner.id, login_service)
    calls: dict[str, Callable[[], Answer]] = {
        "twofactor.answerChallenge": lambda: api.answer_challenge(challenge, owner.app.code()),
        "passwordLogin": lambda: api.login(user.id, PASSWORD, login_service),
        "refresh": lambda: api.refresh(user.refresh_token),
        "webRefresh": lambda: api.web_refresh(user.refresh_token, user.csrf, ORIGIN),
        "requestOneTimeTokenWithAudience": lambda: api.request_one_time_token(user.access_token, "files:read"),
        "tokenExtension": lambda: api.extend(*extended),
        "tokenExtension, stored": lambda: api.extend(*extended, refreshes=True),
    }
    return calls[name]


@pytest.mark.parametrize(("name", "statement"), SIGNING.items())
def test_a_token_is_signed_straight_after_its_grant_was_found_live(
    api: Api, app: Flask, world: World, monkeypatch: pytest.MonkeyPatch, name: str, statement: str
) -> None:
    """No other statement comes between, at which the signature could wait."""
    call = call_that_signs(name, api, world)
    events = noted(monkeypatch)
    note_signatures(app, monkeypatch, events)
    call().ok()
    assert events.count("signature") == 1
    assert events[events.index("signature") - 1] == statement


def test_every_call_that_signs_is_tried() -> None:
    models = {rpc.name: rpc.models["return"] for rpc in RPCS.values()}
    signing = {name for name, model in models.items() if isinstance(model, type) and issubclass(model, AccessToken)}
    assert {name.partition(",")[0] for name in SIGNING} == signing
