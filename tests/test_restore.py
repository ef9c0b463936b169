"""A restored backup: no token from before works, no password is lost, and services go on."""

import os
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from flask import Flask

from auth.config import Config
from dev.embedded import INSTALLED

from .support.api import Api, any_address, request_class, send_to_app
from .support.command_line import CommandLine
from .support.databases import NewDatabase
from .support.world import PASSWORD, World, claims

SCOPES = ("files:read", "auth:write")
OTHER_PASSWORD = "an altogether different phrase"
Tokens = list[dict[str, Any]]


@pytest.fixture
def url(postgres_url: str) -> Iterator[str]:
    with NewDatabase(postgres_url) as url:
        CommandLine({"DATABASE_URL": url}).json("db", "migrate")
        yield url


def run(program: str, *arguments: str | Path) -> None:
    """Run a program of PostgreSQL. Its version must be the server's: a newer pg_restore fails on an older server."""
    path = program if "TEST_DATABASE_URL" in os.environ else INSTALLED / program
    subprocess.run([path, *arguments], check=True)


def log_in(api: Api, user: str, login_service: str, bearer: str, password: str = PASSWORD) -> Tokens:
    """A session, a delegation and an extension without a refresh token."""
    session = api.login(user, password, login_service).ok()
    return [
        session,
        *(api.extend(bearer, session["accessToken"], *SCOPES, refreshes=r).ok() for r in (True, False)),
    ]


def statuses(api: Api, bearer: str, made: Tokens) -> set[int]:
    """The statuses of every use of these tokens."""
    answers = [api.refresh(each["refreshToken"]) for each in made if each["refreshToken"]]
    answers += [api.request_one_time_token(each["accessToken"], "files:read") for each in made]
    answers += [api.extend(bearer, each["accessToken"], "files:read") for each in made]
    return {answer.status for answer in answers}


def test_no_token_from_before_a_restore_works(
    url: str, config: Config, deploy: Callable[[Config], Flask], tmp_path: Path
) -> None:
    flask = CommandLine({"DATABASE_URL": url})
    app = deploy(replace(config, database_url=url))
    api, world = Api(send_to_app(app, any_address())), World(request_class(app).database, request_class(app).tokens)
    user, login_service, service = world.user(), world.login_service(), world.service(*SCOPES)
    bearer = api.refresh(service.refresh_token).ok()["accessToken"]
    kept, ended = (log_in(api, user, login_service, bearer) for _ in range(2))
    reset_token = flask.json("users", "reset-password", user)["resetToken"]

    run("pg_dump", "--format=custom", "--file", tmp_path / "backup", url)
    newcomer = world.user()
    late = [*log_in(api, user, login_service, bearer), *log_in(api, newcomer, login_service, bearer)]
    assert statuses(api, bearer, [*kept, *ended, *late]) == {200}
    jti = claims(api.request_one_time_token(late[0]["accessToken"], "files:read").ok()["accessToken"])["jti"]
    api.claim(bearer, jti).ok()
    api.logout(ended[0]["refreshToken"]).ok()
    api.change_password(kept[0]["accessToken"], PASSWORD, OTHER_PASSWORD).ok()
    late += log_in(api, user, login_service, bearer, OTHER_PASSWORD)

    request_class(app).database.close()
    run("pg_restore", "--clean", "--if-exists", "--single-transaction", "--dbname", url, tmp_path / "backup")
    api.refresh(ended[0]["refreshToken"]).ok()  # it had ended
    assert flask.json("sessions", "end", "--everyone")["ended"] == 4
    assert statuses(api, bearer, [*kept, *ended, *late]) == {401}
    api.reset_password(reset_token, OTHER_PASSWORD).refused(401)
    api.login(user, OTHER_PASSWORD, login_service).refused(401, "INCORRECT_CREDENTIALS")
    time.sleep(1)  # `iat` has whole seconds: an extension made in the second of the command would have ended
    assert statuses(api, bearer, log_in(api, user, login_service, bearer)) == {200}
    api.refresh(service.refresh_token).ok()
    api.claim(bearer, jti).ok()  # the claim is forgotten

    row = world.principal(user) | {"id": newcomer, "principal_type": "password", "password_hash": None}
    world.db.one("principal_insert", **row)
    assert world.principal(newcomer)["uid"] == claims(late[3]["accessToken"])["uid"]
    assert statuses(api, bearer, late[3:6]) == {401}
