"""The command line, run as an operator runs it."""

import os
import pty
import subprocess
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any
from unittest.mock import ANY

import psycopg
import pytest
from flask import Flask as App

from auth.cli.common import DirectDatabase
from auth.cli.migrations import migrate
from auth.config import Config
from auth.core.errors import PasswordTooLong, PasswordTooShort
from auth.core.limits import CLAIM_DAYS, ID_CHARACTERS, PASSWORD_BYTES
from auth.core.models import Role
from auth.core.password_rules import CHARACTERS

from .support.api import Api, request_class, send_to_app
from .support.command_line import CommandLine
from .support.databases import NewDatabase
from .support.locks import holding, waits_for_a_lock
from .support.servers import BIN, PROJECT
from .support.world import PASSWORD, World, claims

NEW_PASSWORD = "seventeen violet kettles"


def test_a_users_life(flask: CommandLine, api: Api, world: World) -> None:
    user, service = f"{world.user()}@cli", world.login_service()
    first, second = "first lamp beside a river", "second lamp beside a river"
    names = ("--first-names", "Ada", "--last-name", "Lovelace", "--email", "a@example.org")
    assert flask.json("users", "create", user, "--role", "ADMIN", *names, "--password-stdin", stdin=f"{first}\n") == {
        "id": user,
        "role": "ADMIN",
    }
    [listed] = [row for row in flask.json("users", "list") if row["id"] == user]
    assert (listed["role"], listed["disabled"], listed["email"]) == ("ADMIN", False, "a@example.org")
    assert "password_hash" not in listed
    token = api.login(user, first, service).ok()["refreshToken"]

    flask.json("users", "set-password", user, "--password-stdin", stdin=second)
    api.refresh(token).refused(401)
    api.login(user, first, service).refused(401)
    token = api.login(user, second, service).ok()["refreshToken"]

    flask.json("users", "disable", user)
    api.refresh(token).refused(401)
    api.login(user, second, service).refused(401)
    flask.json("users", "enable", user)
    api.refresh(token).refused(401)
    token = api.login(user, second, service).ok()["refreshToken"]

    flask.json("users", "delete", user)
    api.refresh(token).refused(401)
    assert user not in flask.run("users", "list").stdout
    for command in ("disable", "enable", "delete"):
        assert flask.fails("users", command, user) == f"Error: There is no user {user}."
    assert "no user" in flask.fails("users", "set-password", user, "--password-stdin", stdin="x")


def test_an_operator_sees_and_ends_sessions(flask: CommandLine, api: Api, world: World, address: str) -> None:
    user, service = world.user(), world.service("files:read")
    tokens = [api.login(user, PASSWORD, world.login_service(), User_Agent=f"agent {n}").ok() for n in range(2)]
    delegated = api.extend(service.access_token, tokens[0]["accessToken"], "files:read", refreshes=True).ok()
    listed = flask.json("sessions", "list", user)
    expected = api.sessions(tokens[0]["accessToken"]).ok()["items"]
    assert listed == [item | {"current": False} for item in expected]
    assert flask.run("sessions", "list", user).stdout.splitlines() == [
        f"{item['id']}\t{address}\t{item['userAgent']}" for item in expected
    ]
    assert flask.json("sessions", "end", user) == {"id": user, "ended": 2}
    assert flask.json("sessions", "list", user) == []
    assert api.refresh(delegated["refreshToken"]).status == 200
    assert flask.json("sessions", "end", user, "--delegations") == {"id": user, "ended": 1}
    api.refresh(delegated["refreshToken"]).refused(401)


def test_an_operator_ends_extensions_without_a_refresh_token(flask: CommandLine, api: Api, world: World) -> None:
    user, service = world.session(), world.service("auth:write")
    token = api.extend(service.access_token, user.access_token, "auth:write").ok()["accessToken"]
    flask.json("sessions", "end", user.id)
    assert api.request_one_time_token(token, "auth:write").status == 200
    flask.json("sessions", "end", user.id, "--delegations")
    api.request_one_time_token(token, "auth:write").refused(401, "INVALID_TOKEN")


