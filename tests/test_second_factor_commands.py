"""The commands of the second factor: new keys, their rotation, a lost phone, and the import from another system."""

import base64
import json
import secrets
from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from cryptography.fernet import Fernet
from flask import Flask

from auth.cli import second_factor
from auth.cli.common import DirectDatabase
from auth.cli.migrations import migrate
from auth.config import Config
from auth.core.second_factor import SecondFactorKeys

from .support.api import Api, any_address, request_class, send_to_app
from .support.command_line import CommandLine
from .support.databases import NewDatabase
from .support.second_factor import Authenticator, challenge_of, factor_row, forget_steps, new_owner
from .support.world import PASSWORD, QUICK_HASH, World

Deploy = Callable[[Config], Flask]

OLD, NEW = Fernet.generate_key().decode(), Fernet.generate_key().decode()


class Site:
    """A database of its own, and servers with any keys on it."""

    def __init__(self, url: str, deploy: Deploy, config: Config, environment: dict[str, str]) -> None:
        self.url, self.deploy, self.config, self.environment = url, deploy, config, environment
        app = self.app()
        self.world = World(request_class(app).database, request_class(app).tokens)
        self.service = self.world.login_service()

    def app(self, *keys: str) -> Flask:
        settings = {"database_url": self.url, "second_factor_keys": SecondFactorKeys(*keys)}
        return self.deploy(replace(self.config, **settings))  # type: ignore[arg-type]

    def api(self, *keys: str) -> Api:
        return Api(send_to_app(self.app(*keys), any_address()))

    def flask(self, *keys: str) -> CommandLine:
        return CommandLine({**self.environment, "DATABASE_URL": self.url, "SECOND_FACTOR_KEYS": ",".join(keys)})

    def found(self, *keys: str) -> tuple[bool, str]:
        """What `doctor` says about the stored factors."""
        findings = json.loads(self.flask(*keys).run("doctor", "--json").stdout)
        [found] = [(finding["ok"], finding["message"]) for finding in findings if finding["check"] == "second factors"]
        return found


@pytest.fixture
def site(server_url: str, deploy: Deploy, config: Config, environment: dict[str, str]) -> Iterator[Site]:
    with NewDatabase(server_url) as url:
        migrate(DirectDatabase(url))
        yield Site(url, deploy, config, environment)


def test_a_new_key_can_be_used(site: Site) -> None:
    printed = site.flask().json("keys", "second-factor")["key"]
    assert site.flask().run("keys", "second-factor").stdout.strip() != printed
    new_owner(site.api(printed), site.world)


