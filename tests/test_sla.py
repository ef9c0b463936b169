"""The terms of use: published by a command, read and accepted by users, and shown by a claim."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from auth.cli.common import DirectDatabase
from auth.config import Config

from .support.api import Api
from .support.locks import holding, waits_for_a_lock
from .support.sla import Site, own_site, publish
from .support.world import ORIGIN, PASSWORD, World, claims


@pytest.fixture
def site(server_url: str, config: Config) -> Iterator[Site]:
    with own_site(server_url, config) as site:
        yield site


def test_where_no_terms_are_published_none_have_to_be_accepted(site: Site) -> None:
    session = site.world.session()
    assert site.api.find_sla(session.access_token).ok() == {"version": 0, "text": ""}
    assert site.claim(session.refresh_token) is True
    assert site.api.accept_sla(session.access_token, 0).ok() == {}
    site.api.accept_sla(session.access_token, 1).refused(400, "WRONG_SLA_VERSION")
    assert site.flask.json("sla", "show")["version"] == 0
    assert site.flask.run("sla", "show").stdout == "no terms are published\n"


def test_terms_are_published_read_and_accepted(site: Site, tmp_path: Path) -> None:
    api, session, other = site.api, site.world.session(), site.world.session()
    assert publish(site, tmp_path, "# Vilkår 😀\n".encode()) == 1
    assert api.find_sla(session.access_token).ok() == {"version": 1, "text": "# Vilkår 😀\n"}
    assert site.claim(session.refresh_token) is False
    assert api.accept_sla(session.access_token, 1).ok() == {}
    assert (site.claim(session.refresh_token), site.claim(other.refresh_token)) == (True, False)
    assert publish(site, tmp_path, b"Second") == 2
    assert site.claim(session.refresh_token) is False
    for version in (0, 1, 3, 2**31 - 1):
        api.accept_sla(session.access_token, version).refused(400, "WRONG_SLA_VERSION")
    assert site.claim(session.refresh_token) is False
    assert api.accept_sla(session.access_token, 2).ok() == {}
    assert api.accept_sla(session.access_token, 2).ok() == {}
    api.accept_sla(session.access_token, 1).refused(400, "WRONG_SLA_VERSION")
    assert site.claim(session.refresh_token) is True
    assert site.flask.json("sla", "show")["text"] == "Second"
    assert site.flask.run("sla", "show").stdout == "Second\n"


def test_of_two_publications_at_once_one_is_refused(site: Site, tmp_path: Path) -> None:
    (tmp_path / "terms").write_text("Second")
    with ThreadPoolExecutor(1) as pool:
        with DirectDatabase(site.url).transaction() as transaction:
            transaction.one("sla_insert", text="First")
            refused = pool.submit(site.flask.fails, "sla", "publish", str(tmp_path / "terms"))
            assert waits_for_a_lock(site.url, refused)
        assert refused.result() == "Error: The database cannot store this."
    assert site.flask.json("sla", "show")["text"] == "First"


def test_terms_that_were_accepted_late_do_not_replace_newer_ones(site: Site, tmp_path: Path) -> None:
    """The older version is published when the call begins, and then waits for the person's row."""
    first, session = publish(site, tmp_path, b"First"), site.world.session()
    lock = "SELECT FROM principal WHERE id = %s FOR NO KEY UPDATE"
    with ThreadPoolExecutor(1) as pool, holding(site.url, lock, session.id) as transaction:
        late = pool.submit(site.api.accept_sla, session.access_token, first)
        assert waits_for_a_lock(site.url, late)
        second = publish(site, tmp_path, b"Second")
        transaction.execute("UPDATE principal SET accepted_sla_version = %s WHERE id = %s", [second, session.id])
        transaction.commit()
        late.result().ok()
    assert site.claim(session.refresh_token) is True


def test_every_token_of_a_person_says_whether_the_terms_are_accepted(site: Site, tmp_path: Path) -> None:
    api, user = site.api, site.world.user()
    service, login_service = site.world.service("files:read"), site.world.login_service()
    publish(site, tmp_path, b"Terms")
    for accepted in (False, True):
        token = api.login(user, PASSWORD, login_service).ok()["accessToken"]
        if accepted:
            api.accept_sla(token, 1).ok()
            token = api.login(user, PASSWORD, login_service).ok()["accessToken"]
        extended = api.extend(service.access_token, token, "files:read", refreshes=True).ok()
        tokens = [token, extended["accessToken"], api.refresh(extended["refreshToken"]).ok()["accessToken"]]
        tokens += [api.request_one_time_token(token, "files:read").ok()["accessToken"]]
        assert {claims(each)["serviceLicenseAgreement"] for each in tokens} == {accepted}
        assert "serviceLicenseAgreement" not in claims(service.access_token)


@pytest.mark.parametrize("version", [None, "1", 1.5, -1, 2**31, True, []])
def test_a_version_that_is_none(api: Api, world: World, version: Any) -> None:
    api.accept_sla(world.session().access_token, version).refused(400, "INVALID_REQUEST")


def test_the_answers_are_like_those_of_other_calls(api: Api, world: World) -> None:
    answer = api.call("GET", "/api/sla", world.session().access_token, Origin=ORIGIN)
    assert answer.header("Cache-Control") == "no-store, private"
    assert answer.header("Access-Control-Allow-Origin") == ORIGIN
    refused = api.call("GET", "/api/nothing", Origin=ORIGIN).refused(404)
    assert refused.header("Access-Control-Allow-Origin") == ORIGIN


def test_terms_are_text_of_a_bounded_size(site: Site, tmp_path: Path) -> None:
    path = tmp_path / "terms"
    for content, message in (
        (b"", "The terms have 1 to 262,144 bytes."),
        (b"x" * (256 * 1024 + 1), "The terms have 1 to 262,144 bytes."),
        (b"\xff\xfe", "The input is not in UTF-8."),
        (b"a\0b", "The database cannot store this."),
    ):
        path.write_bytes(content)
        assert site.flask.fails("sla", "publish", str(path)) == f"Error: {message}"
    assert publish(site, tmp_path, b"\xef\xbb\xbf" + b"x" * (256 * 1024 - 3)) == 1
    assert site.api.find_sla(site.world.session().access_token).ok()["text"] == "x" * (256 * 1024 - 3)