def test_expired_sessions_are_not_listed(flask: CommandLine, world: World) -> None:
    user = world.user()
    world.session(user, ttl=-1)
    assert flask.json("sessions", "list", user) == []
    live = world.session(user, ttl=60)
    assert [item["id"] for item in flask.json("sessions", "list", user)] == [
        claims(live.access_token)["publicSessionReference"]
    ]


def test_mistakes_about_sessions_end_nothing(flask: CommandLine, api: Api, world: World) -> None:
    user, service = world.session(), world.service()
    for command in ("list", "end"):
        for unknown in (f"no-{user.id}", service.id):
            assert flask.fails("sessions", command, unknown) == f"Error: There is no user {unknown}."
    for arguments in ((), (user.id, "--everyone"), ("--everyone", "--delegations"), ("--delegations",)):
        assert "Give an ID, or --everyone alone." in flask.fails("sessions", "end", *arguments)
    for token in (user.refresh_token, service.refresh_token):
        assert api.refresh(token).status == 200


def test_after_a_restored_backup_everyone_logs_in_again(
    config: Config, postgres_url: str, deploy: Callable[[Config], App]
) -> None:
    """All tokens of people end, also extensions without a refresh token. Tokens of services stay."""
    with NewDatabase(postgres_url) as url:
        migrate(DirectDatabase(url))
        app, flask = deploy(replace(config, database_url=url)), CommandLine({"DATABASE_URL": url})
        api, world = Api(send_to_app(app, "203.0.113.9")), World(DirectDatabase(url), request_class(app).tokens)
        user, other, service = world.session(), world.session(), world.service("auth:write")
        delegated = api.extend(service.access_token, user.access_token, "auth:write", refreshes=True).ok()
        passing = api.extend(service.access_token, user.access_token, "auth:write").ok()["accessToken"]
        reset = flask.json("users", "reset-password", user.id)["resetToken"]
        assert flask.json("sessions", "end", "--everyone") == {"id": None, "ended": 3}
        for token in (user.refresh_token, other.refresh_token, delegated["refreshToken"]):
            api.refresh(token).refused(401)
        api.request_one_time_token(passing, "auth:write").refused(401, "INVALID_TOKEN")
        api.reset_password(reset, NEW_PASSWORD).refused(401, "INVALID_TOKEN")
        assert api.refresh(service.refresh_token).status == 200


@pytest.mark.parametrize("command", ["set-password", "disable", "delete"])
def test_what_ends_a_user_ends_extended_tokens_too(flask: CommandLine, api: Api, world: World, command: str) -> None:
    session, service = world.session(), world.service("files:read")
    extended = api.extend(service.access_token, session.access_token, "files:read", refreshes=True).ok()
    stdin = ["--password-stdin"] if command == "set-password" else []
    flask.json("users", command, session.id, *stdin, stdin=NEW_PASSWORD)
    for token in (session.refresh_token, extended["refreshToken"]):
        api.refresh(token).refused(401)


def test_a_password_is_asked_for_on_the_terminal_and_not_shown(flask: CommandLine, api: Api, world: World) -> None:
    user = f"{world.user()}@tty"
    controller, terminal = pty.openpty()
    process = subprocess.Popen(
        [BIN / "flask", "users", "create", user, "--role", "USER", "--first-names", "A", "--last-name", "B"],
        cwd=PROJECT, env=flask.environment, stdin=terminal, stdout=terminal, stderr=terminal, start_new_session=True,
    )  # fmt: skip
    os.close(terminal)
    shown = b""
    for prompt in (b"Password:", b"Repeat for confirmation:"):
        while prompt not in shown:
            shown += os.read(controller, 1024)
        os.write(controller, f"{NEW_PASSWORD}\n".encode())
    while b"created" not in shown:
        shown += os.read(controller, 1024)
    assert process.wait(30) == 0
    os.close(controller)
    assert NEW_PASSWORD.encode() not in shown
    assert api.login(user, NEW_PASSWORD, world.login_service()).status == 200


