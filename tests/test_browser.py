"""The web flow in a real browser: how its cookies, its CORS checks and its pages handle the answers."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from urllib.parse import urlencode

import pytest
from selenium.common.exceptions import JavascriptException
from selenium.webdriver.remote.webdriver import WebDriver

from .support.api import COOKIE
from .support.browser import Page, Web, chromium, neighbours
from .support.lockouts import FAILURES, cooldown, fail, locked
from .support.world import PASSWORD, World, claims

pytestmark = pytest.mark.xdist_group("browser")

Open = Callable[[str], Page]
PLACES = pytest.mark.parametrize("place", ["service", "trusted"], indirect=True)
STRANGERS = pytest.mark.parametrize("stranger", ["another port", "another site", "without a name"], indirect=True)


@dataclass(frozen=True)
class Victim:
    csrf: str
    access_token: str


@pytest.fixture(scope="module")
def driver(tmp_path_factory: pytest.TempPathFactory) -> Iterator[WebDriver]:
    with chromium(tmp_path_factory.mktemp("profile")) as driver:
        yield driver


@pytest.fixture(scope="module")
def web(driver: WebDriver, environment: dict[str, str]) -> Iterator[Web]:
    with neighbours(environment) as web:
        yield web


@pytest.fixture
def place(web: Web, request: pytest.FixtureRequest) -> str:
    return str(getattr(web, request.param))


@pytest.fixture
def stranger(web: Web, request: pytest.FixtureRequest) -> str:
    """The URL of a page that may not call the service. Another site sends no cookies; no-referrer: `Origin: null`."""
    return {
        "another port": web.unknown,
        "another site": web.unknown.replace("localhost", "127.0.0.1"),
        "without a name": f"{web.unknown}/?policy=no-referrer",
    }[request.param]


@pytest.fixture
def open_page(driver: WebDriver) -> Iterator[Open]:
    """Opens a page of that origin in a new tab, of a browser that has no cookies yet."""
    driver.execute_cdp_cmd("Network.clearBrowserCookies", {})
    first = driver.current_window_handle
    yield partial(Page, driver)
    for tab in set(driver.window_handles) - {first}:
        driver.switch_to.window(tab)
        driver.close()
    driver.switch_to.window(first)


def logged_in(page: Page, world: World, user: str | None = None) -> dict[str, str]:
    """The tokens that the script of the page gets at a login."""
    form = {"username": user or world.user(), "password": PASSWORD, "service": world.login_service(mode="WEB")}
    tokens: dict[str, str] = page.api.call("POST", "/auth/login", json_body=form, Accept="application/json").ok()
    return tokens


def subject(tokens: dict[str, str]) -> str:
    return str(claims(tokens["accessToken"])["sub"])


@PLACES
def test_a_page_logs_in_refreshes_and_logs_out(open_page: Open, world: World, place: str) -> None:
    page, user = open_page(place), world.user()
    tokens = logged_in(page, world, user)
    refreshed = page.refresh(tokens["csrfToken"]).ok()
    assert subject(tokens) == subject(refreshed) == user
    assert refreshed["csrfToken"] == tokens["csrfToken"]
    assert refreshed["accessToken"] != tokens["accessToken"]
    assert page.api.sessions(refreshed["accessToken"]).ok()["itemsInTotal"] == 1
    page.logout(tokens["csrfToken"]).ok()
    assert COOKIE not in page.cookies
    page.refresh(tokens["csrfToken"]).refused(400, "MISSING_REFRESH_COOKIE")
    page.api.sessions(refreshed["accessToken"]).refused(401, "INVALID_TOKEN")


@PLACES
def test_no_script_reads_the_refresh_token(open_page: Open, world: World, place: str) -> None:
    page = open_page(place)
    assert logged_in(page, world)["refreshToken"] is None
    kept = page.cookies[COOKIE]
    assert (kept["httpOnly"], kept["secure"], kept["sameSite"]) == (True, True, "Strict")
    assert page.run("return document.cookie") == ""


@PLACES
def test_the_cookie_alone_does_nothing(open_page: Open, world: World, place: str) -> None:
    """A page needs the CSRF token as well, and another session's is none."""
    page, other = open_page(place), world.session()
    tokens = logged_in(page, world)
    for call in (page.refresh, page.logout):
        call(None).refused(400, "MISSING_CSRF_TOKEN")
        call(other.csrf).refused(401, "INVALID_TOKEN")
    page.refresh(tokens["csrfToken"]).ok()


@PLACES
def test_a_page_reads_why_it_was_refused(open_page: Open, world: World, place: str) -> None:
    page, user, service = open_page(place), world.user(), world.login_service(mode="WEB")
    fail(page.api, user, service, FAILURES)
    refused = page.api.login(user, PASSWORD, service)
    assert 1 <= locked(refused) <= cooldown(1)
    assert not page.cookies


@PLACES
def test_a_form_logs_in_and_lands_on_the_endpoint(open_page: Open, world: World, place: str) -> None:
    page, user, endpoint = open_page(place), world.user(), f"{place}/home?a=1&quot=%22"
    page.submit(username=user, password=PASSWORD, service=world.login_service(mode="WEB", endpoint=endpoint))
    tokens = page.wait_until(f"return location.href === {endpoint!r} && authState()")
    assert (subject(tokens), tokens["refreshToken"]) == (user, None)
    assert set(page.cookies) == {COOKIE, "authState"}
    assert subject(page.refresh(tokens["csrfToken"]).ok()) == user