def test_a_rotation_fails_nobody(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """Append the new key, move it to the front, `flask keys rekey`, drop the old one. Servers change one by one."""
    owners = [new_owner(site.api(OLD), site.world) for _ in range(5)]
    monkeypatch.setattr(second_factor, "BATCH", 2)
    stages = [(OLD,), (OLD, NEW), (NEW, OLD)]
    assert site.found(OLD) == (True, "all are under the first key")
    for before, after in pairwise(stages):
        for asks, answers in ((before, after), (after, before)):
            forget_steps(site.url, owners[0].id)
            challenge = challenge_of(site.api(*asks), owners[0].id, site.service)
            assert site.api(*answers).answer_challenge(challenge, owners[0].app.code()).status == 200
    assert site.found(NEW, OLD) == (True, "5 are under an old key: run `flask keys rekey`")
    new_owner(site.api(NEW, OLD), site.world)
    assert site.flask(NEW, OLD).json("keys", "rekey") == {"rekeyed": 5, "unreadable": 0}
    assert site.flask(NEW, OLD).json("keys", "rekey") == {"rekeyed": 0, "unreadable": 0}
    assert site.found(NEW) == (True, "all are under the first key")
    for owner in owners:
        forget_steps(site.url, owner.id)
        challenge = challenge_of(site.api(NEW), owner.id, site.service)
        assert site.api(NEW).answer_challenge(challenge, owner.app.code()).status == 200


@pytest.mark.parametrize("keys", [(), (NEW,)], ids=["none", "another"])
def test_a_key_that_is_lost_is_found_out(site: Site, keys: tuple[str, ...]) -> None:
    owner = new_owner(site.api(OLD), site.world)
    ok, message = site.found(*keys)
    assert not ok
    assert message.startswith("no key opens 1:")
    finished = site.flask(*keys).run("keys", "rekey")
    assert (finished.returncode, finished.stdout) == (1, "rekeyed 0\nno key opens 1\n")
    assert owner.app.secret not in finished.stdout + finished.stderr
    assert site.found(OLD)[0]


def test_doctor_tells_a_requirement_without_keys(site: Site) -> None:
    flask = CommandLine({**site.flask().environment, "SECOND_FACTOR_REQUIRED": "USER"})
    findings = json.loads(flask.run("doctor", "--json").stdout)
    assert [each["message"] for each in findings if each["check"] == "environment" and not each["ok"]] == [
        "SECOND_FACTOR_KEYS is not set, and SECOND_FACTOR_REQUIRED needs it."
    ]


def test_a_wrong_key_fails_the_check(site: Site) -> None:
    ok, message = site.found("hunter2")
    assert not ok
    assert "hunter2" not in message


def test_an_operator_removes_a_factor(site: Site) -> None:
    api, flask = site.api(OLD), site.flask(OLD)
    owner, service = new_owner(api, site.world), site.world.service("files:read")
    extended = api.extend(service.access_token, owner.session.access_token, "files:read", refreshes=True).ok()
    assert flask.json("users", "reset-second-factor", owner.id) == {"id": owner.id, "ended": 1}
    assert factor_row(site.url, owner.id) == (False, None)
    api.refresh(owner.session.refresh_token).refused(401)
    assert api.refresh(extended["refreshToken"]).status == 200
    assert set(api.login(owner.id, PASSWORD, site.service).ok()) == {"accessToken", "csrfToken", "refreshToken"}
    for user in (owner.id, "nobody", service.id):
        message = flask.fails("users", "reset-second-factor", user)
        assert message == f"Error: There is no user {user} with a second factor."


def test_the_list_of_users_tells_who_has_a_factor(site: Site) -> None:
    owner, other = new_owner(site.api(OLD), site.world), site.world.user()
    listed = {user["id"]: user["secondFactor"] for user in site.flask().json("users", "list")}
    assert listed == {owner.id: True, other: False}
    lines = dict(line.split("\t", 1) for line in site.flask().run("users", "list").stdout.splitlines())
    assert lines == {owner.id: "USER\tAda Lovelace\tsecond factor", other: "USER\tAda Lovelace"}


def person(**more: object) -> dict[str, object]:
    row = {"id": f"user-{secrets.token_hex(8)}", "role": "USER", "firstNames": "A", "lastName": "B"}
    return row | {"passwordHash": QUICK_HASH, **more}


def imports(flask: CommandLine, *people: dict[str, object]) -> Any:
    return flask.json("users", "import", "-", stdin="\n".join(map(json.dumps, people)))


@pytest.mark.parametrize("size", [10, 16, 20, 35, 64])
@pytest.mark.parametrize(
    "spelling", [str, str.lower, lambda text: text.rstrip("="), lambda text: f" {text[:4]} {text[4:]}"]
)
def test_a_factor_of_another_system_goes_on(site: Site, size: int, spelling: Callable[[str], str]) -> None:
    api, app = site.api(OLD), Authenticator(base64.b32encode(secrets.token_bytes(size)).decode())
    one, other = person(totpSecret=spelling(app.secret)), person()
    assert imports(site.flask(OLD), one, other) == {"imported": 2}
    api.answer_challenge(challenge_of(api, str(one["id"]), site.service), app.code()).ok()
    assert set(api.login(str(other["id"]), PASSWORD, site.service).ok()) == {"accessToken", "csrfToken", "refreshToken"}
    for code in ("", "A" * 24):  # there is no recovery code
        api.answer_challenge(challenge_of(api, str(one["id"]), site.service), code).refused(401, "INCORRECT_CODE")


@pytest.mark.parametrize("secret", ["", "A" * 8, "secret!!", "1" * 16, "É" * 16, "A" * 17, "A" * 300, "\x00" * 16])
def test_a_secret_that_is_none(site: Site, secret: str) -> None:
    message = site.flask(OLD).fails("users", "import", "-", stdin=json.dumps(person(totpSecret=secret)))
    assert message == "Error: line 1: A totpSecret is base32 of 10 to 128 bytes."
    assert site.flask().json("users", "list") == []


def test_a_secret_needs_a_key(site: Site) -> None:
    message = site.flask().fails("users", "import", "-", stdin=json.dumps(person(totpSecret="A" * 32)))
    assert message == "Error: line 1: SECOND_FACTOR_KEYS is not set."


def test_accepted_terms_are_imported(site: Site, tmp_path: Path) -> None:
    path = tmp_path / "terms"
    path.write_text("Terms")
    refused = json.dumps(person(slaVersion=1))
    message = site.flask().fails("users", "import", "-", stdin=refused)
    assert message == "Error: line 1: No version 1 of the terms is published."
    site.flask().json("sla", "publish", str(path))
    one, other, none = person(slaVersion=1), person(), person(slaVersion=0)
    assert imports(site.flask(), one, other, none) == {"imported": 3}
    api, accepted = site.api(), dict[object, bool]()
    for each in (one, other, none):
        token = api.login(str(each["id"]), PASSWORD, site.service).ok()["accessToken"]
        accepted[each["id"]] = json.loads(base64.urlsafe_b64decode(token.split(".")[1] + "==="))[
            "serviceLicenseAgreement"
        ]
    assert accepted == {one["id"]: True, other["id"]: False, none["id"]: False}
    for version in (-1, 2, 2**40):
        assert "line 1" in site.flask().fails("users", "import", "-", stdin=json.dumps(person(slaVersion=version)))