REFUSED = {
    "seven violet k": f"Error: {PasswordTooShort.__doc__}",
    "Password1!": f"Error: {PasswordTooShort.__doc__}",
    " " * (CHARACTERS - 1): f"Error: {PasswordTooShort.__doc__}",
    "é" * (PASSWORD_BYTES // 2 + 1): f"Error: {PasswordTooLong.__doc__}",
    " " * CHARACTERS: "Error: The password is too easy to guess.",
    "Password1!Password1!": "Error: The password is too easy to guess.",
    "{user}": "Error: The password is too easy to guess.",
    "Nadezhda.Krupskaya@example.org": "Error: The password is too easy to guess.",
    "VestergaardZdenka": "Error: The password is too easy to guess.",
}


@pytest.mark.parametrize("password", REFUSED)
def test_a_weak_password_is_refused(flask: CommandLine, api: Api, world: World, password: str) -> None:
    texts: dict[str, Any] = {
        "first_names": "Zdenka",
        "last_name": "Vestergaard",
        "email": "Nadezhda.Krupskaya@example.org",
    }
    user, service = world.user(**texts), world.login_service()
    new = f"{user}-new"
    options = [part for name, text in texts.items() for part in (f"--{name.replace('_', '-')}", text)]
    for user_id, arguments in ((user, ["set-password", user]), (new, ["create", new, "--role", "USER", *options])):
        refusal = flask.fails("users", *arguments, "--password-stdin", stdin=password.format(user=user_id))
        assert refusal.startswith(REFUSED[password])
    assert new not in flask.run("users", "list").stdout
    assert api.login(user, PASSWORD, service).status == 200


@pytest.mark.parametrize("user_id", ["", "_a", "__a", "#P_a", "a\nb", "a" * (ID_CHARACTERS + 1), "a\x7f", "a\x85"])
def test_an_id_that_cannot_be_a_users_is_refused(flask: CommandLine, user_id: str) -> None:
    arguments = (
        "users",
        "create",
        user_id,
        "--role",
        "USER",
        "--first-names",
        "A",
        "--last-name",
        "B",
        "--password-stdin",
    )
    assert flask.fails(*arguments, stdin=NEW_PASSWORD).startswith(f"Error: An id has 1 to {ID_CHARACTERS} characters")


def test_other_mistakes_of_users_create(flask: CommandLine, world: World) -> None:
    names = ("--first-names", "A", "--last-name", "B", "--password-stdin")
    taken = world.user()
    assert flask.fails("users", "create", taken, "--role", "USER", *names, stdin=NEW_PASSWORD).endswith("already.")
    assert "'SERVICE' is not" in flask.fails("users", "create", "a@b", "--role", "SERVICE", *names, stdin=NEW_PASSWORD)
    assert "1,024 bytes" in flask.fails("users", "create", "a@b", "--role", "USER", *names, stdin="é" * 513)
    assert "a@b" not in flask.run("users", "list").stdout


def test_a_services_life(flask: CommandLine, api: Api, world: World) -> None:
    service_id = world.service().id + "-cli"
    created = flask.json("services", "create", service_id, "--scope", "files:READ", "--scope", "jobs:write")
    assert created | {"refreshToken": ...} == {
        "id": service_id,
        "scopes": ["files:read", "jobs:write"],
        "refreshToken": ...,
    }
    bearer = api.refresh(created["refreshToken"]).ok()["accessToken"]
    assert (claims(bearer)["aud"], claims(bearer)["role"]) == (["all:write"], "SERVICE")
    user = world.session()
    assert api.extend(bearer, user.access_token, "jobs:read").status == 200

    changed = flask.json("services", "scopes", service_id, "--remove", "jobs:write", "--add", "mail:read")
    assert changed == {"id": service_id, "scopes": ["files:read", "mail:read"]}
    api.extend(bearer, user.access_token, "jobs:read").refused(401)
    assert api.extend(bearer, user.access_token, "mail:read").status == 200
    assert flask.json("services", "scopes", service_id, "--add", "files:read") == changed
    assert flask.json("services", "scopes", service_id, "--add", "a:read", "--remove", "a:read") == changed
    assert flask.json("services", "scopes", service_id) == changed
    assert changed in flask.json("services", "list")
    assert f"{service_id}\tfiles:read mail:read" in flask.run("services", "list").stdout

    flask.json("services", "delete", service_id)
    api.refresh(created["refreshToken"]).refused(401)
    assert "no service" in flask.fails("services", "delete", service_id)
    assert "no service" in flask.fails("services", "scopes", service_id)


def test_a_scope_that_was_removed_is_gone_although_another_operator_adds_it(
    flask: CommandLine, world: World, database_url: str
) -> None:
    """The removal waits for the other command, and then sees what it has added."""
    service = world.service("files:read")
    with ThreadPoolExecutor(1) as pool:
        with DirectDatabase(database_url).transaction() as transaction:
            transaction.one("service_find", id=service.id)
            transaction.many("service_scope_change", service_id=service.id, added=["a:read"], removed=[])
            removing = pool.submit(flask.json, "services", "scopes", service.id, "--remove", "a:read")
            assert waits_for_a_lock(database_url, removing)
        assert removing.result() == {"id": service.id, "scopes": ["files:read"]}
    assert flask.json("services", "scopes", service.id)["scopes"] == ["files:read"]


def test_a_new_refresh_token_of_a_service_ends_the_last(flask: CommandLine, api: Api, world: World) -> None:
    service, other, user = world.service("files:read", "jobs:write"), world.service(), world.session()
    delegation = api.extend(service.access_token, user.access_token, "files:read", refreshes=True).ok()["refreshToken"]
    rotated = flask.json("services", "rotate", service.id)
    assert rotated == {"id": service.id, "scopes": ["files:read", "jobs:write"], "refreshToken": ANY}
    api.refresh(service.refresh_token).refused(401, "INVALID_TOKEN")
    bearer = api.refresh(rotated["refreshToken"]).ok()["accessToken"]
    assert (claims(bearer)["sub"], claims(bearer)["aud"], claims(bearer)["role"]) == (
        service.id,
        ["all:write"],
        "SERVICE",
    )
    for token in (delegation, other.refresh_token, user.refresh_token):
        assert api.refresh(token).status == 200
    assert api.extend(bearer, user.access_token, "jobs:write").status == 200

    printed = flask.run("services", "rotate", service.id).stdout.splitlines()
    api.refresh(rotated["refreshToken"]).refused(401)
    assert api.refresh(printed[-1]).status == 200


def test_the_previous_refresh_token_of_a_service_works_for_a_while(
    flask: CommandLine, api: Api, world: World, database_url: str
) -> None:
    service, user = world.service("files:read"), world.session()
    rotated = flask.json("services", "rotate", service.id, "--keep", "30")
    assert rotated == {"id": service.id, "scopes": ["files:read"], "refreshToken": ANY}
    previous, new = (
        api.refresh(token).ok()["accessToken"] for token in (service.refresh_token, rotated["refreshToken"])
    )
    delegation = api.extend(previous, user.access_token, "files:read", refreshes=True).ok()["refreshToken"]
    assert api.extend(new, user.access_token, "files:read").status == 200
    assert minutes_left(database_url, service.id) == [30, None]

    end_first_token(database_url, service.id)
    api.refresh(service.refresh_token).refused(401, "INVALID_TOKEN")
    api.extend(previous, user.access_token, "files:read").refused(401, "INVALID_TOKEN")
    api.claim(previous, "any").refused(401, "INVALID_TOKEN")
    assert api.extend(new, user.access_token, "files:read").status == 200
    for token in (rotated["refreshToken"], delegation):
        assert api.refresh(token).status == 200


def test_a_second_rotation_prolongs_no_refresh_token(
    flask: CommandLine, api: Api, world: World, database_url: str
) -> None:
    service = world.service()
    tokens = [service.refresh_token]
    for minutes, left in ((10, [10, None]), (1440, [10, 1440, None]), (5, [5, 5, 5, None])):
        tokens.append(flask.run("services", "rotate", service.id, "--keep", str(minutes)).stdout.splitlines()[-1])
        assert minutes_left(database_url, service.id) == left
        assert {api.refresh(token).status for token in tokens} == {200}
    end_first_token(database_url, service.id)
    flask.json("services", "rotate", service.id, "--keep", "5")
    assert [api.refresh(token).status for token in tokens] == [401, 200, 200, 200]
    newest = flask.json("services", "rotate", service.id)["refreshToken"]
    assert [api.refresh(token).status for token in [*tokens, newest]] == [401, 401, 401, 401, 200]


def test_a_previous_refresh_token_works_for_a_day_at_most(flask: CommandLine, api: Api, world: World) -> None:
    service = world.service()
    for minutes in ("0", "-1", "1441", "1.5", "an hour"):
        assert "Invalid value for '--keep'" in flask.fails("services", "rotate", service.id, "--keep", minutes)
    assert "There is no service" in flask.fails("services", "rotate", "_nobody", "--keep", "5")
    assert api.refresh(service.refresh_token).status == 200


def minutes_left(database_url: str, service_id: str) -> list[int | None]:
    """Of each refresh token of the service, the oldest first. None: it does not expire."""
    with psycopg.connect(database_url) as connection:
        rows = connection.execute(
            "SELECT ceil(extract(epoch FROM expires_at - now()) / 60) FROM refresh_token WHERE principal_id = %s "
            "ORDER BY created_at",
            [service_id],
        ).fetchall()
    return [None if minutes is None else int(minutes) for (minutes,) in rows]


def end_first_token(database_url: str, service_id: str) -> None:
    """Let the oldest refresh token of the service expire."""
    with psycopg.connect(database_url) as connection:
        ended = connection.execute(
            "UPDATE refresh_token SET expires_at = now() WHERE token_hash = "
            "(SELECT token_hash FROM refresh_token WHERE principal_id = %s ORDER BY created_at LIMIT 1)",
            [service_id],
        )
        assert ended.rowcount == 1


def test_only_a_service_has_a_refresh_token_to_rotate(flask: CommandLine, api: Api, world: World) -> None:
    user = world.session()
    for unknown in ("_nobody", user.id):
        assert flask.fails("services", "rotate", unknown) == f"Error: There is no service {unknown}."
    assert api.refresh(user.refresh_token).status == 200


def test_mistakes_of_services(flask: CommandLine, world: World) -> None:
    taken = world.service()
    assert "already" in flask.fails("services", "create", taken.id)
    for service_id in ("a", "_", "__a", "_" + "a" * ID_CHARACTERS, "_\n"):
        assert "starts with one _" in flask.fails("services", "create", service_id)
    assert "scope is malformed" in flask.fails("services", "create", "_fresh", "--scope", "files")
    assert "scope is malformed" in flask.fails("services", "scopes", taken.id, "--add", "files")
    assert "_fresh" not in flask.run("services", "list").stdout


def test_a_login_services_life(flask: CommandLine, api: Api, world: World) -> None:
    name, user = world.login_service() + "-cli", world.user()
    flask.json(
        "login-services",
        "create",
        name,
        "--endpoint",
        "https://a.example/x",
        "--mode",
        "WEB",
        "--refresh-token-ttl",
        "60",
    )
    listed = {
        "name": name,
        "endpoint": "https://a.example/x",
        "mode": "WEB",
        "refresh_token_ttl_seconds": 60,
        "idle_timeout_seconds": None,
    }
    assert listed in flask.json("login-services", "list")
    assert api.login(user, PASSWORD, name).ok()["refreshToken"] is None
    assert "already" in flask.fails(
        "login-services", "create", name, "--endpoint", "https://a.example", "--mode", "WEB"
    )
    flask.json("login-services", "delete", name)
    api.login(user, PASSWORD, name).refused(400, "UNKNOWN_LOGIN_SERVICE")
    assert "no login service" in flask.fails("login-services", "delete", name)


@pytest.mark.parametrize(
    "endpoint",
    [
        "javascript:alert(1)",
        "/x",
        "https://u:p@a.example/",
        "https://",
        "ftp://a.example",
        "app://x",
        "httpx://a.example",
    ],
)
def test_a_browser_is_only_sent_to_the_web(flask: CommandLine, endpoint: str) -> None:
    assert "must be an http" in flask.fails("login-services", "create", "x", "--endpoint", endpoint, "--mode", "WEB")


def test_a_command_for_users_does_not_touch_a_service(flask: CommandLine, api: Api, world: World) -> None:
    service = world.service()
    for command in (["disable"], ["delete"], ["enable"]):
        assert "no user" in flask.fails("users", *command, service.id)
    assert "no user" in flask.fails("users", "set-password", service.id, "--password-stdin", stdin=NEW_PASSWORD)
    assert "no service" in flask.fails("services", "delete", world.user())
    assert api.refresh(service.refresh_token).status == 200


def test_a_value_that_cannot_be_stored_is_one_line(flask: CommandLine, world: World) -> None:
    odd = os.fsdecode(b"a\xff")
    for command in (["users", "disable", odd], ["services", "scopes", odd], ["login-services", "delete", odd]):
        assert flask.fails(*command).startswith("Error: ")
    create = ["users", "create", f"{world.user()}-x", "--role", "USER", "--password-stdin"]
    for names in (("", "B"), ("A", "B" * 101), (odd, "B"), ("A\n", "B")):
        arguments = ["--first-names", names[0], "--last-name", names[1]]
        assert flask.fails(*create, *arguments, stdin=NEW_PASSWORD).startswith(
            ("Error: first_names has", "Error: last_name has")
        )


def test_a_password_is_utf_8(flask: CommandLine, world: World) -> None:
    finished = flask.process("users", "set-password", world.user(), "--password-stdin", stdin=b"not \xff utf-8")
    assert (finished.returncode, finished.stderr) == (1, b"Error: The input is not in UTF-8.\n")


def test_a_database_in_another_encoding_is_refused(server_url: str) -> None:
    with NewDatabase(server_url, "ENCODING 'LATIN1' LOCALE 'C' TEMPLATE template0") as url:
        refusal = CommandLine({"DATABASE_URL": url}).fails("db", "migrate")
        assert refusal == "Error: The encoding of the database must be UTF8."


def test_keys(flask: CommandLine) -> None:
    bare = CommandLine({})
    for algorithm in ("ES256", "RS256", "EdDSA"):
        made = bare.json("keys", "generate", "--algorithm", algorithm)
        [shown] = CommandLine({"JWT_PRIVATE_KEY": made["privateKey"]}).json("keys", "show")["keys"]
        assert shown["alg"] == algorithm
        assert not {"d", "p", "q"} & set(shown)
    pem = bare.run("keys", "generate").stdout
    assert pem.startswith("-----BEGIN PRIVATE KEY-----")
    assert bare.fails("keys", "show").startswith("Error: JWT_PRIVATE_KEY is not set")


def test_the_schema(flask: CommandLine) -> None:
    assert flask.json("db", "status")["pending"] == []
    assert flask.json("db", "migrate") == {"applied": []}
    assert flask.run("db", "migrate").stdout == "nothing to apply\n"


def test_a_database_that_is_away_is_one_line() -> None:
    away = CommandLine({"DATABASE_URL": "postgresql://user:hunter2@127.0.0.1:1/auth"})
    for command in (["users", "list"], ["db", "migrate"], ["db", "status"]):
        assert len(away.run(*command).stderr.splitlines()) == 1
        line = away.fails(*command)
        assert line.startswith("Error: The database cannot be used: ")
        assert "hunter2" not in line
    no_host = CommandLine({"DATABASE_URL": f"postgresql://{'a' * 70}/auth"}).fails("users", "list")
    assert no_host.startswith("Error: The database cannot be used: ")
    finished = away.process("users", "list")
    assert (finished.returncode, finished.stdout, finished.stderr.decode()) == (
        1,
        b"",
        f"{away.fails('users', 'list')}\n",
    )
    nonsense = CommandLine({"DATABASE_URL": "nonsense"})
    assert nonsense.fails("users", "list") == "Error: DATABASE_URL must be the postgresql:// URL of the database."


def test_roles_of_users(flask: CommandLine) -> None:
    assert {row["role"] for row in flask.json("users", "list")} <= {Role.USER, Role.ADMIN}


def test_purge_deletes_what_has_expired_and_nothing_else(server_url: str, environment: dict[str, str]) -> None:
    with NewDatabase(server_url) as url, psycopg.connect(url, autocommit=True) as connection:
        flask = CommandLine({"DATABASE_URL": url})
        flask.json("db", "migrate")
        connection.execute(EXPIRED)
        kept = connection.execute(COUNTS).fetchone()
        assert flask.json("purge") == {"refresh_token": 250, "jti_claim": 350, "login_limit": 50, "reset_token": 0}
        assert kept is not None
        assert connection.execute(COUNTS).fetchone() == (kept[0] - 250, kept[1] - 350, kept[2] - 50)
        assert flask.run("purge").stdout == "refresh_token\t0\njti_claim\t0\nlogin_limit\t0\nreset_token\t0\n"


def test_a_purge_leaves_a_delegation_until_those_made_from_it_are_deleted(
    flask: CommandLine, api: Api, world: World, database_url: str
) -> None:
    """Its deletion would delete them too, by the foreign key, and so wait for one that is in use."""
    user, service = world.session(), world.service("files:read")
    first = api.extend(service.access_token, user.access_token, "files:read", refreshes=True).ok()["accessToken"]
    made = api.extend(service.access_token, first, "files:read", refreshes=True).ok()["accessToken"]
    references = [claims(token)["publicSessionReference"] for token in (first, made)]
    both = "SELECT FROM refresh_token WHERE public_session_reference = ANY (%s::uuid[])"
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute("UPDATE refresh_token SET expires_at = now() WHERE principal_id = %s", [user.id])
        with ThreadPoolExecutor(1) as pool, holding(database_url, f"{both} FOR UPDATE", references[1:]):
            purge = pool.submit(flask.json, "purge")
            assert not waits_for_a_lock(database_url, purge)
        assert connection.execute(both, [references]).rowcount == 2
        flask.json("purge")
        assert connection.execute(both, [references]).rowcount == 0


EXPIRED = f"""
INSERT INTO principal (id, role, principal_type, first_names, last_name) VALUES ('ada', 'USER', 'password', 'A', 'B');
INSERT INTO refresh_token (token_hash, principal_id, scopes, access_token_lifetime_ms, expires_at)
SELECT sha256(n::text::bytea), 'ada', ARRAY['a:read'], 1,
    CASE WHEN n > 255 THEN NULL WHEN n > 250 THEN now() + '1 h' ELSE now() END
FROM generate_series(1, 260) n;
INSERT INTO jti_claim SELECT n, now() - make_interval(days => {CLAIM_DAYS} - CASE WHEN n > 350 THEN 1 ELSE 0 END)
FROM generate_series(1, 360) n;
INSERT INTO login_limit (key, expires_at)
SELECT sha256(n::text::bytea), now() + make_interval(hours => CASE WHEN n > 50 THEN 1 ELSE 0 END)
FROM generate_series(1, 60) n;
"""
COUNTS = """
SELECT (SELECT count(*) FROM refresh_token), (SELECT count(*) FROM jti_claim), (SELECT count(*) FROM login_limit)
"""


GROUPS = ("db", "users", "sessions", "services", "login-services", "keys", "sla")


def test_the_process_knows_all_commands(flask: CommandLine) -> None:
    listed = flask.process("--help").stdout.decode()
    for name in (*GROUPS, "purge", "doctor"):
        assert f"\n  {name} " in listed


@pytest.mark.parametrize("group", ["", *GROUPS])
def test_every_command_explains_itself(flask: CommandLine, group: str) -> None:
    """`--help` names each command with a sentence, and each command takes `--json`."""
    words = group.split()
    listed = flask.run(*words, "--help").stdout.partition("Commands:\n")[2].splitlines()
    names = [line.split()[0] for line in listed if line.startswith("  ") and line[2] != " "]
    assert names
    for name in set(names) - {"run", "shell", "routes", *GROUPS}:
        finished = flask.run(*words, name, "--help")
        assert finished.returncode == 0
        assert "--json" in finished.stdout, name
        assert "--password " not in finished.stdout
        usage, explanation = finished.stdout.split("\n\n")[:2]
        assert usage.startswith("Usage: flask")
        assert explanation.strip()[0].isupper(), name