@PLACES
def test_a_form_logs_in_who_has_long_names(open_page: Open, world: World, place: str) -> None:
    """The access token does not fit into a cookie, and the page gets one by a refresh."""
    page, user, endpoint = open_page(place), world.user(first_names="😀" * 100, last_name="😀" * 100), f"{place}/home"
    page.submit(username=user, password=PASSWORD, service=world.login_service(mode="WEB", endpoint=endpoint))
    tokens = page.wait_until(f"return location.href === {endpoint!r} && authState()")
    assert (tokens["accessToken"], tokens["refreshToken"]) == ("", None)
    assert set(page.cookies) == {COOKIE, "authState"}
    assert subject(page.refresh(tokens["csrfToken"]).ok()) == user


def test_plain_http_has_a_cookie_of_another_name(open_page: Open, world: World, environment: dict[str, str]) -> None:
    with neighbours({**environment, "COOKIE_SECURE": "0"}) as web:
        page = open_page(web.trusted)
        csrf = logged_in(page, world)["csrfToken"]
        assert {name: cookie["secure"] for name, cookie in page.cookies.items()} == {"refreshToken": False}
        page.refresh(csrf).ok()
        page.logout(csrf).ok()
        assert not page.cookies


def test_a_user_stays_logged_in_after_a_link_from_another_site(open_page: Open, world: World, web: Web) -> None:
    """The browser sends no Strict cookie with the request of the link, but with those of the page that it opens."""
    tokens = logged_in(open_page(web.trusted), world)
    page = open_page(web.unknown.replace("localhost", "127.0.0.1"))
    page.run("location = arguments[0]", web.trusted)
    page.wait_until(f"return location.origin === {web.trusted!r} && document.readyState === 'complete'")
    page.refresh(tokens["csrfToken"]).ok()


def test_two_tabs_refresh_at_once_and_log_out_together(open_page: Open, world: World, web: Web) -> None:
    first, second = open_page(web.service), open_page(web.service)
    csrf = logged_in(first, world)["csrfToken"]
    for tab in (first, second):
        tab.run("window.answers = Promise.all(Array.from({ length: 5 }, () => refresh(arguments[0])))", csrf)
    for tab in (first, second):
        assert tab.run("return answers.then((all) => all.map(([status]) => status))") == [200] * 5
    first.logout(csrf).ok()
    second.refresh(csrf).refused(400, "MISSING_REFRESH_COOKIE")  # tabs share their cookies


def test_a_session_that_was_ended_by_another_client_is_refused(open_page: Open, world: World, web: Web) -> None:
    page = open_page(web.trusted)
    tokens = logged_in(page, world)
    web.anybody.invalidate_sessions(tokens["accessToken"]).ok()
    page.refresh(tokens["csrfToken"]).refused(401, "INVALID_TOKEN")
    assert COOKIE in page.cookies
    page.logout(tokens["csrfToken"]).refused(401, "INVALID_TOKEN")
    assert COOKIE not in page.cookies


@pytest.fixture
def victim(open_page: Open, world: World, web: Web) -> Iterator[Victim]:
    """A user who is logged in at the service. After the test the same user must still be logged in."""
    page = open_page(web.service)
    tokens = logged_in(page, world)
    before = page.cookies
    yield Victim(tokens["csrfToken"], tokens["accessToken"])
    assert page.cookies == before
    assert subject(page.refresh(tokens["csrfToken"]).ok()) == subject(tokens)


@pytest.fixture
def bait(world: World) -> dict[str, str]:
    """Credentials of an account of the stranger, who wants the victim to log in with them."""
    return {"username": world.user(), "password": PASSWORD, "service": world.login_service(mode="WEB")}


@STRANGERS
def test_a_stranger_reads_no_answer(open_page: Open, victim: Victim, bait: dict[str, str], stranger: str) -> None:
    """The browser hides the answer or sends no request, even with the tokens of the victim."""
    page = open_page(stranger)
    calls: list[Callable[[], object]] = [
        lambda: page.api.login(**bait),
        lambda: page.api.call("POST", "/auth/login", json_body=bait),
        lambda: page.refresh(None),
        lambda: page.refresh(victim.csrf),
        lambda: page.logout(victim.csrf),
        lambda: page.api.sessions(victim.access_token),
        lambda: page.api.invalidate_sessions(victim.access_token),
    ]
    for call in calls:
        with pytest.raises(JavascriptException, match="Failed to fetch"):
            call()


@STRANGERS
def test_requests_without_preflight_from_a_stranger_change_nothing(
    open_page: Open, victim: Victim, bait: dict[str, str], stranger: str
) -> None:
    """The browser sends simple requests without a preflight, and with cookies to the same site."""
    page = open_page(stranger)
    for path in ("login", "refresh/web", "logout/web"):
        assert page.run("return sendBlindly(...arguments)", f"/auth/{path}", urlencode(bait), victim.csrf) == "opaque"


@STRANGERS
def test_a_form_of_a_stranger_is_refused(
    open_page: Open, victim: Victim, bait: dict[str, str], stranger: str, web: Web
) -> None:
    page = open_page(stranger)
    for path in ("login", "refresh/web", "logout/web"):
        page.visit(stranger)
        page.run("document.forms[0].action = arguments[0]", f"{web.service}/auth/{path}")
        page.submit(**bait)
        answer = page.wait_until(f"return location.origin === {web.service!r} && document.body.innerText")
        assert "UNTRUSTED_ORIGIN" in str(answer)
